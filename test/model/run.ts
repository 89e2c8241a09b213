// Runs many seeds of a scenario and prints what was violated, with the first seed of each; or one seed step by step.
//
//     node test/model/run.ts SCENARIO|every FROM TO
//     node test/model/run.ts SCENARIO SEED --trace

import { isTolerated } from './check.ts';
import { runModel } from './model.ts';
import { isScenario, SCENARIOS, type ScenarioName } from './scenarios.ts';

const [name = '', from = '', to = ''] = process.argv.slice(2);
const names = Object.keys(SCENARIOS).filter(isScenario);
if (name !== 'every' && !isScenario(name)) {
  console.error(`usage: run.ts ${names.join('|')}|every FROM TO|--trace`);
  process.exitCode = 2;
} else if (to === '--trace' && name !== 'every') printTrace(name, Number(from));
else for (const each of name === 'every' ? names : [name]) soak(each, Number(from), Number(to));

function printTrace(scenario: ScenarioName, seed: number): void {
  const { trace, violations } = runModel(seed, SCENARIOS[scenario], { trace: true });
  for (const line of trace) console.log(line);
  for (const { kind, detail } of violations) console.log(`${kind} ${detail}`);
}

function soak(scenario: ScenarioName, from: number, to: number): void {
  const counts = new Map<string, { seeds: number; first: string }>();
  const start = performance.now();
  for (let seed = from; seed < to; seed += 1) {
    const seen = new Set<string>();
    for (const { kind, detail } of runModel(seed, SCENARIOS[scenario]).violations) {
      if (seen.has(kind)) continue;
      seen.add(kind);
      const { seeds = 0, first = `seed ${seed}: ${detail}` } = counts.get(kind) ?? {};
      counts.set(kind, { seeds: seeds + 1, first });
      if (!isTolerated(kind, SCENARIOS[scenario])) process.exitCode = 1;
    }
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const found = [...counts].map(([kind, { seeds }]) => `${kind} in ${seeds}`).join(', ');
  console.log(`${scenario}: ${to - from} seeds, ${seconds} s: ${found || 'nothing'}`);
  for (const [kind, { first }] of counts) console.log(`    ${kind} first at ${first}`);
}
