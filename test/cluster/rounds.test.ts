// Servers of a cluster, the shipper and the receiver are killed in the same moment, round after round.

import { test } from 'node:test';

import { sleep } from '../../common/runtime/run.ts';
import { ClusterWorld } from './world.ts';
import { TEST_MS } from '../support/timeouts.ts';
import { baseSeed } from '../support/seed.ts';

const ROUNDS = Number(process.env['LOGFERRY_TEST_KILLS'] ?? 4);
/** How many servers are killed in a round, by turns. */
const VICTIMS = [1, 3, 2, 0];

test('servers, shipper and receiver are killed together', { timeout: TEST_MS }, async (context) => {
  await ClusterWorld.within('cluster-rounds', { number: 140 }, async (world) => {
    const { cluster, rand } = world;
    for (let round = 1; round <= ROUNDS; round += 1) {
      await sleep(200 + rand() * 800);
      const first = Math.floor(rand() * 3);
      const count = VICTIMS[(round - 1) % VICTIMS.length] ?? 1;
      const victims = [0, 1, 2].slice(0, count).map((number) => (first + number) % 3);
      await world.inFlight();
      await Promise.all([world.shipper.kill(), world.receiver.kill(), cluster.kill(...victims)]);
      context.diagnostic(`servers ${victims.join(', ')} killed, ${round} of ${ROUNDS}, seed ${baseSeed()}`);
      await sleep(rand() * 1_000);
      const isFirst = rand() < 0.5;
      if (isFirst) await cluster.start(...victims);
      world.startReceiver();
      world.startShipper();
      if (!isFirst) {
        await sleep(rand() * 1_000);
        await cluster.start(...victims);
      }
      await world.goesOn();
    }
  });
});
