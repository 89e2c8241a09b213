// Runs many histories over the simulated file system: `node test/model/tailing/run.ts [--kind NAME] [--plan FILE] [--found]
// [--trace] FROM TO`. Prints the seeds of failures, and of each the smallest steps that still fail; --plan plays such steps
// again, and --found those of found.txt.

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import './replaced.ts';
import { clock } from './clock.ts';
import type { History } from '../../faults/tailing/history.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kind: { type: 'string' },
    plan: { type: 'string' },
    found: { type: 'boolean', default: false },
    open: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    'no-shrink': { type: 'boolean', default: false },
  },
});
const realNow = performance.now.bind(performance);
clock.install();
const { KINDS, playSimulated, simulatedHistory } = await import('./simulated.ts');
const { traceAll } = await import('./trace.ts');
const { describe } = await import('../../faults/tailing/plan.ts');
const { foundHistories } = await import('./found.ts');
const { shrink } = await import('../../faults/tailing/shrink.ts');

const SHRINK_TRIES = 400;

const [from = 1, to = from] = positionals.map(Number);
const kinds = Object.keys(KINDS).filter((kind) => (values.kind ?? kind).split(',').includes(kind));
if (values.trace) traceAll();

function* histories(): Generator<History> {
  if (values.found) {
    for (const [, history] of foundHistories()) yield history;
    return;
  }
  if (values.plan === undefined) {
    for (let seed = from; seed <= to; seed += 1)
      for (const kind of kinds) yield simulatedHistory(kind, seed, values.open);
    return;
  }
  yield JSON.parse(readFileSync(values.plan, 'utf8')) as History;
}

async function problemOf(history: History): Promise<string | undefined> {
  try {
    await playSimulated(history);
    return undefined;
  } catch (error) {
    return (error as Error).stack ?? String(error);
  }
}

/** Another problem than the one that was found is another fault. */
function kindOf(problem: string | undefined): string | undefined {
  return problem
    ?.split('\n')[0]
    ?.match(/not all has|differs|not so|not said|not reported|reported as|said of|twice|BUG/)?.[0];
}

const counts = new Map<string, [passed: number, failed: number]>();
const failed: string[] = [];
const began = realNow();
for (const history of histories()) {
  const { fileSystem: kind, seed, styles } = history;
  const problem = await problemOf(history);
  const count = counts.get(kind) ?? [0, 0];
  counts.set(kind, count);
  count[problem === undefined ? 0 : 1] += 1;
  if (problem === undefined) continue;
  failed.push(`${kind} ${seed}`);
  console.log(`\n# ${kind} seed ${seed} (${styles.join(', ')}): ${problem.slice(0, 1_500)}`);
  if (values['no-shrink'] || values.found || values.plan !== undefined) continue;
  let tries = 0;
  const fails = async (plan: History['plan']): Promise<boolean> => {
    tries += 1;
    return tries < SHRINK_TRIES && kindOf(await problemOf({ ...history, plan })) === kindOf(problem);
  };
  const plan = await shrink(history.plan, fails, Number.POSITIVE_INFINITY, 1);
  console.log(plan.map((step) => `  ${describe(step)}`).join('\n'));
  console.log(JSON.stringify({ ...history, plan }));
}
console.log('');
for (const [kind, [passed, wrong]] of counts) console.log(`${kind}: ${passed} passed, ${wrong} failed`);
console.log(`${((realNow() - began) / 1_000).toFixed(0)} s`);
if (failed.length > 0) console.log(`failed: ${failed.join(', ')}`);
process.exit(failed.length > 0 ? 1 : 0);
