// verify, end to end: a fleet that is as it should be passes while it is written to; a byte that was flipped, lost or
// cannot be looked at is found, and named with a range that holds it.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib';

import { headers, type MsgHdrs } from '@nats-io/transport-node';

import { until } from '../../common/runtime/run.ts';
import { silentLogger } from '../../common/runtime/log.ts';
import { partitionOf } from '../../common/wire/subjects.ts';
import { partitionKey } from '../../common/wire/topology.ts';
import { compactLines, compactText, encodeLine } from '../../receiver/ledger/lines.ts';
import { ledgerPath, loadLedger } from '../../receiver/ledger/ledger-file.ts';
import { compressedName } from '../../receiver/ledger/names.ts';
import { passOnce } from '../../receiver/upkeep/upkeep.ts';
import { Central, scratch } from '../support/central.ts';
import { ANSWER_MS, TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { ENTRY } from '../support/paths.ts';
import { assertIdentical, assertShared } from '../support/compare.ts';
import { baseSeed, random } from '../support/seed.ts';
import { centralFiles, unzstd } from '../support/central-files.ts';
import { Hosts } from '../support/in-process.ts';
import { World } from '../support/world.ts';
import { Writer, Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';

interface Found {
  readonly start: number;
  readonly end: number;
  readonly holder: string;
  readonly disk: string | null;
  readonly from: number;
  readonly to: number;
  readonly why: string;
}

interface Row {
  readonly host: string;
  readonly path: string;
  readonly file: string;
  readonly bytes: number;
  readonly result: string;
  readonly byHost: number;
  readonly byLedger: number;
  readonly unknown: number;
  readonly removed: number;
  readonly differs: Found[];
  readonly missing: { start: number; end: number }[];
  readonly unverified: { start: number; end: number; why: string }[];
}

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function logferry(...args: string[]): Promise<Ran> {
  return await new Promise((resolve) => {
    const options = { maxBuffer: 64 * 1024 * 1024 };
    const child = execFile(process.execPath, [ENTRY, ...args], options, (_error, stdout, stderr) => {
      assert.doesNotMatch(stderr, /^\s+at /m);
      resolve({ code: child.exitCode, stdout, stderr });
    });
  });
}

async function verify(world: World, ...args: string[]): Promise<Ran> {
  return await logferry('verify', '--server', world.server.url, ...args);
}

/** The same as JSON: a row for each generation. */
async function verified(world: World, ...args: string[]): Promise<{ code: number | null; rows: Row[] }> {
  const { code, stdout } = await verify(world, '--json', ...args);
  const lines = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as object);
  assert.ok('summary' in (lines.at(-1) ?? {}), stdout);
  return { code, rows: lines.slice(0, -1) as Row[] };
}

function sum(rows: readonly Row[], of: (row: Row) => number): number {
  return rows.reduce((total, row) => total + of(row), 0);
}

async function flip(file: string, at: number): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, at);
    byte.writeUInt8(byte.readUInt8(0) ^ 0x10);
    await handle.write(byte, 0, 1, at);
  } finally {
    await handle.close();
  }
}

/** Other content in the same file. */
async function overwrite(file: string, data: Buffer): Promise<void> {
  const handle = await open(file, 'r+');
  try {
    await handle.truncate(0);
    await handle.write(data, 0, data.length, 0);
  } finally {
    await handle.close();
  }
}

/** What a bucket keeps of a key that somebody has deleted. */
function deletion(): MsgHdrs {
  const marked = headers();
  marked.set('KV-Operation', 'DEL');
  return marked;
}

function fill(file: Written, bytes: number): void {
  const begin = file.bytes;
  while (file.bytes < begin + bytes) file.line(400);
}

/** Segments of about 1 MiB, as a receiver is told. */
const SEGMENTS = ['--rotate-size', '1MiB'];

/** A file of some MiB, shipped and received; the names of what it is in. */
async function received(
  world: World,
  options: readonly string[],
  isReady: (files: readonly string[]) => boolean = (files) => files.length > 0,
): Promise<{ file: Written; files: string[] }> {
  const file = new Written(world, 'a.log');
  fill(file, 4 * 1024 * 1024);
  world.receive(options);
  world.ship();
  await assertIdentical(world, [file]);
  let files: string[] = [];
  await until(
    async () => {
      files = await centralFiles(world.out, world.host, file.file);
      return isReady(files);
    },
    { timeoutMs: WAIT_MS, everyMs: 100 },
  );
  assert.ok(isReady(files), files.join(' '));
  return { file, files };
}

const areCompressed =
  (ending: string) =>
  (files: readonly string[]): boolean =>
    files.length > 2 && files.filter((name) => name.endsWith(ending)).length >= files.length - 1;

/** Exactly one place differs, at most so long, and it holds the source byte. */
function assertFound(rows: readonly Row[], at: number, mostBytes: number): Found {
  const differs = rows.flatMap((row) => row.differs);
  const holding = differs.filter(({ start, end }) => start <= at && at < end);
  const [found] = holding;
  assert.ok(found !== undefined, `byte ${at} is in none of ${JSON.stringify(differs)}`);
  assert.equal(differs.length, 1, JSON.stringify(differs));
  assert.ok(found.end - found.start <= mostBytes, JSON.stringify(found));
  return found;
}

describe('verify', { concurrency: 2 }, () => {
  test('passes while lines are still being written and files rotate', { timeout: TEST_MS }, async () => {
    await World.run('verify-running', async (world) => {
      const files = ['a.log', 'b.log'].map((name) => new Written(world, name));
      world.receive([...SEGMENTS, '--compress', 'zstd']);
      world.ship();
      for (const file of files) file.line();
      await assertIdentical(world, files);
      const writer = new Writer(files, random(baseSeed() + 71), { rotate: 'rename' });
      for (let round = 0; round < 4; round += 1) {
        const { code, stdout, stderr } = await verify(world);
        assert.deepEqual([code, stderr], [0, ''], stdout);
        assert.match(stdout, /^\d+ generations?, .* none differs: .* as on the host\n$/);
      }
      await writer.stop();
      await assertIdentical(world, files);
      const { code, rows } = await verified(world);
      assert.equal(code, 0);
      assert.equal(
        sum(rows, ({ byHost }) => byHost),
        files.reduce((total, file) => total + file.bytes, 0),
      );
      assert.ok(rows.every(({ result }) => result === 'identical'));
      for (const file of files) file.close();
    });
  });

  test('a flipped byte in an active file is named, with where it is', { timeout: TEST_MS }, async () => {
    await World.run('verify-active', async (world) => {
      const { file, files } = await received(world, []);
      const [name] = files;
      assert.ok(name !== undefined);
      await flip(name, 2_345_678);
      const { code, rows } = await verified(world);
      assert.equal(code, 1);
      const found = assertFound(rows, 2_345_678, 4096);
      assert.deepEqual([found.disk, found.from, found.to], [name, found.start, found.end]);
      const { stdout, stderr } = await verify(world);
      assert.ok(
        stdout.startsWith(
          `web1: ${file.file}: bytes ${found.start} to ${found.end} of its generation ${rows[0]?.file} differ: `,
        ),
        stdout,
      );
      assert.ok(stdout.includes(`${name} from byte ${found.start} to ${found.end}`), stdout);
      assert.match(stdout, /\n1 generation, .*; 1 differs: .* as on the host\n$/);
      assert.match(stderr, /^logferry: 1 generation differs: [^\n]+\n$/);
      // Two places, and put right again.
      await flip(name, 12);
      assert.deepEqual(
        (await verified(world)).rows.flatMap((row) => row.differs).map(({ start }) => start),
        [0, found.start],
      );
      await flip(name, 12);
      await flip(name, 2_345_678);
      assert.equal((await verify(world)).code, 0);
      file.close();
    });
  });

  test('a flipped byte in a plain segment', { timeout: TEST_MS }, async () => {
    await World.run('verify-segment', async (world) => {
      const { file, files } = await received(world, SEGMENTS, (all) => all.length > 2);
      const [first, second] = files;
      assert.ok(first !== undefined && second !== undefined);
      const at = (await stat(first)).size + 100_001;
      await flip(second, 100_001);
      const { code, rows } = await verified(world);
      assert.equal(code, 1);
      const found = assertFound(rows, at, 4096);
      assert.equal(found.disk, second);
      assert.ok(found.from <= 100_001 && 100_001 < found.to, JSON.stringify(found));
      file.close();
    });
  });

  for (const [encoding, ending, pack, unpack] of [
    ['gzip', '.gz', gzipSync, gunzipSync],
    ['zstd', '.zst', (data: Buffer) => zstdCompressSync(data), unzstd],
  ] as const)
    test(
      `a flipped byte in what a ${encoding} segment holds, and one in its file`,
      { timeout: TEST_MS },
      async () => {
        await World.run(`verify-${encoding}`, async (world) => {
          const options = [...SEGMENTS, '--compress', encoding];
          const { file, files } = await received(world, options, areCompressed(ending));
          const [first, second] = files;
          assert.ok(first !== undefined && second !== undefined);
          const begin = unpack(await readFile(first)).length;
          const packed = await readFile(second);
          const changed = Buffer.from(unpack(packed));
          changed[54_321] = (changed[54_321] ?? 0) ^ 1;
          await overwrite(second, pack(changed));
          const { code, rows } = await verified(world);
          assert.equal(code, 1);
          const found = assertFound(rows, begin + 54_321, 4096);
          assert.equal(found.disk, second);
          assert.ok(found.from <= 54_321 && 54_321 < found.to, JSON.stringify(found));
          // The file's own bytes: what it holds is other bytes from somewhere on, or nothing any more.
          await overwrite(second, packed);
          assert.equal((await verify(world)).code, 0);
          await flip(second, Math.floor(packed.length / 2));
          const broken = await verified(world);
          assert.equal(broken.code, 1);
          const end = begin + changed.length;
          const differs = broken.rows.flatMap((row) => row.differs);
          assert.ok(differs.length > 0 && differs.every((one) => one.start >= begin && one.end <= end));
          assert.ok(
            differs.every(({ disk }) => disk === second),
            JSON.stringify(differs),
          );
          file.close();
        });
      },
    );

  test('a flipped byte in a file of zstd frames', { timeout: TEST_MS }, async () => {
    await World.run('verify-frames', async (world) => {
      const { file, files } = await received(world, ['--format', 'zstd']);
      const [name] = files;
      assert.ok(name !== undefined && name.endsWith('.zst'));
      assert.equal((await verify(world)).code, 0);
      const { size } = await stat(name);
      const at = Math.floor(size / 2);
      await flip(name, at);
      const { code, rows } = await verified(world);
      assert.equal(code, 1);
      const differs = rows.flatMap((row) => row.differs);
      assert.ok(
        differs.some(({ disk, from, to }) => disk === name && from <= at && at < to),
        JSON.stringify(differs),
      );
      assert.ok(
        differs.every(({ start, end }) => end - start < file.bytes / 2),
        'a frame, not the file',
      );
      file.close();
    });
  });

  test(
    'a generation that is gone from its host is checked by the ledger, compacted or not',
    { timeout: TEST_MS },
    async () => {
      await World.run('verify-gone', async (world) => {
        const file = new Written(world, 'a.log');
        fill(file, 2 * 1024 * 1024);
        let receiver = world.receive();
        let shipper = world.ship();
        await assertIdentical(world, [file]);
        const size = file.bytes;
        file.rotate();
        fill(file, 300_000);
        await assertIdentical(world, [file]);
        await shipper.stop();
        await rm(`${file.file}.1`);
        shipper = world.ship();
        assert.ok(await until(async () => (await verify(world)).code === 0, { timeoutMs: WAIT_MS }));
        const check = async (): Promise<void> => {
          const { code, rows } = await verified(world);
          assert.equal(code, 0, JSON.stringify(rows));
          assert.deepEqual(
            rows.map(({ byHost, byLedger }) => [byHost, byLedger]).toSorted((a, b) => a[0]! - b[0]!),
            [
              [0, size],
              [file.bytes - size, 0],
            ],
          );
          await flip(central, 1_234_567);
          const flipped = await verified(world);
          assert.equal(flipped.code, 1);
          const found = assertFound(flipped.rows, 1_234_567, size);
          assert.equal(found.disk, central);
          assert.ok(found.from <= 1_234_567 && 1_234_567 < found.to, JSON.stringify(found));
          assert.match(found.why, /checksum/);
          await flip(central, 1_234_567);
        };
        const central = path.join(world.out, world.host, file.file);
        await until(async () => (await verify(world)).code === 0, { timeoutMs: WAIT_MS });
        await check();
        await receiver.stop();
        const ledgerFile = ledgerPath(world.out, partitionOf(world.host, PARTITIONS));
        const { ledger } = await loadLedger(ledgerFile, '', partitionOf(world.host, PARTITIONS));
        await writeFile(ledgerFile, [...compactText(ledger)].join(''));
        receiver = world.receive();
        await until(async () => (await verify(world)).code === 0, { timeoutMs: WAIT_MS });
        await check();
        // One that an older logferry has compacted.
        await receiver.stop();
        const bare = [...compactLines(ledger)].map((line) =>
          'checksum' in line ? { ...line, checksum: '' } : line,
        );
        await writeFile(ledgerFile, bare.map(encodeLine).join(''));
        world.receive();
        await until(async () => (await verify(world)).code === 0, { timeoutMs: WAIT_MS });
        const { code, rows } = await verified(world);
        assert.equal(code, 0);
        assert.equal(
          sum(rows, ({ unknown }) => unknown),
          size,
        );
        assert.deepEqual(rows.map(({ result }) => result).toSorted(), ['identical', 'unknown']);
        file.close();
      });
    },
  );

  test('a central file that was cut off', { timeout: TEST_MS }, async () => {
    await World.run('verify-cut', async (world) => {
      const { file, files } = await received(world, []);
      const [name] = files;
      assert.ok(name !== undefined);
      await truncate(name, 3_000_000);
      const { code, rows } = await verified(world);
      assert.equal(code, 1);
      const differs = rows.flatMap((row) => row.differs);
      assert.deepEqual(
        differs.map(({ start, end }) => [start, end]),
        [[3_000_000, file.bytes]],
      );
      file.close();
    });
  });

  test(
    'a shipper that does not run: not verified, and damage is found all the same',
    { timeout: TEST_MS },
    async () => {
      await World.run('verify-silent', async (world) => {
        const file = new Written(world, 'a.log');
        fill(file, 200_000);
        world.receive();
        const shipper = world.ship();
        await assertIdentical(world, [file]);
        await shipper.stop();
        const { code, stdout, stderr } = await verify(world);
        assert.equal(code, 1);
        assert.match(stdout, /not verified: the shipper of web1 does not answer/);
        assert.match(stderr, /^logferry: 1 generation could not be verified: /);
        await flip(path.join(world.out, world.host, file.file), 77);
        assertFound((await verified(world)).rows, 77, file.bytes);
        file.close();
      });
    },
  );

  test(
    'a generation that was copied and truncated is compared with its copy',
    { timeout: TEST_MS },
    async () => {
      await World.run('verify-copytruncate', async (world) => {
        const file = new Written(world, 'a.log');
        fill(file, 500_000);
        world.receive();
        const shipper = world.ship();
        await assertIdentical(world, [file]);
        await file.copyTruncate();
        file.line();
        await assertIdentical(world, [file]);
        const { code, rows } = await verified(world);
        assert.equal(code, 0, JSON.stringify(rows));
        assert.equal(
          sum(rows, ({ byHost }) => byHost),
          file.bytes,
        );
        await flip(path.join(world.out, world.host, file.file), 400_000);
        assertFound((await verified(world)).rows, 400_000, 4096);
        await flip(path.join(world.out, world.host, file.file), 400_000);
        // Truncated while nobody looks: what was shipped of it is nowhere on the host.
        await shipper.stop();
        await file.truncate();
        const away = await verified(world);
        assert.equal(away.code, 1);
        world.ship();
        await until(async () => (await verify(world)).code === 0, { timeoutMs: WAIT_MS });
        const gone = await verified(world);
        assert.equal(gone.code, 0, JSON.stringify(gone.rows));
        assert.ok(sum(gone.rows, ({ byLedger }) => byLedger) > 0);
        file.close();
      });
    },
  );

  test('two receivers that share, and one of them away', { timeout: TEST_MS }, async () => {
    await World.run('verify-shared', async (world) => {
      const outs = ['a', 'b'].map((name) => path.join(world.dir, name));
      const [a = '', b = ''] = outs;
      world.receive(['--id', 'a'], a);
      const other = world.receive(['--id', 'b'], b);
      const { files } = await Hosts.start(world, outs, 6);
      for (const file of files) fill(file, 50_000);
      await assertShared(files, outs);
      const { code, rows } = await verified(world);
      assert.equal(code, 0, JSON.stringify(rows));
      assert.equal(
        sum(rows, ({ byHost }) => byHost),
        files.reduce((total, file) => total + file.bytes, 0),
      );
      assert.ok(outs.every((out) => existsSync(path.join(out, '.logferry'))));
      // From the directories themselves, against the same hosts.
      const direct = await verified(world, '--out', ...outs);
      assert.equal(direct.code, 0, JSON.stringify(direct.rows));
      assert.equal(
        sum(direct.rows, ({ byHost }) => byHost),
        sum(rows, ({ byHost }) => byHost),
      );
      const one = await verified(world, '--host', 'web3', '--path', '*.log');
      assert.deepEqual(
        one.rows.map(({ host }) => host),
        ['web3'],
      );
      const none = await verify(world, '--host', 'db*');
      assert.deepEqual([none.code, none.stdout], [1, '']);
      await other.kill();
      const away = await verified(world);
      assert.equal(away.code, 1);
      const whys = new Set(away.rows.flatMap((row) => row.unverified.map(({ why }) => why)));
      assert.deepEqual([...whys], ['receiver b does not answer']);
    });
  });

  test('directories without a server, and what retention removed', { timeout: TEST_MS }, async () => {
    await World.run('verify-offline', async (world) => {
      const { file } = await received(world, [...SEGMENTS, '--keep-count', '1'], (all) => all.length === 2);
      const { code, rows } = await verified(world);
      assert.equal(code, 0, JSON.stringify(rows));
      const removed = sum(rows, (row) => row.removed);
      assert.ok(removed > 1_000_000);
      assert.equal(removed + sum(rows, ({ byHost }) => byHost), file.bytes);
      await world.server.kill();
      const offline = ['verify', '--offline', '--out', world.out];
      const good = await logferry(...offline);
      assert.deepEqual([good.code, good.stderr], [0, ''], good.stdout);
      assert.match(
        good.stdout,
        /as they were written, by the ledger's checksums, .* removed by retention\n$/,
      );
      const [segment] = await centralFiles(world.out, world.host, file.file);
      assert.ok(segment !== undefined);
      await flip(segment, 1_000);
      const bad = await logferry(...offline);
      assert.equal(bad.code, 1);
      assert.ok(bad.stdout.includes(segment), bad.stdout);
      const wrong = await logferry('verify', '--offline');
      assert.equal(wrong.code, 2);
      file.close();
    });
  });

  test('records that are gone, or that nobody can read, are no success', { timeout: TEST_MS }, async () => {
    await World.run('verify-records', async (world) => {
      const setup = async (): Promise<void> => {
        const { code, stderr } = await logferry('setup', '--server', world.server.url);
        assert.equal(code, 0, stderr);
      };
      await setup();
      const fresh = await verify(world);
      assert.deepEqual([fresh.code, fresh.stderr], [0, ''], 'nothing was ever shipped');
      const file = new Written(world, 'a.log');
      fill(file, 10_000);
      const receiver = world.receive();
      const shipper = world.ship();
      await assertIdentical(world, [file]);
      assert.equal((await verify(world)).code, 0);
      await receiver.stop();
      await shipper.stop();
      const { nc, jsm } = await world.connection();
      const key = partitionKey(partitionOf(world.host, PARTITIONS));
      const subject = `$KV.LOGS_partitions.${key}`;
      const unread = new RegExp(
        `^logferry: the record ${key} in bucket LOGS_partitions .* is not verified: .*$`,
        'm',
      );
      for (const damage of [
        async () => await nc.request(subject, 'garbage', { timeout: ANSWER_MS }),
        async () => await nc.request(subject, '', { timeout: ANSWER_MS, headers: deletion() }),
      ]) {
        await damage();
        const { code, stdout, stderr } = await verify(world);
        assert.equal(code, 1, stderr);
        assert.match(stderr, unread);
        assert.match(stderr, /^logferry: 1 partition could not be read: /m);
        assert.match(stdout, /^0 generations, 0 B; none differs, 1 partition could not be read\n$/);
        const json = await verify(world, '--json');
        assert.equal(json.code, 1);
        assert.match(json.stdout, /"partitionsUnread":1/);
      }
      await jsm.streams.delete('KV_LOGS_partitions');
      await setup();
      const { code, stdout, stderr } = await verify(world);
      assert.deepEqual([code, stdout], [1, '']);
      assert.match(
        stderr,
        /^logferry: nothing was verified: bucket LOGS_partitions .* had \d+ messages: [^\n]+\n$/,
      );
      // A receiver rebuilds the record from its ledger.
      world.receive();
      world.ship();
      assert.ok(await until(async () => (await verify(world)).code === 0, { timeoutMs: WAIT_MS }));
      file.close();
    });
  });

  for (const [what, format, encoding] of [
    ['plain', 'plain', undefined],
    ['of zstd frames', 'zstd', undefined],
    ['compressed', 'plain', 'gzip'],
  ] as const)
    test(`a file without checksums, ${what}: not called identical, and missed when it is shorter`, async (t) => {
      const central = await Central.make(t, await scratch(t));
      central.format = format;
      await central.write({ id: 'g0', start: 0, data: 'one two three\n'.repeat(1_000) });
      let disk = await central.rotate();
      if (encoding !== undefined) {
        const { out, ledger } = central;
        const context = { out, ledgers: new Map([[7, ledger]]), keep: {}, log: silentLogger() };
        await passOnce({ ...context, compress: encoding }, new AbortController().signal);
        disk = compressedName(disk, encoding);
      }
      const bare = [...compactLines(central.ledger.ledger)].map((line) =>
        'checksum' in line ? { ...line, checksum: '' } : line,
      );
      await writeFile(ledgerPath(central.out, 7), bare.map(encodeLine).join(''));
      const args = ['verify', '--offline', '--out', central.out];
      const rowOf = ({ stdout }: Ran): Row => JSON.parse(stdout.split('\n')[0] ?? '') as Row;
      const whole = await logferry(...args, '--json');
      assert.deepEqual([whole.code, rowOf(whole).result, rowOf(whole).unknown], [0, 'unknown', 14_000]);
      assert.match((await logferry(...args)).stdout, /none differs: .* without a checksum in the ledger\n$/);
      const packed = await readFile(disk);
      const held = encoding === undefined ? packed : gunzipSync(packed);
      const { length } = held;
      const cut = held.subarray(0, length - 5);
      await overwrite(disk, encoding === undefined ? cut : gzipSync(cut));
      const short = await logferry(...args, '--json');
      assert.deepEqual([short.code, rowOf(short).result, rowOf(short).unknown], [1, 'differs', 0]);
      assert.match(
        rowOf(short).differs[0]?.why ?? '',
        new RegExp(`ends at byte ${length - 5}, before ${length}$`),
      );
    });
});
