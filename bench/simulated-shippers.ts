// Shippers that exist only as services: registered like real ones, and answering with a status that the caller makes up.

import { Bucket } from '../common/nats/bucket.ts';
import type { ShipperStatus } from '../common/fleet/daemon-status.ts';
import type { Link } from '../common/nats/connection.ts';
import type { RecordStore } from '../common/record/store.ts';
import { inParallel } from '../common/runtime/run.ts';
import { membersBucket, shipperKey, type Topology } from '../common/wire/topology.ts';
import { Host } from '../shipper/host/host.ts';
import { serveShipper } from '../shipper/answers/service.ts';

const SETS_AT_ONCE = 64;

/** Of a shipper with which nothing is wrong. */
export const NOTHING_WRONG = {
  errors: 0,
  errorLagBytes: 0,
  unreadable: 0,
  lostBytes: 0,
  untold: null,
  held: false,
} as const;

/** `host0` to `host<count - 1>`, spread over the connections; resolves when all would answer. */
export async function simulateShippers(
  links: readonly [Link, ...Link[]],
  store: RecordStore,
  topology: Topology,
  count: number,
  status: () => ShipperStatus,
): Promise<void> {
  const bucket = new Bucket(links[0], membersBucket(topology.stream));
  const since = new Date().toISOString();
  await inParallel(Array(count).keys(), SETS_AT_ONCE, async (number) => {
    const name = `host${number}`;
    const link = links[number % links.length] ?? links[0];
    const member = { directory: name, machine: name, pid: 1, boot: name, run: name, since, beats: 1 };
    const absent = { revision: 0, epoch: bucket.epoch() };
    await bucket.set(shipperKey(name), JSON.stringify(member), absent);
    serveShipper(new Host(link, topology, store, name), status);
  });
  await Promise.all(links.map(async ({ nc }) => await nc.flush()));
}
