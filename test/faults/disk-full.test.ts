// Disks that are full while everything runs: nothing is lost, nothing comes twice, nothing half-written stays, and what
// waited goes on by itself once there is room.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, stat } from 'node:fs/promises';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';

import { systemCode } from '../../common/runtime/errors.ts';
import { silentLogger } from '../../common/runtime/log.ts';
import { sleep, until } from '../../common/runtime/run.ts';
import { claimsOf, type RunLine } from '../../receiver/ledger/ledger.ts';
import { LedgerFile, ledgerPath, loadLedger } from '../../receiver/ledger/ledger-file.ts';
import { scratch } from '../support/central.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { logs, messages, share, stops, warns } from '../support/said.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { assertIdentical, assertShared } from '../support/compare.ts';
import { baseSeed, random } from '../support/seed.ts';
import { bytesIn } from '../support/central-files.ts';
import type { Daemon } from '../support/daemon.ts';
import { Hosts } from '../support/in-process.ts';
import { World } from '../support/world.ts';
import { Writer, Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const ROTATE = ['--rotate-size', '100KiB'];

/** A file may not grow beyond this; Node ignores the signal that would end it. */
const LIMIT = 256 * KIB;
const LIMITED = ['bash', '-c', `trap "" XFSZ; ulimit -S -f ${LIMIT / KIB}; exec "$@"`, 'bash'];
/** Segments that the limit does not let grow that large. */
const ROTATE_LATE = ['--rotate-size', '300KiB'];

const CANNOT_WRITE = /cannot write/;
const WORKS = /^writing below .* works again$/;
const NO_ROOM =
  /^no room below (\S+) \(ENOSPC.* are free\): its partitions go to receivers that have room.*make room there/;
const ROOM = /^there is room below \S+ again/;

/** How a test makes a receiver's disk full, and gives it room again. */
interface Full {
  receive(format?: string): Daemon;
  /** From now on there is room for so many bytes at most; a limit of the file size is there from the start. */
  fill(leave: number): Promise<void>;
  room(): Promise<void>;
}

/** Runs a test with a small disk at a directory; skipped where nothing can be mounted. */
async function onSmallDisk(
  context: TestContext,
  world: World,
  directory: string,
  run: (disk: SmallDisk, started: (receiver: Daemon) => Daemon) => Promise<void>,
): Promise<void> {
  const disk = SmallDisk.mount(directory);
  if (disk === undefined) {
    context.skip('nothing can be mounted here, and a limit of the file size says nothing of the disk');
    return;
  }
  context.diagnostic('disk full by tmpfs');
  const receivers: Daemon[] = [];
  const started = (receiver: Daemon): Daemon => {
    receivers.push(receiver);
    return receiver;
  };
  try {
    await keeping(directory, async () => {
      await run(disk, started);
    });
  } finally {
    for (const receiver of receivers) await receiver.kill();
    await disk.unmount();
  }
}

/** Keeps a copy of a directory that is going to be unmounted when the test fails. */
async function keeping(directory: string, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    const filter = (file: string): boolean => !/\/(ballast|lock)$/.test(file);
    await cp(directory, `${directory}-kept`, { recursive: true, filter });
    throw error;
  }
}

/** One receiver whose disk can be full: a tmpfs, or a limit where nothing can be mounted. */
async function withFullDisk(
  context: TestContext,
  name: string,
  run: (world: World, full: Full) => Promise<void>,
): Promise<void> {
  await World.run(name, async (world) => {
    if (SmallDisk.canMount())
      await onSmallDisk(context, world, world.out, async (disk, started) => {
        await run(world, byMount(world, disk, started));
      });
    else {
      context.diagnostic('disk full by ulimit');
      await run(world, byLimit(world));
    }
  });
}

function byMount(world: World, disk: SmallDisk, started: (receiver: Daemon) => Daemon): Full {
  return {
    receive: (format = 'plain') => started(world.receive([...ROTATE, '--format', format])),
    fill: async (leave) => {
      await disk.leave(leave);
    },
    room: async () => {
      await disk.empty();
    },
  };
}

function byLimit(world: World): Full {
  let last: Daemon | undefined;
  return {
    receive: (format = 'plain') =>
      (last = world.receive([...ROTATE_LATE, '--format', format], world.out, LIMITED)),
    fill: async () => {},
    room: async () => {
      assert.ok(last !== undefined);
      unlimit(last);
    },
  };
}

/** Lifts the limit of the file size. */
function unlimit({ child }: Daemon): void {
  const { status } = spawnSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited:']);
  assert.equal(status, 0, 'prlimit of util-linux');
}

function count(receiver: Daemon, pattern: RegExp): number {
  return messages(receiver).filter((line) => pattern.test(line)).length;
}

/** Every message of a receiver that says that it cannot write. */
function failures(receiver: Daemon): string[] {
  return messages(receiver, 40).filter((line) => CANNOT_WRITE.test(line));
}

async function shares(receivers: readonly Daemon[], expected: readonly number[]): Promise<void> {
  const now = (): (number | undefined)[] => receivers.map(share);
  await until(() => JSON.stringify(now()) === JSON.stringify(expected), { timeoutMs: WAIT_MS });
  assert.deepEqual(now(), expected);
}

/** Waits until every record names this receiver. */
async function ownsAll(world: World, id: string): Promise<void> {
  const store = await world.records();
  const others = async (): Promise<number> => {
    let count = 0;
    for (let number = 0; number < PARTITIONS; number += 1)
      if ((await store.read(number)).record?.owner !== id) count += 1;
    return count;
  };
  await until(async () => (await others()) === 0, { timeoutMs: WAIT_MS, everyMs: 200 });
  assert.equal(await others(), 0, `partitions that are not ${id}'s`);
}

/** One byte of one file; lines that follow each other are one run. */
function lineOf(start: number, name = 'f'): RunLine {
  const at = { start, end: start + 1, from: start, to: start + 1 };
  const where = { path: `/${name}.log`, destination: `web1/${name}.log`, inode: 'i-1' };
  return { term: 'd.1', file: `web1/${name}`, ...where, ...at, tail: '', checksum: '00000000' };
}

describe('full disks', { concurrency: 3 }, () => {
  test(
    'one receiver on a disk that gets full waits, and goes on when there is room',
    { timeout: TEST_MS },
    async (context) => {
      await withFullDisk(context, 'full', async (world, full) => {
        const rand = random(baseSeed() * 100 + 70);
        const files = ['a.log', 'b.log', 'c.log'].map((name) => new Written(world, name));
        for (const file of files) file.line();
        const receiver = full.receive();
        const shipper = world.ship();
        await assertIdentical(world, files);
        await full.fill(300 * KIB);
        const writer = new Writer(files, rand, { rotate: 'rename', perTick: 30 });
        await warns(receiver, CANNOT_WRITE);
        await sleep(2_000);
        await full.room();
        await writer.stop();
        await assertIdentical(world, files);
        context.diagnostic(`failed ${failures(receiver).length} times: ${failures(receiver)[0]}`);
        await stops(shipper);
        await stops(receiver);
      });
    },
  );

  test(
    'a disk that is full again and again, with little room in between',
    { timeout: TEST_MS },
    async (context) => {
      await World.run('full-again', async (world) => {
        await onSmallDisk(context, world, world.out, async (disk, started) => {
          const rand = random(baseSeed() * 100 + 71);
          const files = ['a.log', 'b.log', 'c.log', 'd.log'].map((name) => new Written(world, name));
          for (const file of files) file.line();
          const receiver = started(world.receive(ROTATE));
          const shipper = world.ship();
          await assertIdentical(world, files);
          const writer = new Writer(files, rand, { rotate: 'rename', perTick: 4 });
          for (let round = 1; round <= 4; round += 1) {
            const worked = count(receiver, WORKS);
            const failed = failures(receiver).length;
            await disk.leave(Math.floor(rand() * 24 * KIB));
            // It is not said when it was said a moment ago.
            await until(() => failures(receiver).length > failed, { timeoutMs: 10_000 });
            await sleep(rand() * 1_000);
            // Little at first, so that it is full again before everything is written.
            await disk.giveBack(Math.floor(rand() * 400 * KIB));
            await sleep(rand() * 700);
            await disk.giveBack(4 * MIB);
            await until(() => count(receiver, WORKS) > worked, { timeoutMs: 30_000 });
          }
          await writer.stop();
          await assertIdentical(world, files);
          assert.ok(count(receiver, WORKS) >= 2, 'it was hardly ever full');
          const kinds = new Set(failures(receiver).map((line) => /\((.*?)\)/.exec(line)?.[1]));
          context.diagnostic(`failed ${failures(receiver).length} times: ${[...kinds].join('; ')}`);
          await stops(shipper);
          await stops(receiver);
        });
      });
    },
  );

  for (const [format, room] of [
    ['plain', 200 * KIB],
    ['zstd', 20 * KIB],
  ] as const)
    test(
      `SIGKILL while the disk is full: starts, cuts, waits, goes on, in ${format}`,
      { timeout: TEST_MS },
      async (context) => {
        await withFullDisk(context, `full-kill-${format}`, async (world, full) => {
          const rand = random(baseSeed() * 100 + 72);
          const files = ['a.log', 'b.log'].map((name) => new Written(world, name));
          for (const file of files) file.line();
          let receiver = full.receive(format);
          world.ship();
          await assertIdentical(world, files);
          await full.fill(room);
          const writer = new Writer(files, rand, { rotate: 'rename', perTick: 30 });
          await warns(receiver, CANNOT_WRITE);
          for (let kill = 1; kill <= 3; kill += 1) {
            await sleep(rand() * 2_500);
            await receiver.kill();
            await full.fill(kill === 3 ? 0 : room);
            receiver = full.receive(format);
            await logs(receiver, /^receiving as /);
          }
          await warns(receiver, /cannot write|no room/);
          await full.room();
          await writer.stop();
          await assertIdentical(world, files);
          await stops(receiver);
        });
      },
    );

  test(
    'two receivers, one of them full: the other has everything until there is room',
    { timeout: TEST_MS },
    async (context) => {
      await World.run('full-two', async (world) => {
        const outs = [0, 1].map((number) => path.join(world.dir, `out${number}`));
        await onSmallDisk(context, world, outs[0]!, async (disk, started) => {
          const rand = random(baseSeed() * 100 + 73);
          const receive = (number: number): Daemon =>
            started(
              world.receive([...ROTATE, '--id', `r${number}`, '--hand-over-after', '2s'], outs[number]),
            );
          const [r0, r1] = [receive(0), receive(1)];
          await shares([r0, r1], [PARTITIONS / 2, PARTITIONS / 2]);
          const hosts = await Hosts.start(world, outs, 12);
          const writer = new Writer(hosts.files, rand, { rotate: 'rename', perTick: 10 });
          await disk.leave(200 * KIB);
          await warns(r0, NO_ROOM);
          await shares([r0, r1], [0, PARTITIONS]);
          await ownsAll(world, 'r1');
          // It has cut back, and does not take that for room.
          await sleep(4_000);
          assert.equal(count(r0, ROOM), 0);
          assert.equal(share(r0), 0);
          await disk.empty();
          await logs(r0, ROOM);
          await shares([r0, r1], [PARTITIONS / 2, PARTITIONS / 2]);
          await sleep(500);
          await writer.stop();
          await assertShared(hosts.files, outs);
          assert.equal(count(r0, NO_ROOM), 1);
          assert.equal(count(r0, /^let go of/), 0);
          for (const receiver of [r0, r1]) await stops(receiver);
        });
      });
    },
  );

  test('a receiver that can take nothing over leaves it to others', { timeout: TEST_MS }, async (context) => {
    await World.run('full-take', async (world) => {
      const outs = [0, 1].map((number) => path.join(world.dir, `out${number}`));
      await onSmallDisk(context, world, outs[0]!, async (disk, started) => {
        const rand = random(baseSeed() * 100 + 74);
        const receive = (number: number): Daemon =>
          started(world.receive([...ROTATE, '--id', `r${number}`, '--hand-over-after', '10m'], outs[number]));
        let r1 = receive(1);
        const hosts = await Hosts.start(world, outs, 12);
        const writer = new Writer(hosts.files, rand, { rotate: 'rename', perTick: 4 });
        const r0 = receive(0);
        await shares([r0, r1], [PARTITIONS / 2, PARTITIONS / 2]);
        await sleep(1_000);
        await disk.leave(0);
        await r1.kill();
        await warns(r0, /cannot take partition \d+ \(ENOSPC/);
        await warns(r0, NO_ROOM);
        r1 = receive(1);
        await ownsAll(world, 'r1');
        await disk.empty();
        await shares([r0, r1], [PARTITIONS / 2, PARTITIONS / 2]);
        await writer.stop();
        await assertShared(hosts.files, outs);
        for (const receiver of [r0, r1]) await stops(receiver);
      });
    });
  });

  test(
    'a file that cannot grow stops its own partition, and nothing is handed over',
    { timeout: TEST_MS },
    async () => {
      await World.run('one-file', async (world) => {
        const args = ['--rotate-size', 'off', '--hand-over-after', '1s'];
        const receiver = world.receive(args, world.out, LIMITED);
        const hosts = await Hosts.start(world, [world.out], 4);
        const [large, ...others] = hosts.files;
        assert.ok(large !== undefined);
        for (let line = 0; line < 2 * LIMIT; line += 1_000) large.line(1_000);
        await warns(receiver, /^partition \d+: cannot write \(EFBIG/);
        await sleep(1_500);
        for (const file of others) file.line();
        const written = others.reduce((sum, file) => sum + file.bytes, 0);
        const arrived = async (): Promise<number> =>
          await bytesIn(others.map(({ host }) => path.join(world.out, host)));
        await until(async () => (await arrived()) === written, { timeoutMs: WAIT_MS });
        assert.equal(await arrived(), written);
        assert.equal(count(receiver, /no room/), 0);
        unlimit(receiver);
        await assertShared(hosts.files, [world.out]);
        await stops(receiver);
      });
    },
  );

  test(
    'a ledger on a full disk says what it said before, or all of the lines',
    { timeout: TEST_MS },
    async (context) => {
      const directory = await scratch(context);
      const disk = SmallDisk.mount(directory);
      if (disk === undefined) {
        context.skip('nothing can be mounted here');
        return;
      }
      context.diagnostic('disk full by tmpfs');
      const rand = random(baseSeed() * 100 + 75);
      const file = ledgerPath(directory, 7);
      const ledger = await LedgerFile.open(directory, 'd', 7, silentLogger());
      try {
        let end = 0;
        let failed = 0;
        // Until it is nearly so long that it wants to be written anew, for which a quarter of it has to stay.
        await ledger.append(Array.from({ length: 1_400 }, (_, index) => lineOf(0, `g${index}`)));
        for (; end < 3_600; end += 1) await ledger.append([lineOf(end)]);
        await disk.leave(0);
        for (let append = 0; append < 200; append += 1) {
          if (append % 4 === 0) {
            await disk.giveBack(64 * KIB);
            await disk.leave(Math.floor(rand() * 40 * KIB));
          }
          const lines = Array.from({ length: 1 + Math.floor(rand() * 40) }, (_, index) =>
            lineOf(end + index),
          );
          try {
            await ledger.append(lines);
            end += lines.length;
          } catch (error) {
            assert.equal(systemCode(error), 'ENOSPC');
            failed += 1;
          }
          assert.equal(claimsOf(ledger.ledger).get('web1/f')?.end, end);
          if (append % 20 === 0)
            assert.deepEqual((await loadLedger(file, 'd', 7)).ledger, ledger.ledger, `append ${append}`);
        }
        assert.deepEqual((await loadLedger(file, 'd', 7)).ledger, ledger.ledger);
        assert.ok(failed > 0);
        context.diagnostic(`${failed} of 200 appends failed`);
        await disk.empty();
        await ledger.append([lineOf(end)]);
        assert.ok((await stat(file)).size < 512 * KIB, 'it was not written anew when there was room');
      } finally {
        await ledger.close();
        await disk.unmount();
      }
    },
  );
});
