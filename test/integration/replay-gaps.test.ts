// Replays of streams that have lost messages, or got them in another order: what is there is written once and in order,
// what is not is named.

import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';

import { destinationOf } from '../../receiver/ledger/names.ts';
import {
  type Generation,
  generation,
  joinedOf,
  publish,
  publishEnd,
  replayed,
  setUp,
} from '../support/chunks.ts';
import { baseSeed, random } from '../support/seed.ts';
import { World } from '../support/world.ts';

/** All that is written of a file that was not rotated there, in the order in which it lies. */
async function onDisk(out: string, { host, path: source }: Generation): Promise<Buffer> {
  return await readFile(path.join(out, destinationOf(host, source)));
}

async function publishAll(world: World, of: Generation, size = 100): Promise<number[]> {
  const seqs: number[] = [];
  for (let at = 0; at < of.data.length; at += size)
    seqs.push(await publish(world, of, at, Math.min(of.data.length, at + size)));
  return seqs;
}

describe('a stream that does not reach back', { concurrency: 2 }, () => {
  test('to a generation: says from which byte on, and what is there is identical', async () => {
    await World.run('replay-head', async (world) => {
      await setUp(world);
      const one = generation('web1', 'aaa-0', 1_000);
      const [, , , fourth = 0] = await publishAll(world, one);
      await (await world.jsm()).streams.purge('LOGS', { seq: fourth });
      // No records at all are records that know nothing.
      await (await world.jsm()).streams.delete('KV_LOGS_partitions');
      const { code, stderr, stdout, out } = await replayed(world, 'out');
      assert.equal(code, 0, stderr);
      assert.match(
        stderr,
        /^logferry: web1: \/var\/log\/app\.log: the stream reaches back to byte 300 of generation aaa-0; earlier bytes are not in it$/m,
      );
      assert.match(stdout, /^replayed 700 B of 1 file of 1 host in \S+\n$/);
      assert.deepEqual(await joinedOf(out, one), { data: one.data.subarray(300), holes: [], begin: 300 });
      // Nobody has committed the head: a receiver that went on here would never ask for it.
      const receiver = world.receive();
      assert.equal(await receiver.exited, 1);
      assert.match(
        receiver.stderr,
        /passed over bytes which no receiver has committed: give the receiver another/,
      );
    });
  });

  test('to bytes that were committed: a receiver goes on behind the rest', async () => {
    await World.run('replay-committed', async (world) => {
      await setUp(world);
      const one = generation('web1', 'aaa-0', 1_000);
      const seqs: number[] = [];
      for (let at = 0; at < 800; at += 100) seqs.push(await publish(world, one, at, at + 100));
      const first = world.receive(['--once']);
      assert.equal(await first.exited, 0, first.stderr);
      await rm(world.out, { recursive: true });
      const jsm = await world.jsm();
      await jsm.streams.purge('LOGS', { seq: seqs[3]! });
      await jsm.streams.deleteMessage('LOGS', seqs[5]!);
      const { code, stderr, out } = await replayed(world, 'out');
      assert.equal(code, 1);
      assert.match(stderr, /reaches back to byte 300 of/);
      assert.match(stderr, /bytes 500 to 600 of generation aaa-0 are not in the stream/);
      assert.doesNotMatch(stderr, /refuses/);
      for (let at = 800; at < 1_000; at += 100) await publish(world, one, at, at + 100);
      const second = world.receive(['--once']);
      assert.equal(await second.exited, 0, second.stderr);
      const rest = Buffer.concat([one.data.subarray(300, 500), one.data.subarray(600)]);
      const holes = [{ file: 'aaa-0', start: 500, end: 600 }];
      assert.deepEqual(await joinedOf(out, one), { data: rest, holes, begin: 300 });
      assert.deepEqual(await onDisk(out, one), rest);
    });
  });

  test('to the generation before: does not wait for it', async () => {
    await World.run('replay-before', async (world) => {
      await setUp(world);
      const one = generation('web1', 'aaa-0', 500);
      const two = generation('web1', 'bbb-1', 500, { after: { file: 'aaa-0', size: 500 } });
      const three = generation('web1', 'ccc-2', 500, { after: { file: 'bbb-1', size: 500 } });
      await publishAll(world, one);
      const [, second = 0] = await publishAll(world, two);
      await publishAll(world, three);
      const jsm = await world.jsm();
      await jsm.streams.purge('LOGS', { seq: second });
      const late = await replayed(world, 'late');
      assert.equal(late.code, 0, late.stderr);
      assert.match(late.stderr, /reaches back to byte 100 of generation bbb-1/);
      const rest = Buffer.concat([two.data.subarray(100), three.data]);
      assert.deepEqual(await joinedOf(late.out, one), { data: rest, holes: [], begin: 100 });
      assert.deepEqual(await onDisk(late.out, one), rest);
      await jsm.streams.purge('LOGS', { seq: second + 4 });
      const later = await replayed(world, 'later');
      assert.equal(later.code, 0, later.stderr);
      assert.match(later.stderr, /reaches back to byte 0 of generation ccc-2/);
      assert.deepEqual(await joinedOf(later.out, one), { data: three.data, holes: [], begin: 0 });
    });
  });
});

describe('bytes that the stream has lost', { concurrency: 2 }, () => {
  test('in the middle: named, the rest is written, exit 1, and cat says the same', async () => {
    await World.run('replay-hole', async (world) => {
      await setUp(world);
      const one = generation('web1', 'aaa-0', 1_000);
      const other = generation('web2', 'bbb-0', 300);
      const seqs = await publishAll(world, one);
      await publishAll(world, other);
      const jsm = await world.jsm();
      await jsm.streams.deleteMessage('LOGS', seqs[4]!);
      await jsm.streams.deleteMessage('LOGS', seqs[5]!);
      await jsm.streams.deleteMessage('LOGS', seqs[8]!);
      const { code, stderr, out } = await replayed(world, 'out');
      assert.equal(code, 1);
      assert.match(
        stderr,
        /web1: \/var\/log\/app\.log: bytes 400 to 600 of generation aaa-0 are not in the stream/,
      );
      assert.match(stderr, /bytes 800 to 900 of generation aaa-0 are not in the stream/);
      assert.match(stderr, /logferry: incomplete: 2 ranges of bytes could not be had from the stream: .*\n$/);
      const rest = Buffer.concat(
        [
          [0, 400],
          [600, 800],
          [900, 1_000],
        ].map(([a, b]) => one.data.subarray(a, b)),
      );
      const holes = [
        { file: 'aaa-0', start: 400, end: 600 },
        { file: 'aaa-0', start: 800, end: 900 },
      ];
      assert.deepEqual(await joinedOf(out, one), { data: rest, holes, begin: 0 });
      assert.deepEqual(await joinedOf(out, other), { data: other.data, holes: [], begin: 0 });
      // Said again when it is asked for again.
      const again = await replayed(world, 'out', ['--json']);
      assert.equal(again.code, 1);
      const report = JSON.parse(again.stdout) as { holes: unknown[]; bytes: number };
      assert.equal(report.bytes, 1_000);
      assert.deepEqual(report.holes, [
        { host: 'web1', path: '/var/log/app.log', file: 'aaa-0', from: 400, to: 600 },
        { host: 'web1', path: '/var/log/app.log', file: 'aaa-0', from: 800, to: 900 },
      ]);
    });
  });

  test('many: twenty are shown, and the number of the rest', async () => {
    await World.run('replay-holes', async (world) => {
      await setUp(world);
      const one = generation('web1', 'aaa-0', 60 * 10);
      const seqs = await publishAll(world, one, 10);
      const jsm = await world.jsm();
      for (let index = 1; index < 60; index += 2)
        if (index < 59) await jsm.streams.deleteMessage('LOGS', seqs[index]!);
      const { code, stderr } = await replayed(world, 'out');
      assert.equal(code, 1);
      assert.equal(stderr.match(/are not in the stream/g)?.length, 20);
      assert.match(stderr, /^logferry: 9 more ranges are left out$/m);
      assert.match(stderr, /incomplete: 29 ranges/);
    });
  });

  test('at the end of a generation, a whole one between two, and one that is damaged', async () => {
    await World.run('replay-tails', async (world) => {
      await setUp(world);
      const one = generation('web1', 'aaa-0', 300);
      const two = generation('web1', 'bbb-1', 200, { after: { file: 'aaa-0', size: 300 } });
      const three = generation('web1', 'ccc-2', 200, { after: { file: 'bbb-1', size: 200 } });
      const [, , tail = 0] = await publishAll(world, one);
      await publishEnd(world, one);
      const lost = await publishAll(world, two);
      await publishAll(world, three);
      const damaged = generation('web2', 'ddd-0', 300);
      await publish(world, damaged, 0, 100);
      await publish(world, damaged, 100, 200, true);
      await publish(world, damaged, 200, 300);
      const last = generation('web3', 'eee-0', 200);
      await publish(world, last, 0, 100);
      await publish(world, last, 100, 200, true);
      const jsm = await world.jsm();
      for (const seq of [tail, ...lost]) await jsm.streams.deleteMessage('LOGS', seq);
      const { code, stderr, out } = await replayed(world, 'out');
      assert.equal(code, 1);
      assert.match(stderr, /web1: .*: bytes 200 to 300 of generation aaa-0 are not/);
      assert.match(stderr, /web1: .*: bytes 0 to 200 of generation bbb-1 are not/);
      assert.match(stderr, /web2: .*: bytes 100 to 200 of generation ddd-0 are not/);
      assert.match(
        stderr,
        /web3: .*: bytes 100 to 200 of generation eee-0 are not written: they are damaged, or/,
      );
      assert.deepEqual(
        (await joinedOf(out, one)).data,
        Buffer.concat([one.data.subarray(0, 200), three.data]),
      );
      assert.deepEqual(
        (await joinedOf(out, damaged)).data,
        Buffer.concat([damaged.data.subarray(0, 100), damaged.data.subarray(200)]),
      );
      assert.deepEqual((await joinedOf(out, last)).data, last.data.subarray(0, 100));
    });
  });
});

describe('messages in the order of repairs', { concurrency: 2 }, () => {
  test('bytes that come later are waited for, shipped twice or not', async () => {
    await World.run('replay-order', async (world) => {
      await setUp(world);
      const twice = generation('web1', 'aaa-0', 300);
      await publish(world, twice, 0, 100);
      await publish(world, twice, 200, 300);
      await publish(world, twice, 100, 200);
      await publish(world, twice, 200, 300);
      const once = generation('web2', 'bbb-0', 400);
      for (const start of [300, 200, 100, 0]) await publish(world, once, start, start + 100);
      const { code, stderr, out } = await replayed(world, 'out');
      assert.equal(code, 0, stderr);
      for (const one of [twice, once]) {
        assert.deepEqual(await joinedOf(out, one), { data: one.data, holes: [], begin: 0 });
        assert.deepEqual(await onDisk(out, one), one.data);
      }
    });
  });

  test('the next generation waits for the one before, which is repaired after it', async () => {
    await World.run('replay-generations', async (world) => {
      await setUp(world);
      const one = generation('web1', 'aaa-0', 300);
      const two = generation('web1', 'bbb-1', 200, { after: { file: 'aaa-0', size: 300 } });
      await publish(world, one, 0, 100);
      await publish(world, one, 200, 300);
      await publishEnd(world, one);
      await publishAll(world, two);
      await publish(world, one, 100, 200);
      await publish(world, one, 200, 300);
      const { code, stderr, out } = await replayed(world, 'out');
      assert.equal(code, 0, stderr);
      const all = Buffer.concat([one.data, two.data]);
      assert.deepEqual(await joinedOf(out, one), { data: all, holes: [], begin: 0 });
      assert.deepEqual(await onDisk(out, one), all);
    });
  });
});

const HOSTS = 60;

test('whatever is lost and in whichever order: what is there is written once, in order', async () => {
  await World.run('replay-law', async (world) => {
    await setUp(world);
    const rand = random(baseSeed() + 71);
    const below = (most: number): number => Math.floor(rand() * most);
    const jsm = await world.jsm();
    const hosts: Generation[][] = [];
    const there = new Map<Generation, Set<number>>();
    for (let number = 0; number < HOSTS; number += 1) {
      const generations: Generation[] = [];
      for (let index = 0; index <= below(3); index += 1) {
        const before = generations.at(-1);
        const after = before && { after: { file: before.file, size: before.data.length } };
        generations.push(generation(`h${number}`, `${'abc'[index]}-${index}`, 20 + below(200), after));
      }
      hosts.push(generations);
      const sends = generations.flatMap((one) => {
        const cuts: { one: Generation; start: number; end: number }[] = [];
        for (let start = 0; start < one.data.length;) {
          const end = Math.min(one.data.length, start + 1 + below(60));
          cuts.push({ one, start, end });
          start = end;
        }
        return cuts;
      });
      // In order, with some of it out of order, some twice, some never.
      for (let times = below(4); times > 0; times -= 1) {
        const [moved] = sends.splice(below(sends.length), 1);
        if (moved !== undefined)
          sends.splice(below(sends.length), 0, moved, ...(rand() < 0.3 ? [moved] : []));
      }
      for (let times = below(3); times > 0; times -= 1) {
        const one = generations[below(generations.length)]!;
        const start = below(one.data.length);
        sends.splice(below(sends.length), 0, {
          one,
          start,
          end: Math.min(one.data.length, start + 1 + below(80)),
        });
      }
      for (const { one, start, end } of sends) {
        const seq = await publish(world, one, start, end);
        if (rand() < 0.1) await jsm.streams.deleteMessage('LOGS', seq);
        else {
          const bytes = there.get(one) ?? new Set<number>();
          there.set(one, bytes);
          for (let at = start; at < end; at += 1) bytes.add(at);
        }
      }
    }
    const { code, stderr, out } = await replayed(world, 'out');
    assert.ok(code === 0 || code === 1, stderr);
    for (const generations of hosts) {
      const want = Buffer.concat(
        generations.map((one) => one.data.filter((_, at) => there.get(one)?.has(at) === true)),
      );
      if (want.length === 0) continue;
      const { host } = generations[0]!;
      assert.deepEqual(await onDisk(out, generations[0]!), want, `${host}, seed ${baseSeed()}`);
      assert.deepEqual(
        (await joinedOf(out, generations[0]!)).data,
        want,
        `${host}, joined, seed ${baseSeed()}`,
      );
    }
  });
});
