// The rules of logferry against everything that can fail together, a few seeds of each scenario. Many more:
// node test/model/run.ts every 1 1000

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isTolerated } from './check.ts';
import { runModel } from './model.ts';
import { isScenario, SCENARIOS } from './scenarios.ts';

const SEEDS = 30;

for (const name of Object.keys(SCENARIOS).filter(isScenario))
  test(`nothing is lost, nothing is there twice, order is kept and all comes to rest: ${name}`, (context) => {
    const scenario = SCENARIOS[name];
    let overlaps = 0;
    for (let seed = 1; seed <= SEEDS; seed += 1) {
      const { violations } = runModel(seed, scenario);
      const serious = violations.filter(({ kind }) => !isTolerated(kind, scenario));
      const again = `node test/model/run.ts ${name} ${seed} --trace`;
      assert.deepEqual(serious, [], `seed ${seed}; see it with: ${again}`);
      if (violations.length > 0) overlaps += 1;
    }
    if (overlaps > 0) context.diagnostic(`bytes in two directories in ${overlaps} of ${SEEDS} runs`);
  });

test('the same seed gives the same run', () => {
  const run = (): unknown => runModel(3, SCENARIOS.allGone, { trace: true });
  assert.deepEqual(run(), run());
});
