// Runs tests: `node test/run.ts [TIER or FILE ...]`, all tiers without any. Builds logferry once as a bundle, which
// starts in a third of the time, starts the longest files first, and prints at the end where the time went.
//
//     node test/run.ts unit model            two tiers
//     node test/run.ts test/process/cli.test.ts
//     CONCURRENCY=2 node test/run.ts faults  so many files at a time (3)

import { chmodSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

import { bundle } from './support/bundle.ts';
import { ROOT } from './support/paths.ts';

const TIERS = ['unit', 'model', 'integration', 'process', 'faults', 'cluster', 'deploy'];
/** Two cores are busy then; more only make each other wait for longer than a test expects. */
const CONCURRENCY = Number(process.env['CONCURRENCY'] ?? 3);
const SLOWEST = 25;

const asked = process.argv.slice(2);
const files = filesOf(asked.length === 0 ? TIERS : asked);
const directory = mkdtempSync(path.join(tmpdir(), 'logferry-tests-'));
// Some tests start logferry as another user.
chmodSync(directory, 0o755);
process.once('exit', () => {
  rmSync(directory, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

process.env['LOGFERRY_TEST_ENTRY'] = await bundle(path.join(directory, 'bundle'));
// Types are stripped and code is compiled once for all files.
process.env['NODE_COMPILE_CACHE'] = path.join(directory, 'compiled');

const seconds = new Map<string, number>();
let failed = false;
const events = run({ files: longestFirst(files), concurrency: CONCURRENCY });
events.on('test:fail', ({ todo }) => {
  if (todo === undefined || todo === false) failed = true;
});
events.on('test:summary', ({ file, duration_ms: ms, success }) => {
  if (file !== undefined) seconds.set(path.relative(ROOT, file), ms / 1000);
  if (!success) failed = true;
});
events.on('end', () => {
  process.exitCode = failed ? 1 : 0;
});
events.compose(spec).pipe(process.stdout);
events.on('close', printSlowest);

function filesOf(names: readonly string[]): string[] {
  return names.flatMap((name) => {
    if (name.endsWith('.test.ts') && existsSync(name)) return [path.resolve(name)];
    const found = globSync(`test/${name}/**/*.test.ts`, { cwd: ROOT });
    if (TIERS.includes(name) && found.length > 0) return found.map((file) => path.join(ROOT, file));
    console.error(`no tests: ${name}; give files, or some of ${TIERS.join(', ')}`);
    process.exit(2);
  });
}

/** A long file that begins last would be waited for alone. */
function longestFirst(all: readonly string[]): string[] {
  const table = /^\| `(?<file>[^`]+)` *\| *(?<seconds>\d+) /gm;
  const known = new Map<string, number>();
  for (const { groups } of readFileSync(path.join(ROOT, 'test/README.md'), 'utf8').matchAll(table))
    if (groups !== undefined) known.set(path.join(ROOT, `test/${groups['file']}`), Number(groups['seconds']));
  return all.toSorted((one, other) => (known.get(other) ?? 0) - (known.get(one) ?? 0));
}

function printSlowest(): void {
  const sorted = [...seconds].toSorted((one, other) => other[1] - one[1]);
  console.log(`\nseconds of each file, the longest ${SLOWEST}:`);
  for (const [file, took] of sorted.slice(0, SLOWEST)) console.log(`${took.toFixed(1).padStart(7)}  ${file}`);
}
