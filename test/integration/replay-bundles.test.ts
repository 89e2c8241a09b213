// Replays of messages that hold chunks of many files: what was asked for is picked out of them, and what one of them holds
// is never taken for what another does.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';

import { jetstream } from '@nats-io/jetstream';
import { headers } from '@nats-io/transport-node';

import { BUNDLE_HEADER, packBundle, type Sent } from '../../common/wire/bundle.ts';
import { tailOf } from '../../common/wire/digest.ts';
import { publishSubject } from '../../common/wire/subjects.ts';
import { destinationOf } from '../../receiver/ledger/names.ts';
import { type Generation, generation, joinedOf, replayed, setUp } from '../support/chunks.ts';
import { baseSeed, random } from '../support/seed.ts';
import { World } from '../support/world.ts';

interface Part {
  readonly log: Generation;
  readonly start: number;
  readonly end: number;
}

/** Publishes parts of files of one host as one message, on a lane of its own choice; returns the stream's sequence. */
async function together(world: World, parts: readonly Part[], damaged = false): Promise<number> {
  const sent = parts.map(({ log, start, end }): Sent => {
    const tail = tailOf(log.data.subarray(0, end));
    const { begin = 0, after } = log;
    const chunk = { kind: 'data', start, end, begin, after, tail } as const;
    return { path: log.path, file: log.file, chunk, payload: log.data.subarray(start, end) };
  });
  const { header, payload } = packBundle('00000001.1', sent, true);
  // Of the bytes behind the table.
  if (damaged) payload[payload.length - 1]! ^= 1;
  const fields = headers();
  fields.append(BUNDLE_HEADER, header);
  const { nc } = await world.connection();
  const subject = publishSubject('logs', parts[0]!.log.host, parts.length % 2);
  return (await jetstream(nc).publish(subject, payload, { headers: fields })).seq;
}

function logAt(host: string, name: string, file: string, size: number): Generation {
  return generation(host, file, size, { path: `/var/log/${name}.log` });
}

async function namesIn(out: string, host: string): Promise<string[]> {
  return (await readdir(path.join(out, host, 'var', 'log'))).toSorted();
}

describe('messages with chunks of many files', { concurrency: 2 }, () => {
  test('by path: only what was asked for is written, whatever is missing of the rest', async () => {
    await World.run('replay-picked', async (world) => {
      await setUp(world);
      const [one, two, three] = [
        logAt('web1', 'one', 'aaa-0', 300),
        logAt('web1', 'two', 'bbb-0', 300),
        logAt('web1', 'three', 'ccc-0', 300),
      ];
      await together(world, [
        { log: one, start: 0, end: 100 },
        { log: two, start: 100, end: 200 },
        { log: three, start: 0, end: 300 },
      ]);
      await together(world, [
        { log: two, start: 250, end: 300 },
        { log: one, start: 200, end: 300 },
      ]);
      await together(world, [
        { log: one, start: 100, end: 200 },
        { log: two, start: 200, end: 220 },
      ]);
      const picked = await replayed(world, 'picked', ['--path', '/var/log/one.log']);
      assert.equal(picked.code, 0, picked.stderr);
      assert.match(picked.stdout, /^replayed 300 B of 1 file of 1 host in /);
      assert.deepEqual(await namesIn(picked.out, 'web1'), ['one.log']);
      assert.deepEqual(await joinedOf(picked.out, one), { data: one.data, holes: [], begin: 0 });
      const rest = await replayed(world, 'rest', ['--exclude', 'one.log']);
      assert.equal(rest.code, 1, rest.stderr);
      assert.match(rest.stderr, /two\.log: the stream reaches back to byte 100 of generation bbb-0/);
      assert.match(rest.stderr, /two\.log: bytes 220 to 250 of generation bbb-0 are not in the stream/);
      assert.deepEqual(await namesIn(rest.out, 'web1'), ['three.log', 'two.log']);
      assert.deepEqual(await joinedOf(rest.out, three), { data: three.data, holes: [], begin: 0 });
    });
  });

  test('a damaged one holds nothing of any of them, and is not waited for', async () => {
    await World.run('replay-damaged', async (world) => {
      await setUp(world);
      const files = ['one', 'two', 'three'].map((name, index) => logAt('web1', name, `aaa${index}-0`, 300));
      for (const [start, damaged] of [
        [0, false],
        [100, true],
        [200, false],
      ] as const)
        await together(
          world,
          files.map((log) => ({ log, start, end: start + 100 })),
          damaged,
        );
      const { code, stderr, out } = await replayed(world, 'out');
      assert.equal(code, 1, stderr);
      for (const log of files) {
        assert.match(stderr, new RegExp(`bytes 100 to 200 of generation ${log.file} are not in the stream`));
        const want = Buffer.concat([log.data.subarray(0, 100), log.data.subarray(200)]);
        assert.deepEqual((await joinedOf(out, log)).data, want, log.path);
      }
      assert.match(stderr, /incomplete: 3 ranges of bytes/);
    });
  });

  test('what logferry did not write is counted once, however often it is read', async () => {
    await World.run('replay-strange', async (world) => {
      await setUp(world);
      const [one, two] = [logAt('web1', 'one', 'aaa-0', 200), logAt('web1', 'two', 'bbb-0', 200)];
      const { nc } = await world.connection();
      await jetstream(nc).publish(publishSubject('logs', 'web1', 0), 'something else');
      await together(world, [{ log: one, start: 100, end: 200 }]);
      await together(world, [
        { log: one, start: 0, end: 100 },
        { log: two, start: 0, end: 200 },
      ]);
      const { code, stderr, out } = await replayed(world, 'out');
      assert.equal(code, 0, stderr);
      assert.match(stderr, /^logferry: skipped 1 message that logferry did not write$/m);
      for (const log of [one, two])
        assert.deepEqual(await joinedOf(out, log), { data: log.data, holes: [], begin: 0 });
    });
  });
});

const HOSTS = 30;

test('whatever is lost and in whichever order: what is there of each file is written once, in order', async () => {
  await World.run('replay-bundles-law', async (world) => {
    await setUp(world);
    const rand = random(baseSeed() + 72);
    const below = (most: number): number => Math.floor(rand() * most);
    const jsm = await world.jsm();
    const there = new Map<Generation, Set<number>>();
    for (let number = 0; number < HOSTS; number += 1) {
      const files = ['a', 'b', 'c', 'd'].map((name) =>
        logAt(`h${number}`, name, `${name}-0`, 20 + below(300)),
      );
      const parts: Part[] = [];
      const ends = new Map(files.map((log) => [log, 0]));
      while (files.some((log) => ends.get(log)! < log.data.length)) {
        const log = files[below(files.length)]!;
        const start = ends.get(log)!;
        if (start === log.data.length) continue;
        const end = Math.min(log.data.length, start + 1 + below(60));
        parts.push({ log, start, end });
        ends.set(log, end);
      }
      for (let times = below(5); times > 0; times -= 1) {
        const [moved] = parts.splice(below(parts.length), 1);
        if (moved !== undefined)
          parts.splice(below(parts.length), 0, moved, ...(rand() < 0.3 ? [moved] : []));
      }
      while (parts.length > 0) {
        const message = parts.splice(0, 1 + below(5));
        const seq = await together(world, message);
        if (rand() < 0.1) await jsm.streams.deleteMessage('LOGS', seq);
        else
          for (const { log, start, end } of message) {
            const bytes = there.get(log) ?? new Set<number>();
            there.set(log, bytes);
            for (let at = start; at < end; at += 1) bytes.add(at);
          }
      }
    }
    const { code, stderr, out } = await replayed(world, 'out');
    assert.ok(code === 0 || code === 1, stderr);
    for (const [log, bytes] of there) {
      const want = log.data.filter((_, at) => bytes.has(at));
      const name = `${log.host} ${log.path}, seed ${baseSeed()}`;
      assert.deepEqual(
        await readFile(path.join(out, destinationOf(log.host, log.path))),
        Buffer.from(want),
        name,
      );
      assert.deepEqual((await joinedOf(out, log)).data, Buffer.from(want), name);
    }
  });
});
