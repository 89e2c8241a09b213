// One nats-server that drops messages because it is told to: the stream is deleted and made again by hand, purged, or
// shrunk by its limits. What a host still has is shipped again; what nobody has any more is named by its exact range.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test } from 'node:test';

import { sleep, until } from '../../common/runtime/run.ts';
import { storedSubjects } from '../../common/wire/subjects.ts';
import { publishedSubjects, subjectTransform } from '../../common/wire/topology.ts';
import { assertLost, assertNoErrors, lostIn, newest, stateOf, STREAM } from '../support/broker.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { NANOS_PER_MS } from '../../common/text/units.ts';
import { assertIdentical } from '../support/compare.ts';
import { baseSeed, random } from '../support/seed.ts';
import { central } from '../support/central-files.ts';
import { storedFrom } from '../support/chunks.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Writer, Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';

/** What `logferry setup` makes, with other limits. */
const MADE = {
  name: STREAM,
  subjects: [publishedSubjects('logs')],
  subject_transform: subjectTransform({ stream: STREAM, prefix: 'logs', partitions: PARTITIONS }),
  storage: 'file' as const,
  retention: 'limits' as const,
  discard: 'old' as const,
  allow_direct: true,
  num_replicas: 1,
};

/** Files whose first lines have arrived. */
async function begin(
  world: World,
  names: readonly string[],
): Promise<{ files: Written[]; shipper: Daemon; receiver: Daemon }> {
  const files = names.map((name) => new Written(world, name));
  for (const file of files) file.line();
  const shipper = world.ship(['--compression', 'none']);
  const receiver = world.receive(['--rotate-size', '200KiB']);
  await assertIdentical(world, files);
  return { files, shipper, receiver };
}

/** All that was written is in the stream, or was. */
async function settled(world: World): Promise<number> {
  let last = -1;
  const isStill = async (): Promise<boolean> => {
    const before = last;
    last = (await stateOf(world, STREAM))?.last_seq ?? 0;
    return last === before;
  };
  assert.ok(await until(isStill, { timeoutMs: WAIT_MS, everyMs: 700 }), 'the stream goes on and on');
  return last;
}

test('deleted and made again by hand, also with other limits: identical', { timeout: TEST_MS }, async () => {
  const seed = baseSeed() * 100 + 40;
  await World.run('made-again', async (world) => {
    console.log(`# seed ${seed}`);
    const rand = random(seed);
    const { files, shipper, receiver } = await begin(world, ['a.log', 'b.log', 'c.log']);
    const { jsm } = await world.connection();
    const writer = new Writer(files, rand, { rotate: 'rename', perTick: 20 });
    const limits = [
      { max_age: 7 * 86_400_000 * NANOS_PER_MS, max_bytes: 64 * 1024 ** 2 },
      {
        max_age: 60_000 * NANOS_PER_MS,
        duplicate_window: 60_000 * NANOS_PER_MS,
        max_bytes: 8 * 1024 ** 2,
        max_msgs: 2_000,
      },
      { max_msgs_per_subject: -1, max_msg_size: 2 * 1024 ** 2, max_bytes: -1 },
    ];
    for (const each of limits) {
      await sleep(500 + rand() * 500);
      await world.inFlight();
      const before = await newest(world, STREAM);
      assert.equal(await jsm.streams.delete(STREAM), true);
      if (rand() < 0.5) await sleep(rand() * 300);
      try {
        await jsm.streams.add({ ...MADE, ...each });
      } catch {
        // A shipper or receiver was faster: as it was, which is changed then.
        await jsm.streams.update(STREAM, each);
      }
      await assertLost(world, STREAM, before);
    }
    await writer.stop();
    for (const file of files) file.line();
    await assertIdentical(world, files);
    assertNoErrors(shipper, receiver);
  });
});

test(
  'purged before it was committed, up to a sequence, one subject, all: identical',
  { timeout: TEST_MS },
  async () => {
    const seed = baseSeed() * 100 + 41;
    await World.run('purged-in-part', async (world) => {
      console.log(`# seed ${seed}`);
      const rand = random(seed);
      const begun = await begin(world, ['a.log', 'b.log', 'c.log']);
      const { files, shipper } = begun;
      let { receiver } = begun;
      const { jsm } = await world.connection();
      for (const how of ['seq', 'keep', 'filter', 'all'] as const) {
        await receiver.stop();
        assertNoErrors(receiver);
        const first = await settled(world);
        for (let round = 0; round < 20; round += 1) {
          for (const file of files) file.line(1_000);
          await sleep(20);
        }
        const last = await settled(world);
        assert.ok(last - first >= 6, 'too few messages');
        const middle = first + 2 + Math.floor(rand() * (last - first - 2));
        const lanes = storedSubjects({ prefix: 'logs', partitions: PARTITIONS }, world.host);
        const { state } = await jsm.streams.info(STREAM, { subjects_filter: lanes });
        const subjects = Object.keys(state.subjects ?? {});
        const filter = subjects[Math.floor(rand() * subjects.length)] ?? '';
        const options = {
          seq: { seq: middle },
          keep: { keep: 1 + Math.floor(rand() * 4) },
          filter: { filter },
          all: undefined,
        }[how];
        const { purged } = await jsm.streams.purge(STREAM, options);
        console.log(`# purged ${purged} by ${how} ${JSON.stringify(options)}`);
        assert.ok(purged > 0, 'nothing was purged');
        if (rand() < 0.5) for (const file of files) file.line();
        receiver = world.receive(['--rotate-size', '200KiB']);
        await assertIdentical(world, files);
      }
      assertNoErrors(shipper, receiver);
    });
  },
);

for (const [limit, config] of [
  ['max_bytes', { max_bytes: 40_000 }],
  ['max_msgs', { max_msgs: 12 }],
  ['max_age', { max_age: 2_000 * NANOS_PER_MS, duplicate_window: 1_000 * NANOS_PER_MS }],
] as const)
  test(
    `shrunk by ${limit} while nobody receives: shipped again, and what is deleted is reported exactly`,
    { timeout: TEST_MS },
    async () => {
      await World.run(`shrunk-${limit}`, async (world) => {
        const begun = await begin(world, ['kept.log', 'gone.log']);
        const [kept, gone] = begun.files;
        assert.ok(kept !== undefined && gone !== undefined);
        const { jsm } = await world.connection();
        await begun.receiver.stop();
        const committed = gone.bytes;
        for (let round = 0; round < 30; round += 1) {
          for (const file of begun.files) file.line(1_000);
          await sleep(20);
        }
        const last = await settled(world);
        await begun.shipper.stop();
        const size = gone.bytes;
        const want = await gone.truth();
        // What is not committed of it is in the stream alone; another file takes its path.
        await rm(gone.file);
        const before = (await stateOf(world, STREAM))?.messages ?? 0;
        await jsm.streams.update(STREAM, config);
        const isShrunk = async (): Promise<boolean> => {
          const { messages = 0 } = (await stateOf(world, STREAM)) ?? {};
          return messages < before && (limit !== 'max_age' || messages === 0);
        };
        assert.ok(await until(isShrunk, { timeoutMs: WAIT_MS }), 'nothing was dropped');
        await jsm.streams.update(STREAM, { max_bytes: 64 * 1024 ** 2, max_msgs: -1, max_age: 0 });
        const from = await firstByte(world, gone, last, size);
        console.log(`# of ${committed} to ${size}, the stream has what is behind ${from}`);
        assert.ok(from > committed, 'nothing of the deleted file was dropped');
        const next = new Written(world, 'gone.log');
        next.line();
        const shipper = world.ship(['--compression', 'none']);
        const receiver = world.receive(['--rotate-size', '200KiB']);
        const rest = Buffer.concat([want.subarray(0, committed), want.subarray(from), await next.truth()]);
        const isThere = async (): Promise<boolean> =>
          rest.equals(await central(world.out, world.host, gone.file));
        assert.ok(await until(isThere, { timeoutMs: WAIT_MS, everyMs: 100 }), 'what is left has not arrived');
        assert.deepEqual(lostIn(receiver), [`gone.log ${committed}-${from}`]);
        assert.deepEqual(lostIn(shipper), [`gone.log ${committed}-${size}`]);
        await until(
          async () => (await kept.truth()).equals(await central(world.out, world.host, kept.file)),
          {
            timeoutMs: WAIT_MS,
          },
        );
        assert.deepEqual(await central(world.out, world.host, kept.file), await kept.truth());
      });
    },
  );

/** Where the bytes of a file begin that the stream still holds; its size when it holds none. */
async function firstByte(world: World, file: Written, last: number, size: number): Promise<number> {
  const { first_seq = 0 } = (await stateOf(world, STREAM)) ?? {};
  for await (const { listed } of storedFrom(world, first_seq, last)) {
    const first = listed.find(({ path }) => path === file.file);
    if (first !== undefined) return first.chunk.start;
  }
  return size;
}
