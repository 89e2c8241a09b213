// Copytruncates that fall between two looks: the copies hold everything, and their order is known.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { sleep, until } from '../../common/runtime/run.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { assertIdentical } from '../support/compare.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

/** Longer than it takes to look at a file that was written lately. */
const LOOK_MS = 1_300;

/** Runs with one file, a receiver and a shipper; nothing may be reported lost. */
async function shipping(
  steps: (world: World, file: Written) => Promise<void>,
  first?: string,
): Promise<void> {
  await World.run('copytruncate', async (world) => {
    const file = new Written(world, 'a.log');
    if (first !== undefined) file.append(first);
    const receiver = world.receive();
    const shipper = world.ship();
    await until(() => shipper.stderr.includes('shipping /'), { timeoutMs: WAIT_MS });
    if (first !== undefined) await assertIdentical(world, [file]);
    await steps(world, file);
    await assertIdentical(world, [file]);
    assert.equal(/ are lost|"level":50/.test(shipper.stderr), false, shipper.stderr);
    file.close();
    await shipper.stop();
    await receiver.stop();
  });
}

for (const looks of [[], [1], [2], [1, 2, 3]])
  test(
    `copytruncated three times while the server is down, looked at after ${looks.join(', ') || 'all'}`,
    { timeout: TEST_MS },
    async () => {
      await shipping(
        async (world, file) => {
          await world.server.kill();
          for (const round of [1, 2, 3]) {
            for (let line = 0; line < 20; line += 1) file.line();
            await file.copyTruncate();
            // As long as what was shipped: the size does not tell.
            file.line();
            if (looks.includes(round)) await sleep(LOOK_MS);
          }
          await world.restartServer();
        },
        `${'x'.repeat(99)}\n`,
      );
    },
  );

test(
  'copied after it was found and before it was published: in its place, not before it',
  { timeout: TEST_MS },
  async () => {
    await shipping(async (world, file) => {
      await world.server.kill();
      file.append('A2 more, nobody can publish it\n');
      await file.copyTruncate();
      file.append('B in a.log, longer\n');
      await sleep(LOOK_MS);
      await file.copyTruncate();
      file.append('C in a.log, longer still\n');
      await sleep(100);
      await file.copyTruncate();
      file.append('D in a.log, and so on and on\n');
      await world.restartServer();
    }, 'A in a.log\n');
  },
);

test(
  'found empty: what was copied before anything of it was published comes first',
  { timeout: TEST_MS },
  async () => {
    await shipping(async (world, file) => {
      await world.server.kill();
      file.append('A in a.log\n');
      await file.copyTruncate();
      file.append('B in a.log, longer\n');
      await file.copyTruncate();
      await world.restartServer();
      await assertIdentical(world, [file]);
      file.append('C in a.log\n');
    });
  },
);

test('the same header in each generation', { timeout: TEST_MS }, async () => {
  await shipping(async (world, file) => {
    await world.server.kill();
    for (const name of ['B', 'C', 'D']) {
      await file.copyTruncate();
      file.append('# header\n');
      await sleep(LOOK_MS);
      file.append(`${name} in a.log\n`);
    }
    await world.restartServer();
  }, '# header\nA in a.log\n');
});

test(
  'truncated and as long as before: noticed, although nothing more is written',
  { timeout: TEST_MS },
  async () => {
    await shipping(async (_, file) => {
      await file.copyTruncate();
      file.append('B in a.log\n');
    }, 'A in a.log\n');
  },
);

test(
  'truncated, written and renamed before the next look: what was written is in the renamed file',
  { timeout: TEST_MS },
  async () => {
    await shipping(async (world, file) => {
      await file.truncate();
      file.append('B in a.log\n');
      file.rotate();
      file.append('C in a.log\n');
      await assertIdentical(world, [file]);
    }, 'A in a.log, all of it shipped\n');
  },
);

test(
  'a new file that is written, copied and truncated before it is found',
  { timeout: TEST_MS },
  async () => {
    await shipping(async (world, file) => {
      file.rotate();
      file.append('B in a.log, longer\n');
      await file.copyTruncate();
      file.append('C in a.log\n');
      await assertIdentical(world, [file]);
    }, 'A in a.log\n');
  },
);
