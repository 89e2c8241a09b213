// A shipper whose state is lost, or put back from an older copy, while its file was copied and truncated: the stream
// knows more than the state does, and nothing comes twice.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

import { sleep } from '../../common/runtime/run.ts';
import { TEST_MS } from '../support/timeouts.ts';
import { assertIdentical } from '../support/compare.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

/** Birth times come in ticks of the kernel's clock. */
const TICK_MS = 20;

async function addAndCopy(file: Written, lines: number): Promise<void> {
  for (let line = 0; line < lines; line += 1) file.line();
  await sleep(TICK_MS);
  await file.copyTruncate();
  await sleep(TICK_MS);
}

/** Ships, copies and truncates with and without a shipper, damages the state, and goes on. */
async function shipped(
  damage: (state: string, older: string) => void,
  copies: { readonly seen: number; readonly unseen: number },
): Promise<void> {
  await World.run('older-state', async (world) => {
    const file = new Written(world, 'a.log');
    for (let line = 0; line < 5; line += 1) file.line();
    world.receive();
    const state = path.join(world.state, 'state.json');
    let shipper = world.ship();
    await assertIdentical(world, [file]);
    await shipper.stop();
    const older = readFileSync(state, 'utf8');
    shipper = world.ship();
    file.line();
    await assertIdentical(world, [file]);
    for (let round = 0; round < copies.seen; round += 1) {
      await addAndCopy(file, 3 + round);
      for (let line = 0; line < 4; line += 1) file.line();
      await assertIdentical(world, [file]);
    }
    await shipper.stop();
    for (let round = 0; round < copies.unseen; round += 1) await addAndCopy(file, 7 + round);
    for (let line = 0; line < 2; line += 1) file.line();
    damage(state, older);
    shipper = world.ship();
    await assertIdentical(world, [file]);
    for (let line = 0; line < 2; line += 1) file.line();
    await addAndCopy(file, 1);
    file.line();
    await assertIdentical(world, [file]);
    await shipper.stop();
    file.close();
  });
}

const putBack = (state: string, older: string): void => {
  writeFileSync(state, older);
};
const lose = (state: string): void => {
  rmSync(state);
};

describe('copied and truncated, and the state', { concurrency: true }, () => {
  for (const [what, damage, seen, unseen] of [
    ['is an older one', putBack, 1, 1],
    ['is an older one', putBack, 2, 2],
    ['is lost', lose, 0, 2],
    ['is lost', lose, 2, 2],
  ] as const)
    test(`${what}: ${seen} times, and ${unseen} times while nobody looks`, { timeout: TEST_MS }, async () => {
      await shipped(damage, { seen, unseen });
    });
});
