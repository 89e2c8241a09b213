// Somebody deletes what a receiver is writing to: bytes that nobody could find again do not count as committed.

import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { partitionOf } from '../../common/wire/subjects.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { central } from '../support/central-files.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';

/** Everything that is committed of the host's only file. */
async function committed(world: World): Promise<number> {
  const read = (await world.records()).read(partitionOf(world.host, PARTITIONS));
  // There is no bucket yet.
  const { record } = await read.catch(() => ({ record: undefined }));
  return [...(record?.files.values() ?? [])].reduce((sum, { offset }) => sum + offset, 0);
}

async function isCommitted(world: World, bytes: number): Promise<void> {
  const isThere = async (): Promise<boolean> => (await committed(world)) === bytes;
  assert.ok(
    await until(isThere, { timeoutMs: WAIT_MS, everyMs: 50 }),
    `${await committed(world)} of ${bytes} are committed`,
  );
}

/** Fifty lines that are committed: so many bytes. */
async function begun(world: World): Promise<{ file: Written; receiver: Daemon; before: number }> {
  const file = new Written(world, 'app.log');
  for (let line = 0; line < 50; line += 1) file.line();
  const receiver = world.receive();
  world.ship();
  await isCommitted(world, file.bytes);
  return { file, receiver, before: file.bytes };
}

describe('deleted while it is written to', { concurrency: true }, () => {
  test('a central file: what comes then is in a new one', async () => {
    await World.run('deleted-file', async (world) => {
      const { file, receiver, before } = await begun(world);
      await rm(path.join(world.out, world.host, file.file));
      for (let line = 0; line < 50; line += 1) file.line();
      await isCommitted(world, file.bytes);
      const want = (await readFile(file.file)).subarray(before);
      const got = await central(world.out, world.host, file.file);
      assert.ok(got.equals(want), `${got.length} bytes, not ${want.length}`);
      assert.match(receiver.stderr, /app\.log was deleted while it was written to/);
    });
  });

  test('the whole directory: nothing is committed there any more, and a receiver elsewhere goes on', async () => {
    await World.run('deleted-directory', async (world) => {
      const { file, receiver, before } = await begun(world);
      // The receiver may be making a file in it at this moment.
      await rm(world.out, { recursive: true, maxRetries: 20 });
      for (let line = 0; line < 50; line += 1) file.line();
      const isSaid = (): boolean => /was deleted while it was written to/.test(receiver.stderr);
      assert.ok(await until(isSaid, { timeoutMs: WAIT_MS }), receiver.stderr);
      assert.equal(await committed(world), before);
      await receiver.kill();
      const elsewhere = path.join(world.dir, 'elsewhere');
      world.receive([], elsewhere);
      await isCommitted(world, file.bytes);
      const want = (await readFile(file.file)).subarray(before);
      assert.ok((await central(elsewhere, world.host, file.file)).equals(want));
    });
  });
});
