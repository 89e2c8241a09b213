// A few kills of everything: what test/faults/crash.test.ts does at length.

import { test } from 'node:test';

import { crash, VICTIMS } from '../support/crash.ts';
import { baseSeed } from '../support/seed.ts';
import { TEST_MS } from '../support/timeouts.ts';

const KILLS = 3;

for (const [index, victim] of VICTIMS.entries())
  test(
    `${KILLS} times SIGKILL of ${victim} loses, repeats and reorders nothing`,
    { timeout: TEST_MS },
    async () => {
      await crash(victim, baseSeed() * 100 + 60 + index, 'rename', KILLS);
    },
  );
