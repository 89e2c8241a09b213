// Several receivers behind one stream: they share the hosts, any of them can go at any time, and what all of them hold
// together is what was written, every byte in one place.

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';

import { sleep, until } from '../../common/runtime/run.ts';
import { partitionOf } from '../../common/wire/subjects.ts';
import { ledgersIn } from '../../receiver/ledger/ledger-file.ts';
import { readDirectories } from '../../receiver/read/reader.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { fails, logs, messages, share } from '../support/said.ts';
import { assertShared } from '../support/compare.ts';
import { baseSeed, random } from '../support/seed.ts';
import { bytesIn } from '../support/central-files.ts';
import type { Daemon } from '../support/daemon.ts';
import { Hosts } from '../support/in-process.ts';
import { World } from '../support/world.ts';
import { Writer, Written } from '../support/log-files.ts';

// Shares of 16 partitions (support/tuned.ts).
const ROTATE = ['--rotate-size', '200KiB'];

async function shares(receivers: readonly Daemon[], expected: readonly number[]): Promise<void> {
  const now = (): number[] => receivers.map((one) => share(one) ?? -1).toSorted((a, b) => a - b);
  await until(() => JSON.stringify(now()) === JSON.stringify(expected), { timeoutMs: WAIT_MS });
  assert.deepEqual(now(), expected);
}

test('three share, one is killed, one is stopped, two are added', { timeout: TEST_MS }, async () => {
  await World.run('share', async (world) => {
    const rand = random(baseSeed() * 100 + 40);
    const outs = [1, 2, 3, 4, 5].map((number) => path.join(world.dir, `out${number}`));
    const receive = (number: number): Daemon =>
      world.receive([...ROTATE, '--id', `r${number}`], outs[number - 1]);
    const r1 = receive(1);
    const r2 = receive(2);
    const r3 = receive(3);
    const hosts = await Hosts.start(world, outs.slice(0, 3), 6);
    const writer = new Writer(hosts.files, rand, { rotate: 'rename', perTick: 10 });
    await shares([r1, r2, r3], [5, 5, 6]);
    await sleep(1_000);
    await r2.kill();
    await shares([r1, r3], [8, 8]);
    const r4 = receive(4);
    const r5 = receive(5);
    await shares([r1, r3, r4, r5], [4, 4, 4, 4]);
    await sleep(1_000);
    assert.equal(await r1.stop(), 0);
    await shares([r3, r4, r5], [5, 5, 6]);
    receive(2);
    await sleep(1_000);
    await writer.stop();
    receive(1);
    await assertShared(hosts.files, outs);
  });
});

/** What a stopped receiver has on disk beyond what the records know: bytes that nobody was told of. */
async function unannounced(world: World, out: string): Promise<number> {
  const store = await world.records();
  let known = 0;
  for (const { run } of await readDirectories([out])) {
    const { record } = await store.read(partitionOf(run.file.split('/')[0] ?? '', world.partitions));
    known += Math.max(0, Math.min(run.end, record?.files.get(run.file)?.offset ?? 0) - run.start);
  }
  return (await bytesIn([out])) - known;
}

for (let round = 1; round <= 3; round += 1)
  test(
    `a receiver paused with bytes that nobody knows of lets go when another has taken over, ${round} of 3`,
    { timeout: TEST_MS },
    async (context) => {
      await World.run('fence', async (world) => {
        const rand = random(baseSeed() * 100 + 50 + round);
        const outs = ['out1', 'out2'].map((name) => path.join(world.dir, name));
        const [paused, other] = outs.map((out, index) =>
          world.receive([...ROTATE, '--id', `r${index}`], out),
        );
        assert.ok(paused !== undefined && other !== undefined);
        await shares([paused, other], [8, 8]);
        const hosts = await Hosts.start(world, outs, 8);
        const writer = new Writer(hosts.files, rand, { rotate: 'rename', perTick: 20 });
        let bytes = 0;
        for (let tries = 0; tries < 100 && bytes <= 0; tries += 1) {
          await sleep(rand() * 300);
          paused.child.kill('SIGSTOP');
          await sleep(20);
          bytes = await unannounced(world, outs[0]!);
          if (bytes <= 0) paused.child.kill('SIGCONT');
        }
        assert.ok(bytes > 0, 'nothing was written that nobody knew of');
        context.diagnostic(`paused with ${bytes} bytes on its disk that no record knew of`);
        await shares([other], [16]);
        await sleep(500 + rand() * 1_500);
        paused.child.kill('SIGCONT');
        await until(() => messages(paused).some((line) => line.startsWith('let go of partition')), {
          timeoutMs: WAIT_MS,
        });
        assert.ok(messages(paused).some((line) => line.startsWith('let go of partition')));
        await sleep(1_000);
        await writer.stop();
        await assertShared(hosts.files, outs);
      });
    },
  );

/** The partitions that a receiver's ledgers are of. */
async function ledgersOf(out: string): Promise<number[]> {
  return (await ledgersIn(out).catch(() => [])).toSorted((a, b) => a - b);
}

test(
  'shares given by hand: nobody takes what is not in them, the others share the rest',
  { timeout: TEST_MS },
  async () => {
    await World.run('fixed', async (world) => {
      const outs = ['own', 'index', 'plan'].map((name) => path.join(world.dir, name));
      const own = world.receive(['--id', 'own', '--own', '0-7,9'], outs[0]);
      await shares([own], [9]);
      const index = world.receive(['--id', 'index', '--index', '3', '--of', '4'], outs[1]);
      // 3, 7, 11, …: 3 and 7 are in both shares, and taken.
      await shares([index], [2]);
      const plan = world.receive(['--id', 'plan'], outs[2]);
      await shares([plan], [5]);
      const hosts = await Hosts.start(world, outs, 12);
      for (const file of hosts.files) for (let line = 0; line < 100; line += 1) file.line();
      await assertShared(hosts.files, outs);
      const planned = await ledgersOf(outs[2]!);
      assert.equal(planned.length, 5);
      for (const number of await ledgersOf(outs[0]!)) assert.ok(number <= 7 || number === 9);
      for (const number of await ledgersOf(outs[1]!)) assert.equal(number % 4, 3);
    });
  },
);

test(
  'shares that overlap: the record decides, and the second one says who has it',
  { timeout: TEST_MS },
  async () => {
    await World.run('overlap', async (world) => {
      const outs = ['a', 'b'].map((name) => path.join(world.dir, name));
      const first = world.receive(['--id', 'a', '--own', '0-7'], outs[0]);
      await shares([first], [8]);
      const second = world.receive(['--id', 'b', '--own', '6-15'], outs[1]);
      await logs(
        second,
        /^2 partitions \(6, 7\) are in the shares of b and a; a has them; give shares that do not overlap \(--own, --index\)$/,
      );
      await until(async () => (await ledgersOf(outs[1]!)).length >= 8, { timeoutMs: WAIT_MS });
      assert.deepEqual(
        await ledgersOf(outs[1]!),
        [...Array(8).keys()].map((number) => number + 8),
      );
      await first.kill();
      await until(async () => (await ledgersOf(outs[1]!)).length === 10, { timeoutMs: WAIT_MS });
      assert.equal((await ledgersOf(outs[1]!)).length, 10);
    });
  },
);

test(
  'more receivers than partitions: one waits, says so once, and takes over',
  { timeout: TEST_MS },
  async () => {
    await World.run('too-many', async (world) => {
      const setup = world.start('setup', ['setup', '--server', world.server.url, '--partitions', '2']);
      assert.equal(await setup.exited, 0);
      const outs = ['a', 'b', 'c'].map((name) => path.join(world.dir, name));
      const [a, b] = ['a', 'b'].map((id, index) => world.receive(['--id', id], outs[index]));
      await logs(a!, /^1 of 2 partitions are this receiver's; 2 receivers share them$/);
      await logs(b!, /^1 of 2 partitions are this receiver's; 2 receivers share them$/);
      const c = world.receive(['--id', 'c'], outs[2]);
      const waiting = /^nothing to do: 3 receivers share 2 partitions; waiting until one of them goes$/;
      await logs(c, waiting);
      await sleep(1_500);
      assert.equal(messages(c).filter((line) => waiting.test(line)).length, 1);
      await a!.kill();
      await logs(c, /^1 of 2 partitions are this receiver's; 2 receivers share them$/);
    });
  },
);

test(
  'a stream with another number of partitions than its records is refused',
  { timeout: TEST_MS },
  async () => {
    await World.run('other-count', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const receiver = world.receive();
      const shipper = world.ship();
      await assertShared([file], [world.out]);
      await shipper.stop();
      await receiver.stop();
      const jsm = await world.jsm();
      await jsm.streams.delete('LOGS');
      const setup = world.start('setup', ['setup', '--server', world.server.url, '--partitions', '32']);
      assert.equal(await setup.exited, 0);
      const line =
        'logferry: stream LOGS has 32 partitions, the records in bucket LOGS_partitions are of 16: delete the stream and ' +
        'run logferry setup --partitions 16; for another number, run logferry repartition then';
      for (const daemon of [world.receive(), world.ship()])
        assert.equal(await fails(daemon, /^logferry: /), line);
    });
  },
);
