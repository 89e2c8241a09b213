// Lanes: a message carries what a host has, not what a file has; and each byte is in the stream once, whoever is killed.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { partitionOf } from '../../common/wire/subjects.ts';
import { storedFrom } from '../support/chunks.ts';
import { assertIdentical } from '../support/compare.ts';
import { Written } from '../support/log-files.ts';
import { messages } from '../support/said.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { World } from '../support/world.ts';

const FILES = 60;

function manyFiles(world: World): Written[] {
  return Array.from({ length: FILES }, (_, index) => new Written(world, `log-${index}.log`));
}

/** By path: the source bytes that messages hold, and how many of them are there more than once. */
async function inStream(world: World): Promise<{ messages: number; bytes: number; again: number }> {
  const ends = new Map<string, number>();
  let [count, bytes, again] = [0, 0, 0];
  for await (const { listed } of storedFrom(world, 1)) {
    count += 1;
    for (const { path, chunk } of listed) {
      if (chunk.kind !== 'data') continue;
      const end = ends.get(path) ?? 0;
      bytes += chunk.end - chunk.start;
      again += Math.max(0, Math.min(chunk.end, end) - chunk.start);
      ends.set(path, Math.max(end, chunk.end));
    }
  }
  return { messages: count, bytes, again };
}

describe('lanes', { concurrency: 2 }, () => {
  test('lines of many files at once are in few messages', async () => {
    await World.run('lanes-many', async (world) => {
      const files = manyFiles(world);
      for (const file of files) file.line();
      world.receive();
      world.ship();
      await assertIdentical(world, files);
      for (let round = 0; round < 5; round += 1) {
        for (const file of files) file.line();
        await assertIdentical(world, files);
      }
      const { messages: count, bytes, again } = await inStream(world);
      assert.equal(
        bytes,
        files.reduce((sum, file) => sum + file.bytes, 0),
      );
      assert.equal(again, 0);
      // One line a message would be 360.
      assert.ok(count < (FILES * 6) / 3, `${count} messages`);
    });
  });

  test('large chunks that take little room when packed: no message holds more than a receiver takes', async () => {
    await World.run('lanes-packed', async (world) => {
      const line = `${'the same again and again '.repeat(40)}\n`;
      const files = manyFiles(world).slice(0, 24);
      for (const file of files) file.append(line.repeat(2_000));
      const receiver = world.receive();
      world.ship();
      await assertIdentical(world, files);
      assert.equal(messages(receiver).filter((text) => text.startsWith('skipped a message')).length, 0);
      assert.equal((await inStream(world)).again, 0);
    });
  });

  test('killed at any moment, no receiver there: a shipper sends nothing that the stream has', async () => {
    await World.run('lanes-killed', async (world) => {
      const files = manyFiles(world).slice(0, 12);
      const write = (): void => {
        for (const file of files) for (let line = 0; line < 50; line += 1) file.line();
      };
      write();
      let before = 0;
      for (let round = 0; round < 6; round += 1) {
        const shipper = world.ship();
        const more = before + 1 + round * 3;
        const hasMore = async (): Promise<boolean> =>
          ((await (await world.jsm()).streams.info('LOGS').catch(() => undefined))?.state.messages ?? 0) >=
          more;
        const writing = setInterval(write, 20);
        assert.ok(await until(hasMore, { timeoutMs: WAIT_MS, everyMs: 5 }));
        shipper.child.kill('SIGKILL');
        await shipper.exited;
        clearInterval(writing);
        before = (await inStream(world)).messages;
      }
      world.ship();
      world.receive();
      await assertIdentical(world, files);
      const { bytes, again } = await inStream(world);
      assert.equal(again, 0);
      assert.equal(
        bytes,
        files.reduce((sum, file) => sum + file.bytes, 0),
      );
      // And the record says nothing is missing.
      const { record } = await (await world.records()).read(partitionOf(world.host, world.partitions));
      assert.equal(record?.holes.size, 0);
    });
  });
});
