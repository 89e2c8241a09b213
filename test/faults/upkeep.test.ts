// Segments compressed and removed by a real receiver while bytes come in: killed while it compresses, it loses none and
// leaves nothing behind; what retention removed is not shipped again.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { chown, mkdir, readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';

import { sleep, until } from '../../common/runtime/run.ts';
import { destinationOf, isSegmentOf } from '../../receiver/ledger/names.ts';
import { COPIES_DIRECTORY, segmentsOf } from '../../receiver/disk/segments.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { ended, fails, messages } from '../support/said.ts';
import { ENTRY } from '../support/paths.ts';
import { baseSeed, random } from '../support/seed.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Writer, Written } from '../support/log-files.ts';

const KILLS = Math.ceil(Number(process.env['LOGFERRY_TEST_KILLS'] ?? 10) / 3);
const ROTATE = ['--rotate-size', '50KiB'];

/** The segments of a source file, decompressed, and its active file. */
async function decoded(world: World, file: Written): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (const { name } of await segmentsOf(world.out, destinationOf(world.host, file.file))) {
    const data = await readFile(path.join(world.out, name));
    if (name.endsWith('.gz')) parts.push(gunzipSync(data));
    else parts.push(name.endsWith('.zst') ? zstdDecompressSync(data) : data);
  }
  return Buffer.concat(parts);
}

/** Waits for the last line of each file, whether or not segments are compressed or removed meanwhile. */
async function arrived(world: World, files: readonly Written[]): Promise<void> {
  for (const file of files) {
    const truth = await file.truth();
    // A whole line, with its number.
    const tail = truth.subarray(-500);
    const isThere = async (): Promise<boolean> => {
      const text = await decoded(world, file).catch(() => Buffer.alloc(0));
      return text.subarray(-tail.length).equals(tail);
    };
    assert.ok(await until(isThere, { timeoutMs: WAIT_MS, everyMs: 50 }), `${file.file} has not arrived`);
  }
}

/** Waits until nothing but the active file and compressed segments is there. */
async function allCompressed(world: World, file: Written, extension: string): Promise<void> {
  const isDone = async (): Promise<boolean> =>
    (await segmentsOf(world.out, destinationOf(world.host, file.file))).every(
      ({ name, active }) => active || name.endsWith(extension),
    );
  assert.ok(await until(isDone, { timeoutMs: WAIT_MS, everyMs: 100 }), 'some segments stay as they are');
}

async function cat(
  world: World,
  file: Written,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const daemon = world.start('cat', ['cat', world.host, file.file, '--out', world.out]);
  const code = await ended(daemon);
  return { code, stdout: daemon.stdout, stderr: daemon.stderr };
}

/** Files below the output directory that are neither a segment nor an active file of these. */
async function strange(world: World, files: readonly Written[]): Promise<string[]> {
  const known = files.map((file) => path.join(world.out, destinationOf(world.host, file.file)));
  const all = await readdir(world.out, { recursive: true, withFileTypes: true });
  return all
    .filter((entry) => entry.isFile())
    .filter(
      ({ parentPath, name }) =>
        !/\.logferry\/?$/.test(parentPath) || !/ledger$|^(directory|stream)\.json$/.test(name),
    )
    .map(({ parentPath, name }) => ({ directory: parentPath, name }))
    .filter(
      ({ directory, name }) =>
        !known.some(
          (active) =>
            path.dirname(active) === directory &&
            (path.basename(active) === name || isSegmentOf(path.basename(active), name)),
        ),
    )
    .map(({ directory, name }) => path.join(directory, name));
}

/** Polls without a pause, since a copy of 50 KiB is there for milliseconds. */
async function whileCompressing(world: World): Promise<void> {
  const copies = path.join(world.out, COPIES_DIRECTORY);
  const isCopying = (): boolean => {
    try {
      return readdirSync(copies).length > 0;
    } catch {
      return false;
    }
  };
  assert.ok(
    await until(isCopying, { timeoutMs: WAIT_MS, everyMs: 1 }),
    'nothing was compressed when the kill was due',
  );
}

for (const [index, [encoding, extension]] of (
  [
    ['gzip', '.gz'],
    ['zstd', '.zst'],
  ] as const
).entries())
  test(
    `SIGKILL of a receiver that compresses with ${encoding}: every byte once, and nothing left behind`,
    { timeout: TEST_MS },
    async () => {
      const seed = baseSeed() * 100 + 60 + index;
      const rand = random(seed);
      await World.run(`compress-${encoding}`, async (world) => {
        const files = ['a.log', 'b.log'].map((name) => new Written(world, name));
        for (const file of files) file.line();
        const args = [...ROTATE, '--compress', encoding];
        let receiver: Daemon = world.receive(args);
        world.ship();
        const writer = new Writer(files, rand, { rotate: 'none' });
        for (let kill = 1; kill <= KILLS; kill += 1) {
          await sleep(rand() * 300);
          await whileCompressing(world);
          await sleep(rand() * 20);
          await receiver.kill();
          const left = readdirSync(path.join(world.out, COPIES_DIRECTORY));
          console.log(`# killed, ${kill} of ${KILLS}, seed ${seed}, with ${left.length} copies half done`);
          receiver = world.receive(args);
        }
        await writer.stop();
        await arrived(world, files);
        for (const file of files) await allCompressed(world, file, extension);
        assert.equal(await receiver.stop(), 0);
        for (const file of files) {
          const truth = await file.truth();
          assert.ok(truth.equals(await decoded(world, file)), `${file.file} differs`);
          const { code, stdout, stderr } = await cat(world, file);
          assert.deepEqual([code, stderr], [0, '']);
          assert.ok(stdout === truth.toString(), `cat of ${file.file} differs`);
          const { length } = await segmentsOf(world.out, destinationOf(world.host, file.file));
          assert.ok(length > KILLS, `only ${length} segments`);
          file.close();
        }
        assert.deepEqual(await strange(world, files), []);
        assert.deepEqual(readdirSync(path.join(world.out, COPIES_DIRECTORY)), []);
      });
    },
  );

/** Waits until all is committed and nothing more is published; the stream's last sequence then. */
async function atRest(world: World): Promise<number> {
  const jsm = await world.jsm();
  let last = -1;
  const isStill = async (): Promise<boolean> => {
    const before = last;
    last = (await jsm.streams.info('LOGS')).state.last_seq;
    return last === before && (await world.uncommitted()) === 0;
  };
  assert.ok(await until(isStill, { timeoutMs: WAIT_MS, everyMs: 600 }), 'never at rest');
  return last;
}

test('a file of which retention removed every byte is not shipped again', { timeout: TEST_MS }, async () => {
  await World.run('removed', async (world) => {
    const file = new Written(world, 'a.log');
    // Every write makes a segment, and none is kept.
    const args = ['--rotate-size', '1KiB', '--keep-count', '0'];
    let receiver = world.receive(args);
    const shipper = world.ship();
    const sizes = async (): Promise<number[]> =>
      (await segmentsOf(world.out, destinationOf(world.host, file.file))).map(({ size }) => size);
    const isEmptied = async (): Promise<boolean> => JSON.stringify(await sizes()) === '[0]';
    for (let line = 0; line < 600; line += 1) file.line(100);
    assert.ok(await until(isEmptied, { timeoutMs: WAIT_MS, everyMs: 100 }), 'retention leaves something');
    const published = await atRest(world);
    await receiver.kill();
    receiver = world.receive(args);
    await sleep(2_000);
    assert.equal(await atRest(world), published, 'shipped again after a kill');
    await (await world.jsm()).streams.delete('KV_LOGS_partitions');
    await sleep(2_000);
    assert.equal(await atRest(world), published, 'shipped again after the bucket was lost');
    assert.ok((await sizes()).every((size) => size === 0));
    assert.equal(await receiver.stop(), 0);
    assert.deepEqual(
      messages(receiver, 40).filter((line) => /bytes \d+ to \d+/.test(line)),
      [],
    );
    assert.match(messages(receiver).find((line) => line.startsWith('wrote ')) ?? '', /^wrote 0 B/);
    assert.equal(await shipper.stop(), 0);
    const { code, stdout, stderr } = await cat(world, file);
    assert.deepEqual([code, stdout], [0, '']);
    assert.match(
      stderr,
      new RegExp(`bytes 0 to ${file.bytes} of its generation .* retention removed them\n$`),
    );
    file.close();
  });
});

test(
  'what retention removed stays committed, over kills and without a bucket',
  { timeout: TEST_MS },
  async () => {
    await World.run('retention', async (world) => {
      const file = new Written(world, 'a.log');
      const args = [...ROTATE, '--compress', 'zstd', '--keep-count', '2'];
      let receiver = world.receive(args);
      const shipper = world.ship();
      const destination = destinationOf(world.host, file.file);
      const jsm = await world.jsm();
      const write = async (): Promise<void> => {
        // In pieces: what comes at once is written at once, and makes one segment.
        for (let piece = 0; piece < 5; piece += 1) {
          for (let line = 0; line < 600; line += 1) file.line(100);
          await arrived(world, [file]);
        }
      };
      const isTrimmed = async (): Promise<boolean> => {
        const files = await segmentsOf(world.out, destination);
        return files.length === 3 && files.every(({ name, active }) => active || name.endsWith('.zst'));
      };
      file.line();
      await write();
      assert.ok(await until(isTrimmed, { timeoutMs: WAIT_MS, everyMs: 100 }), 'retention removes nothing');
      const published = await atRest(world);
      await receiver.kill();
      receiver = world.receive(args);
      await sleep(1_000);
      assert.equal(await atRest(world), published, 'shipped again after a kill');
      // The ledger alone says now what is committed.
      await jsm.streams.delete('KV_LOGS_partitions');
      const isThere = async (): Promise<boolean> =>
        (await jsm.streams.info('KV_LOGS_partitions').catch(() => undefined)) !== undefined;
      assert.ok(await until(isThere, { timeoutMs: WAIT_MS, everyMs: 100 }), 'the bucket does not come back');
      assert.equal(await atRest(world), published, 'shipped again after the bucket was lost');
      await receiver.kill();
      await jsm.streams.delete('KV_LOGS_partitions');
      receiver = world.receive(args);
      await write();
      assert.ok(await until(isTrimmed, { timeoutMs: WAIT_MS, everyMs: 100 }), 'retention removes no more');
      await atRest(world);
      assert.equal(await receiver.stop(), 0);
      assert.equal(await shipper.stop(), 0);
      assert.deepEqual(
        messages(shipper).filter((line) => /again from|rewind|lost/.test(line)),
        [],
      );
      const truth = await file.truth();
      const left = await decoded(world, file);
      assert.ok(left.length > 0 && left.length < truth.length / 2, `${left.length} bytes are left`);
      assert.ok(truth.subarray(truth.length - left.length).equals(left), 'not the end of what was written');
      const { code, stdout, stderr } = await cat(world, file);
      assert.equal(code, 0);
      assert.equal(stdout, left.toString());
      assert.match(
        stderr,
        new RegExp(`bytes 0 to ${truth.length - left.length} of its generation .* retention removed them\n$`),
      );
      file.close();
    });
  },
);

test('--once compresses before it ends; --file-mode and --file-owner', { timeout: TEST_MS }, async () => {
  await World.run('once', async (world) => {
    const file = new Written(world, 'a.log');
    for (let line = 0; line < 30_000; line += 1) file.line(100);
    const shipper = world.ship();
    const user = process.getuid?.() === 0 ? ['--file-owner', 'nobody:1234'] : [];
    const args = [...ROTATE, '--compress', 'gzip', '--file-mode', '0604', ...user];
    assert.ok((await world.inFlight()) > 0);
    const receiver = world.receive([...args, '--once']);
    assert.equal(await ended(receiver), 0, receiver.stderr);
    const files = await segmentsOf(world.out, destinationOf(world.host, file.file));
    assert.ok(files.length > 2);
    for (const { name, active } of files) {
      assert.ok(active || name.endsWith('.gz'), name);
      const stats = await stat(path.join(world.out, name));
      assert.equal(stats.mode & 0o777, 0o604);
      if (user.length > 0) assert.equal(stats.gid, 1_234);
      const directory = await stat(path.join(world.out, path.dirname(name)));
      assert.equal(directory.mode & 0o777, 0o705);
    }
    assert.equal((await stat(world.out)).mode & 0o777, 0o705);
    assert.equal((await stat(path.join(world.out, '.logferry'))).mode & 0o777, 0o700);
    await shipper.stop();
    file.close();
  });
});

test(
  'files that may not be given away: one line before anything is received',
  { timeout: TEST_MS },
  async (t) => {
    const somebody = { uid: 65_534, gid: 65_534 };
    if (
      process.getuid?.() !== 0 ||
      spawnSync(process.execPath, [ENTRY, '--version'], somebody).status !== 0
    ) {
      t.skip('needs root, and a checkout that another user can read');
      return;
    }
    await World.run('owner', async (world) => {
      const closed = path.join(world.dir, 'closed');
      await mkdir(closed, { mode: 0o700 });
      await chown(world.dir, 65_534, 65_534);
      world.identity = somebody;
      // Before it is even known whether it is there.
      await fails(
        world.receive([], path.join(closed, 'out')),
        /^logferry: cannot use .*closed.*: EACCES.*--out/,
      );
      const said = await fails(
        world.receive(['--file-owner', 'root:root']),
        /^logferry: cannot give files to --file-owner 0:0: EPERM[^:]*: .*run as root/,
      );
      assert.ok(said.includes('one of its groups'));
      assert.deepEqual(
        (await readdir(path.join(world.out, '.logferry'))).filter((name) => name.includes('probe')),
        [],
      );
    });
  },
);
