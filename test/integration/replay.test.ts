// `logferry replay`: what is in the stream, in a directory of its own, byte for byte; gone on with after any kill, and
// by a receiver. What runs beside it is not disturbed.

import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';

import { sleep, until } from '../../common/runtime/run.ts';
import { partitionOf } from '../../common/wire/subjects.ts';
import { destinationOf } from '../../receiver/ledger/names.ts';
import {
  generation,
  joinedOf,
  publish,
  publishMuch,
  replayed,
  replayState,
  setUp,
  startReplay,
} from '../support/chunks.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { Proxy } from '../support/proxy.ts';
import { ended, fails, stops } from '../support/said.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { assertShared } from '../support/compare.ts';
import { baseSeed, random } from '../support/seed.ts';
import { bytesIn } from '../support/central-files.ts';
import { Hosts } from '../support/in-process.ts';
import { World } from '../support/world.ts';
import type { Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';

const SOON_MS = 5_000;

async function consumersOf(world: World): Promise<string[]> {
  const names: string[] = [];
  const jsm = await world.jsm();
  for await (const { name, created, delivered, ack_floor } of jsm.consumers.list('LOGS'))
    names.push(JSON.stringify([name, created, delivered.consumer_seq, ack_floor]));
  return names.toSorted();
}

/** Everything in the records' bucket, and who is a member. */
async function bucketsOf(world: World): Promise<string[]> {
  const jsm = await world.jsm();
  const { state } = await jsm.streams.info('KV_LOGS_partitions', { subjects_filter: '>' });
  const members = await jsm.streams.info('KV_LOGS_members', { subjects_filter: '>' });
  return [String(state.last_seq), ...Object.keys(members.state.subjects ?? {}).toSorted()];
}

/** Lines, rotations and truncations in several hosts' files, all of them committed. */
async function filled(world: World): Promise<Hosts> {
  const hosts = await Hosts.start(world, [world.out], 3, 2);
  const rand = random(baseSeed() + 5);
  for (let round = 0; round < 4; round += 1) {
    for (const file of hosts.files) for (let line = 0; line < 200; line += 1) file.line(50 + rand() * 300);
    await assertShared(hosts.files, [world.out]);
    for (const [index, file] of hosts.files.entries()) {
      if ((index + round) % 3 === 0) file.rotate();
      else if ((index + round) % 3 === 1) await file.copyTruncate();
      file.line();
    }
    await assertShared(hosts.files, [world.out]);
  }
  return hosts;
}

function ofHost(files: readonly Written[], host: string): Written[] {
  return files.filter((file) => file.host === host);
}

test('several hosts, rotations and truncations: identical in both formats, and by host and path; nobody is disturbed', async () => {
  await World.run('replay-whole', async (world) => {
    const receiver = world.receive();
    const { files } = await filled(world);
    const before = [await consumersOf(world), await bucketsOf(world)];
    const plain = await replayed(world, 'plain', ['--rotate-size', '16KiB']);
    assert.equal(plain.code, 0, plain.stderr);
    assert.match(plain.stdout, /^replayed \S+ KiB of 6 files of 3 hosts in \S+\n$/);
    await assertShared(files, [plain.out], SOON_MS);
    const segments = (await readdir(plain.out, { recursive: true })).filter((name) => /Z(-\d+)?$/.test(name));
    assert.ok(segments.length > 6, `${segments.length} segments`);
    const zstd = await replayed(world, 'zstd', ['--format', 'zstd', '--json', '--file-mode', '0604']);
    assert.equal(zstd.code, 0, zstd.stderr);
    const report = JSON.parse(zstd.stdout) as { bytes: number; files: number; hosts: number; holes: [] };
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    assert.deepEqual([report.bytes, report.files, report.hosts, report.holes], [bytes, 6, 3, []]);
    await assertShared(files, [zstd.out], SOON_MS);

    const host = await replayed(world, 'host', ['--host', 'web2']);
    assert.equal(host.code, 0, host.stderr);
    await assertShared(ofHost(files, 'web2'), [host.out], SOON_MS);
    const some = await replayed(world, 'some', [
      '--path',
      '*.log',
      '--exclude',
      '1.log',
      '--host',
      'web[13]',
    ]);
    assert.equal(some.code, 0, some.stderr);
    await assertShared(
      files.filter((file) => file.host !== 'web2' && file.file.endsWith('0.log')),
      [some.out],
      SOON_MS,
    );
    assert.deepEqual([await consumersOf(world), await bucketsOf(world)], before);
    await stops(receiver);
  });
});

test('since and until are times of shipping; bytes between them are identical', async () => {
  await World.run('replay-times', async (world) => {
    await setUp(world);
    const one = generation('web1', 'aaa-0', 600);
    const times: string[] = [];
    for (let at = 0; at < 600; at += 100) {
      times.push(new Date().toISOString());
      await sleep(20);
      await publish(world, one, at, at + 100);
      await sleep(20);
    }
    const since = await replayed(world, 'since', ['--since', times[2]!]);
    assert.equal(since.code, 0, since.stderr);
    assert.match(
      since.stderr,
      /web1: \/var\/log\/app\.log: what was asked for reaches back to byte 200 of generation aaa-0/,
    );
    assert.deepEqual(await joinedOf(since.out, one), { data: one.data.subarray(200), holes: [], begin: 200 });
    const until = await replayed(world, 'until', ['--until', times[4]!]);
    assert.equal(until.code, 0, until.stderr);
    assert.deepEqual(await joinedOf(until.out, one), {
      data: one.data.subarray(0, 400),
      holes: [],
      begin: 0,
    });
    const both = await replayed(world, 'both', ['--since', times[1]!, '--until', times[3]!]);
    assert.equal(both.code, 0, both.stderr);
    assert.deepEqual(await joinedOf(both.out, one), {
      data: one.data.subarray(100, 300),
      holes: [],
      begin: 100,
    });
    const long = await replayed(world, 'long', ['--since', '2020-01-01', '--until', '2100-01-01']);
    assert.equal(long.code, 0, long.stderr);
    assert.match(long.stderr, /^logferry: stream LOGS begins at 20\S+Z: nothing older is in it$/m);
    assert.deepEqual((await joinedOf(long.out, one)).data, one.data);
    const nothing = await replayed(world, 'nothing', ['--since', '0s']);
    assert.equal(nothing.code, 1);
    assert.match(
      nothing.stderr,
      /^logferry: nothing in stream LOGS was asked for: it holds what was shipped from /,
    );
    await assert.rejects(readdir(nothing.out), /ENOENT/);
  });
});

test('killed at any moment and run again: identical, nothing twice, and what is done is not read again', async () => {
  await World.run('replay-kill', async (world) => {
    await setUp(world);
    const files = await publishMuch(world, 4, 8 * 1024 * 1024);
    const proxy = await Proxy.before(world);
    const out = path.join(world.dir, 'out');
    const rand = random(baseSeed() + 9);
    let resumed = 0;
    for (const moment of ['begun', 'written', 'written', 'reached', 'reached', 'stop'] as const) {
      const daemon = startReplay(world, 'out', [], proxy.url);
      const reachedBefore = (await replayState(out))?.reached ?? 0;
      const bytesBefore = await bytesIn([out]);
      // Of 32 MiB, so that none of the six comes to the end.
      const more = proxy.trickle(5 * 1024 * 1024);
      const isThen = async (): Promise<boolean> => {
        more();
        const state = await replayState(out);
        if (moment === 'begun') return state !== undefined;
        if (moment === 'written') return (await bytesIn([out])) > bytesBefore;
        return (state?.reached ?? 0) > reachedBefore;
      };
      assert.ok(await until(isThen, { timeoutMs: WAIT_MS, everyMs: 50 }), `${moment} never came`);
      more();
      await sleep(rand() * 30);
      if (moment === 'stop') {
        daemon.child.kill('SIGINT');
        await fails(
          daemon,
          /^logferry: stopped before all was replayed: run it again, it goes on where it stopped$/,
        );
      } else await daemon.kill();
      const state = await replayState(out);
      assert.equal(state?.done, false, 'it was to be killed before its end');
      if (state.reached >= state.first) resumed += 1;
    }
    assert.ok(resumed >= 3, `${resumed} starts had something to go on from`);
    proxy.end();
    const last = await replayed(world, 'out', ['--json']);
    assert.equal(last.code, 0, last.stderr);
    const report = JSON.parse(last.stdout) as { bytes: number; before: number };
    assert.equal(report.bytes, 32 * 1024 * 1024);
    assert.ok(report.before > 0);
    for (const one of files) {
      assert.ok(
        (await readFile(path.join(out, destinationOf(one.host, one.path)))).equals(one.data),
        one.host,
      );
      assert.ok((await joinedOf(out, one)).data.equals(one.data));
    }
    assert.equal(await bytesIn([out]), report.bytes);
    // Done is done: the same again reads nothing.
    const again = await replayed(world, 'out', ['--json']);
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual((JSON.parse(again.stdout) as { before: number }).before, report.bytes);
  });
});

test('messages that are stored while it counts what to read do not count for it', async () => {
  await World.run('replay-count', async (world) => {
    await setUp(world);
    const files = await publishMuch(world, 1, 8 * 1024 * 1024);
    const proxy = await Proxy.before(world);
    proxy.delayMs = 100;
    let isCounting = false;
    proxy.drop = (data) => {
      isCounting ||= data.includes('$JS.API.CONSUMER.CREATE.LOGS');
      return false;
    };
    const daemon = startReplay(world, 'out', [], proxy.url);
    assert.ok(await until(() => isCounting, { timeoutMs: WAIT_MS, everyMs: 1 }), 'it never counted');
    const other = generation('web1', 'bbb-0', 4_000);
    let stop = false;
    const publishing = (async (): Promise<void> => {
      for (let at = 0; at < other.data.length && !stop; at += 1) await publish(world, other, at, at + 1);
    })();
    const code = await ended(daemon);
    stop = true;
    await publishing;
    assert.equal(code, 0, daemon.stderr);
    const out = path.join(world.dir, 'out');
    for (const one of files) assert.ok((await joinedOf(out, one)).data.equals(one.data), one.host);
  });
});

test('a connection that is cut in the middle', async () => {
  await World.run('replay-cut', async (world) => {
    await setUp(world);
    const files = await publishMuch(world, 2, 8 * 1024 * 1024);
    const proxy = await Proxy.before(world);
    proxy.delayMs = 100;
    const daemon = startReplay(world, 'out', [], proxy.url);
    const out = path.join(world.dir, 'out');
    for (let cuts = 1; cuts <= 3; cuts += 1) {
      const before = await bytesIn([out]);
      await until(async () => (await bytesIn([out])) > before || daemon.child.exitCode !== null, {
        timeoutMs: WAIT_MS,
        everyMs: 3,
      });
      proxy.cut();
    }
    proxy.delayMs = 0;
    assert.equal(await ended(daemon), 0, daemon.stderr);
    for (const one of files)
      assert.ok(
        (await readFile(path.join(out, destinationOf(one.host, one.path)))).equals(one.data),
        one.host,
      );
  });
});

test('a disk that gets full: one line, and with room it goes on', async (context) => {
  await World.run('replay-full', async (world) => {
    const disk = SmallDisk.mount(path.join(world.dir, 'out'));
    if (disk === undefined) {
      context.skip('nothing can be mounted here');
      return;
    }
    try {
      await setUp(world);
      const files = await publishMuch(world, 2, 8 * 1024 * 1024);
      await disk.leave(6 * 1024 * 1024);
      const full = await replayed(world, 'out');
      assert.equal(full.code, 1);
      assert.match(
        full.stderr,
        /^logferry: cannot write below \S+: ENOSPC.*run it again: it goes on where it stopped$/m,
      );
      await disk.empty();
      const { code, stderr, out } = await replayed(world, 'out');
      assert.equal(code, 0, stderr);
      for (const one of files)
        assert.ok(
          (await readFile(path.join(out, destinationOf(one.host, one.path)))).equals(one.data),
          one.host,
        );
    } finally {
      await disk.unmount();
    }
  });
});

/** `logferry verify` finds every committed byte as it is in the source files. */
async function verified(world: World, extra: readonly string[]): Promise<void> {
  const verify = world.start('verify', ['verify', '--server', world.server.url, ...extra]);
  assert.equal(await verify.exited, 0, `${verify.stdout}\n${verify.stderr}`);
  assert.match(verify.stdout, /none differs/);
}

describe('a receiver goes on in a replayed directory', { concurrency: 2 }, () => {
  test("the drill: a receiver's directory is lost, replayed, verified, and received into again", async () => {
    await World.run('replay-drill', async (world) => {
      const first = world.receive();
      const hosts = await filled(world);
      await stops(first);
      for (const file of hosts.files) for (let line = 0; line < 50; line += 1) file.line();
      await rm(world.out, { recursive: true });
      // What was shipped while nobody received is in the stream as well: the replay is further than the records.
      const jsm = await world.jsm();
      let messages = -1;
      const isQuiet = async (): Promise<boolean> => {
        const { state } = await jsm.streams.info('LOGS');
        const same = state.messages === messages;
        ({ messages } = state);
        return same;
      };
      await until(isQuiet, { timeoutMs: WAIT_MS, everyMs: 3_000 });
      const { code, stderr } = await replayed(world, 'out');
      assert.equal(code, 0, stderr);
      await assertShared(hosts.files, [world.out], SOON_MS);
      await verified(world, ['--out', world.out]);
      const second = world.receive();
      for (const file of hosts.files) {
        file.line();
        file.rotate();
        for (let line = 0; line < 50; line += 1) file.line();
      }
      await assertShared(hosts.files, [world.out]);
      await verified(world, []);
      await stops(second);
    });
  });

  test('while another receiver has committed more', async () => {
    await World.run('replay-further', async (world) => {
      const shared = path.join(world.dir, 'shared');
      const first = world.receive([], shared);
      const hosts = await Hosts.start(world, [shared], 2);
      for (const file of hosts.files) for (let line = 0; line < 300; line += 1) file.line();
      await assertShared(hosts.files, [shared]);
      const { code, stderr } = await replayed(world, 'out');
      assert.equal(code, 0, stderr);
      await assertShared(hosts.files, [world.out], SOON_MS);
      // The records are further than the replay now: those bytes are in the other directory, and stay there.
      for (const file of hosts.files) for (let line = 0; line < 300; line += 1) file.line();
      await assertShared(hosts.files, [shared]);
      await stops(first);
      const second = world.receive();
      for (const file of hosts.files) for (let line = 0; line < 300; line += 1) file.line();
      const written = hosts.files.reduce((sum, file) => sum + file.bytes, 0);
      const isThere = async (): Promise<boolean> => {
        for (const { host, file, bytes } of hosts.files) {
          const joined = await joinedOf([world.out, shared], { host, path: file });
          if (joined.data.length < bytes || joined.holes.length > 0) return false;
        }
        return true;
      };
      assert.ok(
        await until(isThere, { timeoutMs: WAIT_MS, everyMs: 200 }),
        'not all of it is in both together',
      );
      for (const file of hosts.files) {
        const { data } = await joinedOf([world.out, shared], { host: file.host, path: file.file });
        assert.ok(data.equals(await file.truth()), file.file);
      }
      await stops(second);
      // What was replayed lies twice by wish; nothing else does.
      assert.ok((await bytesIn([shared])) < written && (await bytesIn([world.out])) < written);
    });
  });

  test('with records that know nothing: they are rebuilt from it', async () => {
    await World.run('replay-behind', async (world) => {
      await setUp(world);
      const one = generation('web1', 'aaa-0', 1_000);
      for (let at = 0; at < 500; at += 100) await publish(world, one, at, at + 100);
      const { code, stderr } = await replayed(world, 'out');
      assert.equal(code, 0, stderr);
      for (let at = 500; at < 1_000; at += 100) await publish(world, one, at, at + 100);
      const receiver = world.receive(['--once']);
      assert.equal(await ended(receiver), 0, receiver.stderr);
      assert.deepEqual(await joinedOf(world.out, one), { data: one.data, holes: [], begin: 0 });
      assert.deepEqual(await readFile(path.join(world.out, destinationOf('web1', one.path))), one.data);
      const { record } = await (await world.records()).read(partitionOf('web1', PARTITIONS));
      assert.equal(record?.files.get('web1/aaa-0')?.offset, 1_000);
      // A replay only adds: what a receiver has gone on with is not its own any more.
      const again = await replayed(world, 'out');
      assert.equal(again.code, 1);
      assert.match(
        again.stderr,
        /^logferry: a receiver has gone on in \S+ since it was replayed: give a fresh directory$/m,
      );
    });
  });
});

test('what is refused, in one line', async () => {
  await World.run('replay-refused', async (world) => {
    const none = await replayed(world, 'none');
    assert.equal(none.code, 1);
    assert.match(
      none.stderr,
      /^logferry: there is no stream LOGS: give --stream and --server of the one to replay\n$/,
    );
    await setUp(world);
    const empty = await replayed(world, 'none');
    assert.match(empty.stderr, /^logferry: stream LOGS is empty: there is nothing to replay\n$/);
    assert.equal(empty.code, 1);
    await publish(world, generation('web1', 'aaa-0', 100), 0, 100);
    const wrong: readonly [readonly string[], RegExp][] = [
      [['--since', 'soon'], /--since: "soon" is not a time/],
      [['--until', '1h', '--since', '30m'], /^logferry: --until 1h is not after --since 30m/m],
      [['--path', 'var/log/*'], /--path is "var\/log\/\*", a relative path/],
      [['--format', 'gzip'], /--format is "gzip"/],
      [['--compress', 'zstd'], /unknown option '--compress'/],
    ];
    for (const [args, pattern] of wrong) {
      const { code, stderr } = await replayed(world, 'none', args);
      assert.match(stderr, pattern);
      assert.equal(code, 2);
    }
    const miss = await replayed(world, 'none', ['--host', 'web9']);
    assert.equal(miss.code, 1);
    assert.match(miss.stderr, /nothing in stream LOGS was asked for/);
    await assert.rejects(readdir(miss.out), /ENOENT/);

    const done = await replayed(world, 'done', ['--host', 'web1']);
    assert.equal(done.code, 0, done.stderr);
    const other = await replayed(world, 'done', ['--since', '1h']);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /holds another replay: of stream LOGS with --host "web1": ask for the same/);

    const full = path.join(world.dir, 'full');
    await mkdir(full);
    await writeFile(path.join(full, 'a file'), '');
    assert.match(
      (await replayed(world, 'full')).stderr,
      /is not empty: there is "a file": give a fresh directory/,
    );
    const receiver = world.receive(['--once']);
    assert.equal(await ended(receiver), 0, receiver.stderr);
    assert.match((await replayed(world, 'out')).stderr, /is a receiver's directory: give a fresh directory/);

    const state = path.join(world.dir, 'done', '.logferry', 'replay.json');
    const text = await readFile(state, 'utf8');
    await writeFile(state, text.replace('"done":true', '"done":false'));
    await (await world.jsm()).streams.delete('LOGS');
    await setUp(world);
    await publish(world, generation('web1', 'aaa-0', 100), 0, 100);
    const anew = await replayed(world, 'done', ['--host', 'web1']);
    assert.equal(anew.code, 1);
    assert.match(anew.stderr, /^logferry: stream LOGS was made anew since the replay in \S+ began: /m);
    await writeFile(state, text.replace('"version":1', '"version":2'));
    assert.match((await replayed(world, 'done')).stderr, /is of version 2, this logferry knows version 1/);
    await writeFile(state, 'garbage');
    assert.match((await replayed(world, 'done')).stderr, /does not parse .*: give a fresh directory/);
  });
});

test('hosts go on shipping meanwhile: the replay ends where the stream ended when it began', async () => {
  await World.run('replay-live', async (world) => {
    const receiver = world.receive();
    const hosts = await Hosts.start(world, [world.out], 2);
    for (const file of hosts.files) for (let line = 0; line < 500; line += 1) file.line();
    await assertShared(hosts.files, [world.out]);
    const before = hosts.files.map(({ bytes }) => bytes);
    let stop = false;
    const writing = (async (): Promise<void> => {
      while (!stop) {
        for (const file of hosts.files) file.line();
        await sleep(2);
      }
    })();
    const { code, stderr, out } = await replayed(world, 'replayed');
    stop = true;
    await writing;
    assert.equal(code, 0, stderr);
    for (const [index, file] of hosts.files.entries()) {
      const { data } = await joinedOf(out, { host: file.host, path: file.file });
      assert.ok(data.length >= before[index]!, 'what was committed before it began');
      assert.ok((await file.truth()).subarray(0, data.length).equals(data));
    }
    await assertShared(hosts.files, [world.out]);
    await stops(receiver);
  });
});
