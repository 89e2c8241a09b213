// An edge: a leaf node with a stream of its own, which the hub brings in. The link is cut and comes back, processes and
// servers die meanwhile, messages are lost on both sides, and every byte is compared.

import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';

import { sleep, until } from '../../common/runtime/run.ts';
import { Edge, type HubWorld, run, withHub } from './edge-world.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { assertIdentical, assertShared } from '../support/compare.ts';
import { baseSeed, random } from '../support/seed.ts';
import type { Daemon } from '../support/daemon.ts';
import type { World } from '../support/world.ts';
import { Writer, Written } from '../support/log-files.ts';

const ROTATE = ['--rotate-size', '200KiB'];

function twoFiles(world: World): Written[] {
  const files = ['a.log', 'b.log'].map((name) => new Written(world, name));
  for (const file of files) file.line();
  return files;
}

interface Begun {
  readonly world: World;
  readonly edge: Edge;
  readonly files: Written[];
  readonly receiver: Daemon;
  readonly shipper: Daemon;
}

/** An edge whose first lines have arrived. */
async function begin(hub: HubWorld): Promise<Begun> {
  const { world } = hub;
  const edge = await Edge.start(hub, 'edge1');
  const files = twoFiles(world);
  const receiver = world.receive(ROTATE);
  const shipper = world.ship(edge.flags);
  await assertIdentical(world, files);
  return { world, edge, files, receiver, shipper };
}

/** Waits until the hub has every message of the edge. */
async function forwarded({ world }: HubWorld, edge: Edge): Promise<void> {
  const jsm = await world.jsm();
  const isAllThere = async (): Promise<boolean> => {
    const there = await edge.with(async (local) => (await local.streams.info('LOGS')).state.last_seq);
    const { state } = await jsm.streams.info('LOGS');
    const last = await jsm.streams.getMessage('LOGS', { seq: state.last_seq }).catch(() => null);
    return last?.header.get('Nats-Stream-Source').includes(` ${there} `) === true;
  };
  assert.ok(await until(isAllThere, { timeoutMs: WAIT_MS, everyMs: 200 }), 'not forwarded');
}

/** How many lines of this level were logged. */
function logged(stderr: string, level: 30 | 40 | 50): string[] {
  return stderr.split('\n').filter((line) => line.startsWith(`{"level":${level},`));
}

describe('at an edge', { concurrency: 3 }, () => {
  test('what a rotating writer writes arrives, and nothing is wrong', { timeout: TEST_MS }, async () => {
    await withHub('edge-plain', async (hub) => {
      const { world, edge, files, receiver, shipper } = await begin(hub);
      const writer = new Writer(files, random(baseSeed() * 100 + 41), { rotate: 'rename' });
      await sleep(3_000);
      await writer.stop();
      await assertIdentical(world, files);
      for (const { stderr } of [shipper, receiver])
        assert.deepEqual([...logged(stderr, 40), ...logged(stderr, 50)], []);
      // Each byte came once: nothing was stored on both sides, nor sent again.
      const { state } = await (await world.jsm()).streams.info('LOGS');
      const local = await edge.with(async (jsm) => (await jsm.streams.info('LOGS')).state.messages);
      assert.equal(state.messages, local);
    });
  });

  test('written and rotated while the link is down, with a new shipper', { timeout: TEST_MS }, async () => {
    await withHub('edge-cut', async (hub) => {
      const { world, edge, files, ...first } = await begin(hub);
      let { shipper } = first;
      const rand = random(baseSeed() * 100 + 42);
      edge.link.close();
      let writer = new Writer(files, rand, { rotate: 'rename' });
      await sleep(2_000);
      await writer.stop();
      // A file that is known and of which nothing is there waits for the hub: nobody here knows whether that has some.
      let before = await edge.lastSeq();
      const isQuiet = async (): Promise<boolean> => before === (before = await edge.lastSeq());
      assert.ok(await until(isQuiet, { timeoutMs: WAIT_MS, everyMs: 1_000 }), 'still shipping');
      await shipper.kill();
      writer = new Writer(files, rand, { rotate: 'rename' });
      await sleep(500);
      shipper = world.ship(edge.flags);
      const ships = async (): Promise<boolean> => (await edge.lastSeq()) > before + 20;
      assert.ok(await until(ships, { timeoutMs: WAIT_MS }), 'nothing more in the stream of the edge');
      await writer.stop();
      // Rotations that the new one has seen itself.
      for (const file of files) file.rotate();
      writer = new Writer(files, rand, { rotate: 'rename' });
      await sleep(2_000);
      await writer.stop();
      assert.equal(shipper.child.exitCode, null);
      assert.equal(logged(shipper.stderr, 40).length, 1, shipper.stderr);
      edge.link.open();
      await assertIdentical(world, files);
      assert.deepEqual(logged(shipper.stderr, 50), []);
    });
  });

  for (const how of ['purged', 'deleted'] as const)
    test(`the hub's stream ${how} before anything was committed`, { timeout: TEST_MS }, async () => {
      await withHub(`edge-${how}`, async (hub) => {
        const { world, edge, files, receiver, shipper } = await begin(hub);
        await receiver.kill();
        for (const file of files) for (let line = 0; line < 2_000; line += 1) file.line();
        await until(async () => (await world.uncommitted()) > 0, { timeoutMs: WAIT_MS });
        await sleep(1_000);
        await forwarded(hub, edge);
        const jsm = await world.jsm();
        if (how === 'purged') assert.ok((await jsm.streams.purge('LOGS')).purged > 0);
        else assert.equal(await jsm.streams.delete('LOGS'), true);
        world.receive(ROTATE);
        if (how === 'deleted') await run(world, ['setup', '--source', edge.domain]);
        await assertIdentical(world, files);
        const again = /shipping again from byte \d+: it was lost on the way to the central side/;
        assert.equal(again.test(shipper.stderr), how === 'purged', shipper.stderr);
      });
    });

  test(
    "the hub's stream deleted while everything runs: created again with its sources",
    {
      timeout: TEST_MS,
    },
    async () => {
      await withHub('edge-restored', async (hub) => {
        const { world, files } = await begin(hub);
        const writer = new Writer(files, random(baseSeed() * 100 + 48), { rotate: 'rename' });
        const jsm = await world.jsm();
        await sleep(1_000);
        assert.equal(await jsm.streams.delete('LOGS'), true);
        await sleep(2_000);
        await writer.stop();
        await assertIdentical(world, files);
        assert.equal((await jsm.streams.info('LOGS')).config.sources?.length, 1);
      });
    },
  );

  test('a message is lost at the hub in the middle of many', { timeout: TEST_MS }, async () => {
    await withHub('edge-hole', async (hub) => {
      const { world, files, receiver, shipper } = await begin(hub);
      await receiver.kill();
      const jsm = await world.jsm();
      const first = (await jsm.streams.info('LOGS')).state.last_seq;
      const writer = new Writer(files, random(baseSeed() * 100 + 43), { rotate: 'none' });
      const isMore = async (): Promise<boolean> =>
        (await jsm.streams.info('LOGS')).state.last_seq > first + 20;
      assert.ok(await until(isMore, { timeoutMs: WAIT_MS }), 'nothing was forwarded');
      await jsm.streams.deleteMessage('LOGS', first + 2);
      world.receive(ROTATE);
      // Found while more is being written: a writer that never pauses must not keep it from being seen.
      const isFound = (): boolean => /shipping again from byte/.test(shipper.stderr);
      assert.ok(await until(isFound, { timeoutMs: WAIT_MS }), shipper.stderr);
      await writer.stop();
      await assertIdentical(world, files);
    });
  });

  test("the leaf's store is lost while the link is down", { timeout: TEST_MS }, async () => {
    await withHub('edge-wiped', async (hub) => {
      const { world, edge, files, shipper } = await begin(hub);
      edge.link.close();
      const writer = new Writer(files, random(baseSeed() * 100 + 44), { rotate: 'rename' });
      await sleep(2_000);
      await edge.server.kill();
      await rm(path.join(edge.dir, 'jetstream'), { recursive: true });
      await edge.restart();
      await sleep(3_000);
      await writer.stop();
      edge.link.open();
      await assertIdentical(world, files);
      assert.match(shipper.stderr, /created again what had vanished: stream LOGS/);
      assert.deepEqual(logged(shipper.stderr, 50), []);
    });
  });

  for (const restarted of [false, true])
    test(
      `the stream at the edge is full while the link is down, ${restarted ? 'new' : 'same'} shipper`,
      {
        timeout: TEST_MS,
      },
      async () => {
        await withHub('edge-full', async (hub) => {
          const { world } = hub;
          const edge = await Edge.start(hub, 'edge1');
          const files = twoFiles(world);
          world.receive();
          const flags = [...edge.flags, '--compression', 'none'];
          let shipper = world.ship(flags);
          await assertIdentical(world, files);
          const extent = async (): Promise<{ first_seq: number; bytes: number }> =>
            await edge.with(async (jsm) => (await jsm.streams.info('LOGS')).state);
          const { first_seq: first } = await extent();
          edge.link.close();
          // 92 % of 32 MiB, in so many messages that the two in front of them are less than a tenth.
          const block = Buffer.from(`${'x'.repeat(999)}\n`.repeat(1_100));
          for (let count = 0; count < 14; count += 1) for (const file of files) file.append(block);
          const isShipped = async (): Promise<boolean> => (await extent()).bytes > 28 * block.length;
          assert.ok(await until(isShipped, { timeoutMs: WAIT_MS }), 'not all is in the stream of the edge');
          if (restarted) {
            await shipper.kill();
            shipper = world.ship(flags);
          }
          await run(world, ['setup', '--edge', '--max-bytes', '32MiB', '--alter'], edge.server.url);
          const isHeld = (): boolean => /holding back/.test(shipper.stderr);
          assert.ok(await until(isHeld, { timeoutMs: WAIT_MS }), shipper.stderr);
          for (const file of files) for (let count = 0; count < 5; count += 1) file.append(block);
          await sleep(3_000);
          assert.equal((await extent()).first_seq, first, 'messages were dropped that only the edge had');
          edge.link.open();
          await assertIdentical(world, files);
          assert.deepEqual(logged(shipper.stderr, 50), []);
        });
      },
    );

  test('receiver, shipper, leaf and hub are killed', { timeout: TEST_MS }, async () => {
    await withHub('edge-killed', async (hub) => {
      const { world, edge, files, ...first } = await begin(hub);
      let { receiver, shipper } = first;
      const rand = random(baseSeed() * 100 + 45);
      const writer = new Writer(files, rand, { rotate: 'rename', perTick: 20 });
      for (const kill of ['receiver', 'shipper', 'leaf', 'hub'] as const) {
        await sleep(500 + rand() * 500);
        if (kill === 'receiver') {
          await receiver.kill();
          receiver = world.receive(ROTATE);
        } else if (kill === 'shipper') {
          await shipper.kill();
          shipper = world.ship(edge.flags);
        } else if (kill === 'leaf') {
          await edge.server.kill();
          await edge.restart();
        } else {
          await world.server.kill();
          await world.restartServer();
        }
      }
      await writer.stop();
      await assertIdentical(world, files);
    });
  });

  test(
    'two edges and a host at the hub, one of them without its link for a while',
    {
      timeout: TEST_MS,
    },
    async () => {
      await withHub('edge-two', async (hub) => {
        const { world } = hub;
        const edges = [await Edge.start(hub, 'edge1'), await Edge.start(hub, 'edge2')];
        const files: Written[] = [];
        for (const [index, host] of ['web1', 'web2', 'web3'].entries()) {
          await mkdir(path.join(world.source, host));
          files.push(new Written(world, `${host}/a.log`, host));
          world.start(`ship-${host}`, [
            ...['ship', path.join(world.source, host, '*.log'), '--host', host, '--lease', '2s'],
            ...['--state', path.join(world.dir, `state-${host}`)],
            ...(edges[index]?.flags ?? ['--server', world.server.url]),
          ]);
        }
        world.receive(ROTATE);
        for (const file of files) file.line();
        await assertShared(files, [world.out]);
        const writer = new Writer(files, random(baseSeed() * 100 + 46), { rotate: 'rename' });
        await sleep(2_000);
        edges[1]!.link.close();
        await sleep(2_000);
        edges[1]!.link.open();
        await writer.stop();
        await assertShared(files, [world.out]);
      });
    },
  );
});
