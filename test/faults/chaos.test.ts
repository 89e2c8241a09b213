// What goes wrong besides processes dying: lost state, a lost stream, lost buckets, a network that cuts and delays.
// The source files still exist, so every byte must arrive, once and in order.

import assert from 'node:assert/strict';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { sleep, until } from '../../common/runtime/run.ts';
import { partitionOf } from '../../common/wire/subjects.ts';
import { partitionKey } from '../../common/wire/topology.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { Proxy } from '../support/proxy.ts';
import { assertIdentical } from '../support/compare.ts';
import { baseSeed, random } from '../support/seed.ts';
import { World } from '../support/world.ts';
import { Writer, Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';

const ROTATE = ['--rotate-size', '200KiB'];

/** Three files whose first lines have arrived. */
async function begin(world: World, server = world.server.url): Promise<Written[]> {
  const files = ['a.log', 'b.log', 'c.log'].map((name) => new Written(world, name));
  for (const file of files) file.line();
  world.receive([...ROTATE, '--server', server]);
  world.ship(['--server', server]);
  await assertIdentical(world, files);
  return files;
}

test('the state of the shipper deleted between two runs: nothing twice', { timeout: TEST_MS }, async () => {
  await World.run('lost-state', async (world) => {
    const rand = random(baseSeed() * 100 + 10);
    const files = ['a.log', 'b.log'].map((name) => new Written(world, name));
    for (const file of files) file.line();
    world.receive(ROTATE);
    let shipper = world.ship();
    await assertIdentical(world, files);
    for (let round = 0; round < 3; round += 1) {
      const writer = new Writer(files, rand, { rotate: 'rename' });
      await sleep(1_000);
      await world.inFlight();
      await (round === 1 ? shipper.stop() : shipper.kill());
      await writer.stop();
      await rm(world.state, { recursive: true });
      for (const file of files) for (let index = 0; index < 100; index += 1) file.line();
      // Another state takes a name that was not released only after the lease.
      shipper = world.ship();
    }
    await assertIdentical(world, files);
  });
});

test('stream and buckets deleted while everything runs: identical', { timeout: TEST_MS }, async () => {
  await World.run('wiped', async (world) => {
    const rand = random(baseSeed() * 100 + 11);
    const files = await begin(world);
    const jsm = await world.jsm();
    const writer = new Writer(files, rand, { rotate: 'none' });
    for (const names of [
      ['LOGS'],
      ['KV_LOGS_partitions'],
      ['KV_LOGS_members'],
      ['LOGS', 'KV_LOGS_partitions', 'KV_LOGS_members'],
    ]) {
      await sleep(800 + rand() * 800);
      await world.inFlight();
      for (const name of names) assert.equal(await jsm.streams.delete(name), true);
      const areBack = async (): Promise<boolean> => {
        const there = await jsm.streams.names().next();
        return names.every((name) => there.includes(name));
      };
      assert.ok(await until(areBack, { timeoutMs: WAIT_MS, everyMs: 100 }), `${names.join()} stay away`);
      await sleep(3_000);
    }
    await writer.stop();
    await assertIdentical(world, files);
  });
});

test('messages purged before they were committed are shipped again', { timeout: TEST_MS }, async () => {
  await World.run('purged', async (world) => {
    const files = [new Written(world, 'a.log')];
    files[0]!.line();
    const receiver = world.receive(ROTATE);
    world.ship();
    await assertIdentical(world, files);
    await receiver.kill();
    for (let index = 0; index < 20_000; index += 1) files[0]!.line(200);
    await world.inFlight();
    const jsm = await world.jsm();
    // All of it: what is published later would be kept.
    let { state } = await jsm.streams.info('LOGS');
    const isStill = async (): Promise<boolean> => {
      const before = state.last_seq;
      await sleep(500);
      ({ state } = await jsm.streams.info('LOGS'));
      return state.last_seq === before;
    };
    await until(isStill, { timeoutMs: WAIT_MS });
    await jsm.streams.purge('LOGS', { seq: state.last_seq });
    const { purged } = await jsm.streams.purge('LOGS');
    assert.ok(purged <= 2, 'the server kept more than asked for');
    world.receive(ROTATE);
    await assertIdentical(world, files);
  });
});

test('a network that cuts and delays: identical', { timeout: TEST_MS }, async () => {
  await World.run('proxy', async (world) => {
    const rand = random(baseSeed() * 100 + 12);
    const proxy = await Proxy.start(world.server.port);
    const files = await begin(world, proxy.url);
    const writer = new Writer(files, rand, { rotate: 'rename' });
    for (let round = 0; round < 10; round += 1) {
      await sleep(300 + rand() * 700);
      proxy.delayMs = rand() < 0.5 ? 0 : rand() * 50;
      await world.inFlight();
      if (rand() < 0.5) proxy.cut();
      else {
        proxy.close();
        await sleep(rand() * 1_000);
        proxy.open();
      }
    }
    proxy.delayMs = 0;
    await writer.stop();
    await assertIdentical(world, files);
    proxy.end();
  });
});

test(
  'a host that is gone for good keeps its last bytes, with the gap reported',
  { timeout: TEST_MS },
  async () => {
    await World.run('give-up', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      let receiver = world.receive(ROTATE);
      const shipper = world.ship(['--compression', 'none']);
      await assertIdentical(world, [file]);
      await receiver.stop();
      const jsm = await world.jsm();
      const first = (await jsm.streams.info('LOGS')).state.last_seq;
      for (let round = 0; round < 5; round += 1) {
        const before = (await jsm.streams.info('LOGS')).state.last_seq;
        file.line(1_000);
        await until(async () => (await jsm.streams.info('LOGS')).state.last_seq > before, {
          timeoutMs: WAIT_MS,
        });
      }
      await shipper.kill();
      await rm(world.source, { recursive: true });
      await jsm.streams.deleteMessage('LOGS', first + 2);
      receiver = world.receive([...ROTATE, '--give-up-after', '2s']);
      const active = path.join(world.out, world.host, file.file);
      const size = async (): Promise<number> => (await stat(active)).size;
      await until(async () => (await size()) >= file.bytes - 1_000, { timeoutMs: WAIT_MS });
      const truth = await file.truth();
      const kept = Buffer.concat([truth.subarray(0, 1_100), truth.subarray(2_100)]);
      assert.deepEqual(await readFile(active), kept);
      assert.match(receiver.stderr, /bytes 1100 to 2100 are lost/);
    });
  },
);

test('a ledger whose last line is garbage: its bytes are shipped again', { timeout: TEST_MS }, async () => {
  await World.run('damaged-ledger', async (world) => {
    const file = new Written(world, 'a.log');
    const receiver = world.receive();
    world.ship();
    for (let round = 0; round < 5; round += 1) {
      file.line();
      await assertIdentical(world, [file]);
      await sleep(300);
    }
    await receiver.kill();
    const key = partitionKey(partitionOf(world.host, PARTITIONS));
    const ledger = path.join(world.out, '.logferry', `${key}.ledger`);
    const lines = (await readFile(ledger, 'utf8')).split('\n').slice(0, -2);
    await writeFile(ledger, [...lines, 'garbage', ''].join('\n'));
    file.line();
    world.receive();
    await assertIdentical(world, [file]);
  });
});

for (const pending of [true, false])
  test(
    `a source directory that appears late, ${pending ? 'with' : 'without'} bytes to be shipped: nothing is lost`,
    { timeout: TEST_MS },
    async () => {
      await World.run('late-directory', async (world) => {
        const mount = path.join(world.source, 'm');
        await mkdir(mount);
        const file = new Written(world, 'm/a.log');
        const glob = path.join(mount, '*.log');
        file.line();
        let shipper = world.ship([], glob);
        world.receive();
        await assertIdentical(world, [file]);
        if (pending) {
          await world.server.kill();
          file.line();
          const state = path.join(world.state, 'state.json');
          const seen = async (): Promise<boolean> =>
            (await readFile(state, 'utf8')).includes(`"size":${file.bytes}`);
          assert.ok(await until(seen, { timeoutMs: WAIT_MS }), 'the shipper has not seen the line');
        }
        await shipper.kill();
        await rename(mount, `${mount}.away`);
        if (pending) await world.restartServer();
        shipper = world.ship([], glob);
        await sleep(3_000);
        await rename(`${mount}.away`, mount);
        if (!pending) file.line();
        await assertIdentical(world, [file]);
        assert.equal(/lost/.test(shipper.stderr), false, shipper.stderr);
      });
    },
  );
