// Runs many histories: `node test/faults/tailing/run.ts [--fs NAME] [--open] [--plan FILE] FROM TO`, seeds FROM to TO on each file
// system. Prints the seeds of failures, and of each the smallest steps that still fail; --plan plays such steps again, --open
// also what is known to fail.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { bundle } from '../../support/bundle.ts';
import type { History } from './history.ts';

const SHRINK_MS = 60_000;
/** Of steps that fail because nothing arrives any more, each try takes so long. */
const SHRINK_ARRIVES_MS = 12_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    fs: { type: 'string' },
    plan: { type: 'string' },
    'at-once': { type: 'string', default: '8' },
    open: { type: 'boolean', default: false },
    'no-shrink': { type: 'boolean', default: false },
  },
});
const [from = 1, to = from] = positionals.map(Number);
const directory = mkdtempSync(path.join(tmpdir(), 'logferry-bundle-'));
process.once('exit', () => {
  rmSync(directory, { recursive: true, force: true });
});
process.env['LOGFERRY_TEST_ENTRY'] = await bundle(directory);
// What starts processes reads where the bundle is.
const { FILE_SYSTEMS, hasBirths, Places, whyNoneOf } = await import('./file-systems.ts');
const { historyOf, inTurns, withoutOpen } = await import('./history.ts');
const { playHistory } = await import('./real-site.ts');
const { describe } = await import('./plan.ts');
const { shrink } = await import('./shrink.ts');
const { World } = await import('../../support/world.ts');

const fileSystems = FILE_SYSTEMS.filter((name) => {
  const why = whyNoneOf(name);
  if (why !== undefined) console.log(`skipped: ${name}: ${why}`);
  return why === undefined && (values.fs ?? name).split(',').includes(name);
});

/** What fails to this day is left out, unless it is asked for. */
function allowed(history: History): History {
  return values.open ? history : withoutOpen(history, hasBirths(history.fileSystem));
}

function histories(): History[] {
  const seeds = Array.from({ length: to - from + 1 }, (_, index) => from + index);
  const { plan } = values;
  if (plan === undefined)
    return seeds.flatMap((seed) => fileSystems.map((name) => historyOf(name, seed))).map(allowed);
  const one = JSON.parse(readFileSync(plan, 'utf8')) as History;
  const names = values.fs === undefined ? [one.fileSystem] : fileSystems;
  return seeds.flatMap((seed) => names.map((fileSystem) => ({ ...one, seed, fileSystem })));
}

const failed: { history: History; error: unknown }[] = [];
const counts = new Map<string, { passed: number; failed: number }>();
const world = await World.create('histories');
const places = new Places(world.dir);
try {
  world.receive(['--rotate-size', '500KiB']);
  await inTurns(histories(), Number(values['at-once']), async (history) => {
    const { fileSystem, seed } = history;
    const began = performance.now();
    const count = counts.get(fileSystem) ?? { passed: 0, failed: 0 };
    counts.set(fileSystem, count);
    let result = 'passed';
    try {
      await playHistory(world, places, history);
      count.passed += 1;
    } catch (error) {
      count.failed += 1;
      failed.push({ history, error });
      result = `FAILED: ${(error as Error).message.slice(0, 1_500)}`;
    }
    const seconds = ((performance.now() - began) / 1_000).toFixed(0);
    console.log(`${fileSystem} seed ${seed} (${history.styles.join(', ')}), ${seconds} s: ${result}`);
  });
  for (const { history, error } of values['no-shrink'] ? [] : failed) {
    const fails = async (plan: History['plan']): Promise<boolean> => {
      try {
        await playHistory(world, places, { ...history, plan }, SHRINK_ARRIVES_MS);
        return false;
      } catch {
        return true;
      }
    };
    const plan = await shrink(history.plan, fails, performance.now() + SHRINK_MS);
    console.log(`\n# ${history.fileSystem} seed ${history.seed}: ${(error as Error).message.slice(0, 300)}`);
    console.log(plan.map((step) => `  ${describe(step)}`).join('\n'));
    console.log(JSON.stringify({ ...history, plan }));
  }
} finally {
  await world.end();
  places.end();
  if (failed.length === 0) rmSync(world.dir, { recursive: true, force: true });
  else console.log(`kept for inspection: ${world.dir}`);
}
console.log('');
for (const [name, { passed, failed: wrong }] of counts)
  console.log(`${name}: ${passed} passed, ${wrong} failed`);
if (failed.length > 0)
  console.log(`failed: ${failed.map(({ history }) => `${history.fileSystem} ${history.seed}`).join(', ')}`);
process.exitCode = failed.length > 0 ? 1 : 0;
