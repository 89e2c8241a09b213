// Several receivers behind one stream: they share the hosts, any of them can go at any time, and what all of them hold
// together is what was written, every byte in one place.

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';

import { sleep, until } from '../common/run.ts';
import { partitionOf } from '../common/subjects.ts';
import { readDirectories } from '../receiver/reader.ts';
import { assertShared, baseSeed, bytesIn, type Daemon, Hosts, random, World, Writer } from './harness.ts';
import { messages } from './said.ts';

const ROTATE = ['--rotate-size', '200KiB'];

/** How many partitions a receiver last said are its own. */
function share(receiver: Daemon): number | undefined {
  return messages(receiver)
    .map((line) => /^(\d+) of 64 partitions are this receiver's/.exec(line)?.[1])
    .filter((count) => count !== undefined)
    .map(Number)
    .at(-1);
}

async function shares(receivers: readonly Daemon[], expected: readonly number[]): Promise<void> {
  const now = (): number[] => receivers.map((one) => share(one) ?? -1).toSorted((a, b) => a - b);
  await until(() => JSON.stringify(now()) === JSON.stringify(expected), { timeoutMs: 15_000 });
  assert.deepEqual(now(), expected);
}

test('three share, one is killed, one is stopped, two are added', { timeout: 120_000 }, async () => {
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
    await shares([r1, r2, r3], [21, 21, 22]);
    await sleep(1_000);
    await r2.kill();
    await shares([r1, r3], [32, 32]);
    const r4 = receive(4);
    const r5 = receive(5);
    await shares([r1, r3, r4, r5], [16, 16, 16, 16]);
    await sleep(1_000);
    assert.equal(await r1.stop(), 0);
    await shares([r3, r4, r5], [21, 21, 22]);
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
    const { record } = await store.read(partitionOf(run.file.split('/')[0] ?? '', 64));
    known += Math.max(0, Math.min(run.end, record?.files.get(run.file)?.offset ?? 0) - run.start);
  }
  return (await bytesIn([out])) - known;
}

for (let round = 1; round <= 3; round += 1)
  test(
    `a receiver paused with bytes that nobody knows of lets go when another has taken over, ${round} of 3`,
    { timeout: 90_000 },
    async (context) => {
      await World.run('fence', async (world) => {
        const rand = random(baseSeed() * 100 + 50 + round);
        const outs = ['out1', 'out2'].map((name) => path.join(world.dir, name));
        const [paused, other] = outs.map((out, index) =>
          world.receive([...ROTATE, '--id', `r${index}`], out),
        );
        assert.ok(paused !== undefined && other !== undefined);
        await shares([paused, other], [32, 32]);
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
        await shares([other], [64]);
        await sleep(500 + rand() * 1_500);
        paused.child.kill('SIGCONT');
        await until(() => messages(paused).some((line) => line.startsWith('let go of partition')), {
          timeoutMs: 10_000,
        });
        assert.ok(messages(paused).some((line) => line.startsWith('let go of partition')));
        await sleep(1_000);
        await writer.stop();
        await assertShared(hosts.files, outs);
      });
    },
  );
