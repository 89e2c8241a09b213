// One nats-server that comes back without what it had acknowledged: its store removed, or as it was some time ago, as a
// whole and in part. The source files are there, so every byte arrives, once and in order, and nobody reports a loss.

import { rm } from 'node:fs/promises';
import { test } from 'node:test';

import { sleep } from '../../common/runtime/run.ts';
import {
  ALL,
  assertLost,
  assertNoErrors,
  BUCKETS,
  copyStore,
  type Kept,
  grows,
  newest,
  putBack,
  RECORDS,
  STREAM,
  wipeStore,
} from '../support/broker.ts';
import { TEST_MS } from '../support/timeouts.ts';
import { assertIdentical } from '../support/compare.ts';
import { baseSeed, random } from '../support/seed.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Writer, Written } from '../support/log-files.ts';

const ROTATE = ['--rotate-size', '200KiB'];

interface Loss {
  readonly what: string;
  readonly streams: readonly string[];
  readonly isWiped?: boolean;
  /** The receiver is stopped before the copy is made: nothing that is lost was committed. */
  readonly beforeCommit?: boolean;
}

const LOSSES: readonly Loss[] = [
  { what: 'the store removed', streams: ALL, isWiped: true },
  { what: 'all of it older than what was published', streams: ALL, beforeCommit: true },
  { what: 'all of it older than what was committed', streams: ALL },
  { what: 'the stream older, the buckets not', streams: [STREAM] },
  { what: 'the buckets older, the stream not', streams: BUCKETS },
];

/** A file that was rotated, committed and deleted, as everywhere: its bytes are at the receiver alone. */
async function committedAndDeleted(world: World): Promise<Written> {
  const file = new Written(world, 'old.log');
  for (let lines = 0; lines < 20; lines += 1) file.line();
  await assertIdentical(world, [file]);
  file.rotate();
  file.line();
  await assertIdentical(world, [file]);
  await rm(`${file.file}.1`);
  // Its descriptor is closed by then.
  await sleep(3_000);
  return file;
}

for (const receivers of ['running', 'stopped'] as const)
  test(
    `removed, older, older in part, with receivers ${receivers}: identical, and nothing is called lost`,
    { timeout: TEST_MS },
    async () => {
      const seed = baseSeed() * 100 + (receivers === 'running' ? 20 : 21);
      await World.run(`rollback-${receivers}`, async (world) => {
        const rand = random(seed);
        const shipper = world.ship(['--rotate-wait', '1s']);
        let receiver: Daemon = world.receive(ROTATE);
        const files = [await committedAndDeleted(world)];
        for (const name of ['a.log', 'b.log', 'c.log']) files.push(new Written(world, name));
        for (const file of files) file.line();
        await assertIdentical(world, files);
        const losses = LOSSES.filter(({ beforeCommit }) => receivers === 'stopped' || beforeCommit !== true);
        for (const { what, streams, isWiped, beforeCommit } of losses) {
          console.log(`# ${what}, receivers ${receivers}, seed ${seed}`);
          const writer = new Writer(files.slice(1), rand, { rotate: 'rename', perTick: 20 });
          await world.inFlight();
          if (beforeCommit === true) await receiver.kill();
          await world.server.kill();
          const copy = await copyStore(world);
          await world.restartServer();
          // Nobody sets a record while the receiver is stopped.
          const lost = beforeCommit === true ? streams.filter((name) => name !== RECORDS) : streams;
          // What is shipped and committed from now on is lost again.
          for (const stream of lost) await grows(world, stream);
          await sleep(1_500 + rand() * 1_000);
          if (receivers === 'stopped' && beforeCommit !== true) await receiver.kill();
          const before = new Map<string, Kept>();
          for (const stream of lost) before.set(stream, await newest(world, stream));
          await world.server.kill();
          if (isWiped === true) await wipeStore(world);
          else await putBack(world, copy, streams);
          await world.restartServer();
          for (const [stream, kept] of before) await assertLost(world, stream, kept);
          await sleep(500 + rand() * 1_000);
          if (receivers === 'stopped') {
            assertNoErrors(receiver);
            receiver = world.receive(ROTATE);
          }
          await writer.stop();
          for (const file of files) file.line();
          await assertIdentical(world, files);
        }
        assertNoErrors(shipper, receiver);
      });
    },
  );
