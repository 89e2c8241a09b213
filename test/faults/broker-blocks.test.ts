// Damaged block files of one nats-server: a flipped bit anywhere in a stored message, a block that is cut short; with the
// server's index of the stream and without it. The source files are there: every byte arrives, once and in order.

import assert from 'node:assert/strict';
import { readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { sleep, until } from '../../common/runtime/run.ts';
import {
  assertLost,
  assertNoErrors,
  blocksOf,
  type Kept,
  messageAt,
  type Part,
  RECORDS,
  stateOf,
  type Stored,
  storedIn,
  storeOf,
  STREAM,
} from '../support/broker.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { assertIdentical } from '../support/compare.ts';
import { baseSeed, random } from '../support/seed.ts';
import { central } from '../support/central-files.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';
import { partitionKey } from '../../common/wire/topology.ts';
import { partitionOf } from '../../common/wire/subjects.ts';
import { PARTITIONS } from '../support/tuned.ts';

interface Damage {
  /** With SIGTERM the server writes its index, and believes it at the start. */
  readonly end: 'stop' | 'kill';
  readonly index: 'kept' | 'removed';
  readonly parts: readonly Part[];
}

const DAMAGES: readonly Damage[] = [
  { end: 'stop', index: 'kept', parts: ['payload', 'headers', 'checksum', 'payload'] },
  { end: 'stop', index: 'kept', parts: ['length'] },
  { end: 'kill', index: 'kept', parts: ['seq'] },
  { end: 'kill', index: 'removed', parts: ['payload'] },
  { end: 'kill', index: 'removed', parts: ['headers'] },
];

/** Flips a bit of each of these messages; gives back what was there. */
async function damage(
  world: World,
  stream: string,
  { end, index, parts }: Damage,
  rand: () => number,
  choose: (stored: readonly Stored[], nth: number) => Stored | undefined,
): Promise<Kept[]> {
  const block = (await blocksOf(world, stream)).at(-1) ?? '';
  const chosen = parts.map((part, nth) => ({ part, nth }));
  const victims: { stored: Stored; part: Part }[] = [];
  const before: Kept[] = [];
  const all = storedIn(await readFile(block));
  for (const { part, nth } of chosen) {
    const stored = choose(all, nth);
    assert.ok(stored !== undefined, 'no message to damage');
    const kept = await messageAt(world, stream, stored.seq);
    if (kept === undefined) continue;
    before.push(kept);
    victims.push({ stored, part });
  }
  assert.ok(before.length > 0, 'nothing to damage');
  await (end === 'stop' ? world.server.stop() : world.server.kill());
  const data = await readFile(block);
  for (const { stored, part } of victims) {
    const [from, to] = stored.parts[part];
    const at = from + Math.floor(rand() * (to - from));
    const bit = Math.floor(rand() * 8);
    console.log(
      `# ${stream} ${end}, index ${index}: bit ${bit} of byte ${at - from} of the ${part} of ${stored.seq}`,
    );
    data.writeUInt8(data.readUInt8(at) ^ (1 << bit), at);
  }
  await writeFile(block, data);
  if (index === 'removed') await rm(path.join(storeOf(world, stream), 'msgs', 'index.db'), { force: true });
  await world.restartServer();
  return before;
}

/** Waits a while, each time longer; a server that answers needs less. */
async function haveArrived(world: World, files: readonly Written[], kills: number): Promise<boolean> {
  const isThere = async (): Promise<boolean> => {
    for (const file of files)
      if ((await central(world.out, world.host, file.file)).length < file.bytes) return false;
    return true;
  };
  return await until(isThere, { timeoutMs: 8_000 * (kills + 1), everyMs: 100 });
}

/** Lines that come one message at a time, and stay uncommitted: nobody receives. */
async function manyMessages(world: World, files: readonly Written[], count: number): Promise<void> {
  const first = (await stateOf(world, STREAM))?.last_seq ?? 0;
  const enough = async (): Promise<boolean> => {
    for (const file of files) file.line(1_000);
    return ((await stateOf(world, STREAM))?.last_seq ?? 0) >= first + count;
  };
  assert.ok(await until(enough, { timeoutMs: WAIT_MS, everyMs: 10 }), 'nothing is shipped');
}

test('flipped bits in messages that nobody has committed: identical', { timeout: TEST_MS }, async () => {
  const seed = baseSeed() * 100 + 30;
  await World.run('flipped', async (world) => {
    const rand = random(seed);
    const files = ['a.log', 'b.log', 'c.log'].map((name) => new Written(world, name));
    for (const file of files) file.line();
    const shipper = world.ship(['--compression', 'none']);
    let receiver: Daemon = world.receive();
    await assertIdentical(world, files);
    for (const each of DAMAGES) {
      console.log(`# seed ${seed}`);
      await receiver.stop();
      assertNoErrors(receiver);
      const { last_seq: committed = 0 } = (await stateOf(world, STREAM)) ?? {};
      await manyMessages(world, files, 30);
      const before = await damage(world, STREAM, each, rand, (all, nth) => {
        const fresh = all.filter(({ seq }) => seq > committed);
        // The last message of a subject is what the next one is fenced with.
        return nth === each.parts.length - 1 && nth > 0
          ? fresh.at(-1)
          : fresh[Math.floor(rand() * fresh.length)];
      });
      for (const kept of before) await assertLost(world, STREAM, kept);
      await sleep(rand() * 1_000);
      for (const file of files) file.line();
      receiver = world.receive();
      await assertIdentical(world, files);
    }
    assertNoErrors(shipper, receiver);
  });
});

test(
  'a block that is cut short, the last one and one in the middle: identical',
  { timeout: TEST_MS },
  async () => {
    const seed = baseSeed() * 100 + 31;
    await World.run('cut-blocks', async (world) => {
      const rand = random(seed);
      const file = new Written(world, 'a.log');
      file.line();
      const shipper = world.ship(['--compression', 'none']);
      let receiver: Daemon = world.receive();
      await assertIdentical(world, [file]);
      for (const [which, end] of [
        ['last', 'kill'],
        ['middle', 'kill'],
        ['middle', 'stop'],
      ] as const) {
        await receiver.stop();
        const { last_seq: committed = 0 } = (await stateOf(world, STREAM)) ?? {};
        // Blocks are of 8 MiB at most.
        for (let number = 0; number < 24; number += 1) {
          file.append(`${number} ${'y'.repeat(500_000)}\n`);
          file.append(`${number} ${'z'.repeat(500_000)}\n`);
        }
        const hasAll = async (): Promise<boolean> => {
          const state = await stateOf(world, STREAM);
          return (await blocksOf(world, STREAM)).length >= 3 && (state?.last_seq ?? 0) - committed >= 24;
        };
        assert.ok(await until(hasAll, { timeoutMs: WAIT_MS, everyMs: 100 }), 'not in the stream');
        const blocks = await blocksOf(world, STREAM);
        const block = blocks.at(which === 'last' ? -1 : -2) ?? '';
        const all = storedIn(await readFile(block));
        const cutAt = all[Math.floor(rand() * all.length)];
        assert.ok(cutAt !== undefined);
        const kept = await messageAt(world, STREAM, cutAt.seq);
        assert.ok(kept !== undefined);
        await (end === 'stop' ? world.server.stop() : world.server.kill());
        const to = cutAt.at + Math.floor(rand() * (cutAt.end - cutAt.at));
        console.log(
          `# seed ${seed}: ${which} of ${blocks.length} blocks cut from ${(await stat(block)).size} to ${to}, ${end}`,
        );
        await truncate(block, to);
        await world.restartServer();
        await assertLost(world, STREAM, kept);
        file.line();
        receiver = world.receive();
        await assertIdentical(world, [file]);
      }
      assertNoErrors(shipper, receiver);
    });
  },
);

for (const receivers of ['running', 'stopped'] as const)
  test(`flipped bits in the records, receivers ${receivers}: identical`, { timeout: TEST_MS }, async () => {
    const seed = baseSeed() * 100 + (receivers === 'running' ? 32 : 33);
    await World.run('flipped-records', async (world) => {
      const rand = random(seed);
      const files = ['a.log', 'b.log'].map((name) => new Written(world, name));
      for (const file of files) file.line();
      world.ship();
      let receiver: Daemon = world.receive();
      await assertIdentical(world, files);
      for (const { end, index, parts } of DAMAGES.slice(0, 4)) {
        console.log(`# seed ${seed}`);
        for (const file of files) file.line();
        await assertIdentical(world, files);
        // The record follows the files; the one that is damaged must not be replaced before that.
        const isCommitted = async (): Promise<boolean> => (await world.uncommitted()) === 0;
        assert.ok(await until(isCommitted, { timeoutMs: WAIT_MS }), 'the record does not follow');
        if (receivers === 'stopped') await receiver.stop();
        const [part = 'payload'] = parts;
        const before = await damage(world, RECORDS, { end, index, parts: [part] }, rand, (all) =>
          all.findLast(({ subject }) =>
            subject.endsWith(`.${partitionKey(partitionOf(world.host, PARTITIONS))}`),
          ),
        );
        for (const kept of before) await assertLost(world, RECORDS, kept);
        for (const file of files) file.line();
        if (receivers === 'stopped') receiver = world.receive();
        // nats-server 2.15.1 that trusts its index answers nothing more once it cannot remove the damaged record. Killed
        // after that, it reads its files; killed before, it trusts the index again.
        for (
          let kills = 0;
          end === 'stop' && kills < 10 && !(await haveArrived(world, files, kills));
          kills += 1
        ) {
          await world.server.kill();
          await world.restartServer();
        }
        await assertIdentical(world, files);
        if (end === 'stop') {
          // It may still have no record to give.
          await world.server.kill();
          await world.restartServer();
        }
      }
      assertNoErrors(receiver);
    });
  });
