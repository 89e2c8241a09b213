// The disk of one server of three is full: the leader's. Its streams stop there, the others go on, and once there is
// room it joins them again.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { ClusterWorld } from './world.ts';
import { storeOf } from './servers.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { SmallDisk } from '../support/small-disk.ts';

const STREAM = 'LOGS';
const FULL = 0;

test('a full disk under the leader of the stream, and room again', { timeout: TEST_MS }, async (context) => {
  if (!SmallDisk.canMount()) {
    context.skip('nothing can be mounted here, and a nats-server cannot be told that its disk is full');
    return;
  }
  let disk: SmallDisk | undefined;
  // By itself a server promises no more than its disk has, and the stream would not be placed there.
  const config = (store: string): string =>
    `jetstream { store_dir: ${JSON.stringify(store)}, max_file_store: 100GB }`;
  const prepare = (dir: string): void => {
    disk = SmallDisk.mount(storeOf(dir, FULL));
  };
  const cleanUp = async (): Promise<void> => {
    await disk?.unmount();
  };
  await ClusterWorld.within('cluster-disk', { number: 120, config, prepare, cleanUp }, async (world) => {
    const { cluster } = world;
    await lead(world);
    await world.inFlight();
    await disk?.leave(0);
    const isBehind = async (): Promise<boolean> => {
      const [full, other] = await Promise.all([cluster.copy(FULL, STREAM), cluster.copy(1, STREAM)]);
      return other !== undefined && other.last_seq > (full?.last_seq ?? 0);
    };
    assert.ok(await until(isBehind, { timeoutMs: WAIT_MS }), 'the full disk takes everything');
    await world.goesOn();
    await world.goesOn();
    assert.ok(await isBehind(), 'the full disk takes everything again');
    await disk?.empty();
    // It has ended its JetStream, and begins it again with a start only.
    await cluster.stop(FULL);
    await cluster.start(FULL);
    await world.goesOn();
    await world.assertCopied();
  });
});

/** Makes the server with the small disk the leader of the stream; older servers take no preference, and are asked again. */
async function lead(world: ClusterWorld): Promise<void> {
  const { nc } = await world.connection();
  const wanted = JSON.stringify({ placement: { preferred: `n${FULL}` } });
  const isLeader = async (): Promise<boolean> => (await world.cluster.leader(STREAM)) === FULL;
  const hasBecomeLeader = async (): Promise<boolean> => {
    if (await isLeader()) return true;
    // While there is no leader nobody answers; asked again.
    await nc.request(`$JS.API.STREAM.LEADER.STEPDOWN.${STREAM}`, wanted, { timeout: 5_000 }).catch(() => {});
    return await until(isLeader, { timeoutMs: 2_000, everyMs: 100 });
  };
  assert.ok(await until(hasBecomeLeader, { timeoutMs: WAIT_MS }), 'it does not become the leader');
}
