// Every server of a cluster loses its store at once: stream and buckets are gone. Whoever ships or receives creates
// them again as they were, and all that is not committed comes again from the hosts.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type JetStreamManager, JetStreamApiError, type StreamInfo } from '@nats-io/jetstream';

import { isStreamMissing, isUnanswered } from '../../common/nats/bucket.ts';
import { answered, ClusterWorld } from './world.ts';
import { TEST_MS } from '../support/timeouts.ts';
import { messages } from '../support/said.ts';
import { PARTITIONS } from '../support/tuned.ts';

const STREAMS = ['LOGS', 'KV_LOGS_partitions', 'KV_LOGS_members'];
const STREAM_NOT_FOUND = 10_059;
const TIMEOUT = { timeout: TEST_MS };

test('all stores are wiped under running processes', TIMEOUT, async () => {
  await ClusterWorld.within('cluster-wiped', { number: 130 }, async (world) => {
    const running = [world.shipper, world.receiver];
    await world.inFlight();
    // Paused: they would have created everything again before anybody could look.
    for (const { child } of running) child.kill('SIGSTOP');
    await wipeAll(world);
    for (const { child } of running) child.kill('SIGCONT');
    await world.goesOn();
    await assertAsBefore(world, PARTITIONS);
  });
});

test('all stores are wiped while the shipper and the receiver are down', TIMEOUT, async () => {
  const setup = ['--partitions', '16', '--max-age', '3d', '--max-bytes', '100MiB'];
  await ClusterWorld.within('cluster-wiped-down', { number: 131, setup }, async (world) => {
    await world.goesOn();
    await world.inFlight();
    await Promise.all([world.shipper.kill(), world.receiver.kill()]);
    await wipeAll(world);
    world.startReceiver();
    world.startShipper();
    await world.goesOn();
    await assertAsBefore(world, 16);
    const { config } = await infoOf((await world.connection()).jsm, 'LOGS');
    assert.equal(config.max_age, 3 * 86_400_000_000_000);
    assert.equal(config.max_bytes, 100 * 1024 ** 2);
    const said = [...messages(world.receiver), ...messages(world.shipper)];
    assert.ok(
      said.some((line) => /^created again what had vanished: .*with 3 replicas as before$/.test(line)),
      said.join('\n'),
    );
  });
});

test('all stores are put back to what they were a while ago', TIMEOUT, async () => {
  await ClusterWorld.within('cluster-older', { number: 132 }, async (world) => {
    const { cluster } = world;
    await world.inFlight();
    for (const number of [0, 1, 2]) await cluster.stop(number);
    await cluster.keepStores();
    await cluster.start(0, 1, 2);
    await world.goesOn();
    await world.goesOn();
    await world.inFlight();
    const { jsm } = await world.connection();
    const before = await Promise.all(STREAMS.map(async (name) => await infoOf(jsm, name)));
    for (const { child } of [world.shipper, world.receiver]) child.kill('SIGSTOP');
    await cluster.kill(0, 1, 2);
    await cluster.putBackStores();
    await cluster.start(0, 1, 2);
    const after = await world.connection();
    for (const { config, created, state } of before) {
      await cluster.leader(config.name);
      const now = await infoOf(after.jsm, config.name);
      assert.equal(now.created, created);
      assert.ok(now.state.last_seq < state.last_seq, `${config.name} has lost nothing`);
    }
    for (const { child } of [world.shipper, world.receiver]) child.kill('SIGCONT');
    await world.goesOn();
  });
});

/** SIGKILL of all servers, and they begin with nothing. */
async function wipeAll(world: ClusterWorld): Promise<void> {
  const { cluster } = world;
  await cluster.kill(0, 1, 2);
  await cluster.wipe(0, 1, 2);
  await cluster.start(0, 1, 2);
  await cluster.metaLeader();
  const { jsm } = await world.connection();
  for (const name of STREAMS) assert.ok(await isGone(jsm, name), `${name} is still there`);
}

async function infoOf(jsm: JetStreamManager, name: string): Promise<StreamInfo> {
  const isTransient = (error: unknown): boolean => isUnanswered(error) && !isStreamMissing(error);
  return await answered(async () => await jsm.streams.info(name), isTransient);
}

async function isGone(jsm: JetStreamManager, name: string): Promise<boolean> {
  try {
    await infoOf(jsm, name);
    return false;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return true;
    throw error;
  }
}

async function assertAsBefore(world: ClusterWorld, partitions: number): Promise<void> {
  const { jsm } = await world.connection();
  for (const name of STREAMS) {
    const { config } = await infoOf(jsm, name);
    assert.equal(config.num_replicas, 3, name);
    if (name === 'LOGS')
      assert.match(config.subject_transform?.dest ?? '', new RegExp(`partition\\(${partitions},`));
  }
}
