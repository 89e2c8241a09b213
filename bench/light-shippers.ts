// A process of `npm run bench -- reconnect`: shippers without files. Each has a connection, a name with its heartbeat and
// the looks at record and stream as a real one has them; each says when it was back, and when it was answered first.

import { setTimeout as after } from 'node:timers/promises';

import { Bucket, isUnanswered } from '../common/nats/bucket.ts';
import { silentLogger } from '../common/runtime/log.ts';
import { Registration } from '../common/fleet/members.ts';
import { openLink } from '../common/nats/connection.ts';
import { RecordStore } from '../common/record/store.ts';
import { MANY_WAIT_MS } from '../common/nats/reconnect.ts';
import { inParallel } from '../common/runtime/run.ts';
import { membersBucket, shipperKey } from '../common/wire/topology.ts';
import { Host } from '../shipper/host/host.ts';

/** What a process says of its shippers: milliseconds since 1970, in any order. */
export interface Back {
  readonly back: readonly number[];
  readonly answered: readonly number[];
  /** Requests after the reconnect that had no answer. */
  readonly failed: number;
}

const OPENED_AT_ONCE = 50;
/** As the shipper's own: the default lease, how often a heartbeat is due, and a look when nothing is to be committed. */
const LEASE_MS = 20_000;
const TICK_MS = 500;
const VIEW_MS = 10_000;

const [server = '', first = '0', count = '0', tlsCa] = process.argv.slice(2);
const names = Array.from({ length: Number(count) }, (_, index) => `light${Number(first) + index}`);
let back: number[] = [];
let answered: number[] = [];
let failed = 0;
const ends = new AbortController();

process.on('disconnect', () => process.exit());
process.on('message', () => {
  back = [];
  answered = [];
  failed = 0;
});

await inParallel(names, OPENED_AT_ONCE, async (name) => {
  let wasAnswered = true;
  const log = silentLogger();
  const link = await openLink(
    { server, tlsCa },
    {
      name,
      log,
      mostWaitMs: Math.min(MANY_WAIT_MS, LEASE_MS / 2),
      onReconnect: () => {
        back.push(Date.now());
        wasAnswered = false;
      },
    },
  );
  const topology = { stream: 'LOGS', prefix: 'logs', partitions: 64 };
  const host = new Host(link, topology, new RecordStore(link, topology.stream, log, name), name);
  const bucket = new Bucket(link, membersBucket(topology.stream));
  const what = { what: name, hint: '', directory: name, leaseMs: LEASE_MS, log };
  const registration = await Registration.acquire({ bucket, key: shipperKey(name), ...what }, ends.signal);
  const work = async (): Promise<void> => {
    let viewAt = performance.now() + Math.random() * VIEW_MS;
    await after(Math.random() * TICK_MS);
    for (;;) {
      if (link.isConnected()) {
        await registration?.beatWhenDue();
        if (performance.now() > viewAt || !wasAnswered) {
          viewAt = performance.now() + VIEW_MS;
          const isAnswered = (await host.view().catch(nothingIfUnanswered)) !== undefined;
          if (isAnswered && !wasAnswered) answered.push(Date.now());
          if (!isAnswered && link.isConnected()) failed += 1;
          wasAnswered ||= isAnswered;
        }
        if (answered.length === names.length) say();
      }
      await after(TICK_MS);
    }
  };
  void work();
});
process.send?.('ready');

function nothingIfUnanswered(error: unknown): undefined {
  if (!isUnanswered(error)) throw error;
}

/** Once for each outage. */
function say(): void {
  const all: Back = { back, answered, failed };
  process.send?.(all);
  answered = [];
}
