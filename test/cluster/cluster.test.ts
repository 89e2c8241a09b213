// A cluster of three nats-servers, of which one, or two, are lost for a while. Three copies of everything: nothing is
// lost with them, and whoever is left goes on.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { jetstream } from '@nats-io/jetstream';

import { sleep, until } from '../../common/runtime/run.ts';
import { answered, ClusterWorld } from './world.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { warns } from '../support/said.ts';

const SERVERS = [0, 1, 2];
const STREAM = 'LOGS';
const TIMEOUT = { timeout: TEST_MS };

// Most of the time an election is waited for.
describe('a cluster that loses servers for a while', { concurrency: 2 }, () => {
  test('SIGKILL of a server that does not lead the stream, and it comes back', TIMEOUT, async () => {
    await ClusterWorld.within('cluster-follower', { number: 110 }, async (world) => {
      const { cluster } = world;
      const leader = await cluster.leader(STREAM);
      const victim = (leader + 1 + Math.floor(world.rand() * 2)) % 3;
      await world.inFlight();
      await cluster.kill(victim);
      await world.goesOn();
      await cluster.start(victim);
      await world.goesOn();
      await world.assertCopied();
    });
  });

  test(
    'SIGKILL of the leader of the stream, of the partitions, of the cluster: what it had acknowledged is there',
    TIMEOUT,
    async () => {
      await ClusterWorld.within('cluster-leaders', { number: 111 }, async (world) => {
        const { cluster } = world;
        const leaders = [
          async () => await cluster.leader(STREAM),
          async () => await cluster.leader('KV_LOGS_partitions'),
          async () => await cluster.metaLeader(),
        ];
        for (const leader of leaders) {
          const victim = await leader();
          await world.inFlight();
          const { nc, jsm } = await world.connection();
          const publish = async (): Promise<number> =>
            (await jetstream(nc).publish('logs.other.0', `killed ${victim}`)).seq;
          const seq = await answered(publish);
          await cluster.kill(victim);
          await world.goesOn();
          assert.notEqual(await leader(), victim);
          const kept = await answered(async () => await jsm.streams.getMessage(STREAM, { seq }));
          assert.equal(kept?.string(), `killed ${victim}`);
          await cluster.start(victim);
        }
      });
    },
  );

  test('SIGKILL of two: everything waits, and goes on with the first that comes back', TIMEOUT, async () => {
    await ClusterWorld.within('cluster-quorum', { number: 112 }, async (world) => {
      const { cluster } = world;
      const left = Math.floor(world.rand() * 3);
      const [first = 0, second = 0] = SERVERS.filter((number) => number !== left);
      await world.inFlight();
      await cluster.kill(first, second);
      const committed = world.files.reduce((sum, { bytes }) => sum + bytes, 0);
      let before = await cluster.copy(left, STREAM);
      // What was on its way is still stored.
      const isStill = async (): Promise<boolean> => {
        await sleep(3_000);
        const now = await cluster.copy(left, STREAM);
        const still = now?.last_seq === before?.last_seq;
        before = now;
        return still;
      };
      assert.ok(await until(isStill, { timeoutMs: WAIT_MS }), 'one server alone takes messages');
      assert.ok(world.files.reduce((sum, { bytes }) => sum + bytes, 0) > committed, 'nothing was written');
      await cluster.start(first);
      await world.goesOn();
      await cluster.start(second);
      await world.goesOn();
    });
  });

  test(
    'the leader is paused for longer than an election, and still takes itself for it',
    TIMEOUT,
    async () => {
      await ClusterWorld.within('cluster-paused', { number: 115 }, async (world) => {
        const { cluster } = world;
        const paused = await cluster.leader(STREAM);
        await world.inFlight();
        cluster.pause(paused);
        assert.notEqual(await cluster.leader(STREAM), paused);
        cluster.resume(paused);
        await world.goesOn();
        await world.assertCopied();
      });
    },
  );

  test('a rolling restart, with SIGTERM and as lame ducks', TIMEOUT, async () => {
    await ClusterWorld.within('cluster-rolling', { number: 113 }, async (world) => {
      for (const number of SERVERS) {
        await world.inFlight();
        await world.cluster.stop(number, number === 1 ? 'SIGUSR2' : 'SIGTERM');
        await world.goesOn();
        await world.cluster.start(number);
      }
    });
  });

  test('the store of the leader is wiped, and it joins again', TIMEOUT, async () => {
    await ClusterWorld.within('cluster-wiped-one', { number: 114 }, async (world) => {
      const { cluster } = world;
      const victim = await cluster.leader(STREAM);
      await world.inFlight();
      await cluster.kill(victim);
      await cluster.wipe(victim);
      await cluster.start(victim);
      await world.goesOn();
      await world.assertCopied();
    });
  });

  test(
    'one copy only, and its server is stopped in order: everybody waits, whoever starts too',
    TIMEOUT,
    async () => {
      await ClusterWorld.within('cluster-one-copy', { number: 116, replicas: 1 }, async (world) => {
        const { cluster } = world;
        const copies = await Promise.all(SERVERS.map(async (number) => await cluster.copy(number, STREAM)));
        const holder = copies.findIndex((copy) => copy !== undefined);
        const offline = /\(stream is offline\); (trying again|waiting for it)$/;
        await world.inFlight();
        await cluster.stop(holder);
        await warns(world.receiver, offline);
        await world.shipper.kill();
        await world.receiver.kill();
        world.startShipper();
        world.startReceiver();
        await warns(world.shipper, offline);
        await warns(world.receiver, offline);
        await cluster.start(holder);
        await world.goesOn();
      });
    },
  );
});
