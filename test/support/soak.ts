// `npm run soak -- --seeds N [--from SEED]`: the crash, chaos, receivers, tailing and model suites on fresh seeds, for as long as one wants.
// Stops at the first failure and says how to see it again.

import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const MODEL_SEEDS_EACH = 40;
const SUITES = [
  'test/faults/crash.test.ts',
  'test/faults/chaos.test.ts',
  'test/faults/receivers.test.ts',
  'test/faults/receivers-crash.test.ts',
  'test/faults/tailing-model.test.ts',
];

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '5' }, from: { type: 'string' } },
});
const count = Number(values.seeds);
const first = Number(values.from ?? Math.floor(Math.random() * 1e6) + 1_000);
if (!Number.isSafeInteger(count) || count < 1 || !Number.isSafeInteger(first) || first < 0) {
  console.error('usage: npm run soak -- --seeds 20 [--from 1000]');
  process.exit(2);
}

function run(what: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): void {
  console.log(`\n# ${what}`);
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  if (status === 0) return;
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value ?? ''} `);
  console.error(`\nfailed: ${what}\nagain: ${variables.join('')}node ${args.join(' ')}`);
  process.exit(1);
}

for (let seed = first; seed < first + count; seed += 1) {
  const from = seed * MODEL_SEEDS_EACH;
  const to = from + MODEL_SEEDS_EACH;
  run(`model, seeds ${from} to ${to}`, ['test/model/run.ts', 'every', String(from), String(to)]);
  run(`crash, chaos, receivers and tailing, seed ${seed}`, ['--test', '--test-concurrency=1', ...SUITES], {
    LOGFERRY_TEST_SEED: String(seed),
  });
}
console.log(`\n${count} seeds from ${first}: all passed`);
