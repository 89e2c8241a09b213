// A shipper from start to stop: the state, the connection, the host's name.

import { begin } from '../common/record/begin.ts';
import { Bucket, isUnanswered } from '../common/nats/bucket.ts';
import { edgeDomain, inDomain } from '../common/nats/domain.ts';
import { LogferryError } from '../common/runtime/errors.ts';
import { Registration } from '../common/fleet/members.ts';
import { type Link, openLink } from '../common/nats/connection.ts';
import { MANY_WAIT_MS } from '../common/nats/reconnect.ts';
import { STOP_ANSWERS_MS, untilAnswered } from '../common/runtime/run.ts';
import { Shown } from '../common/health/shown.ts';
import { membersBucket, shipperInbox, shipperKey } from '../common/wire/topology.ts';
import { CentralSide } from './host/central.ts';
import { noShipperCounts } from './report/counts.ts';
import { Host } from './host/host.ts';
import type { ShipOptions } from './options.ts';
import type { ShipperReading } from './report/reading.ts';
import { serveShipper } from './answers/service.ts';
import { Session, type ShipperRun } from './session.ts';
import { sayLeftInSpool, Spool } from './stdin/spool.ts';
import { State } from './files/state.ts';
import { verifyEndpoint } from './answers/verify.ts';

export type { ShipOptions } from './options.ts';

const ONCE_GIVE_UP_MS = 30_000;

/** Ships until the signal fires (or, with `once` and standard input, until all is committed). */
export async function ship(options: ShipOptions, signal: AbortSignal): Promise<void> {
  const { log } = options;
  const shown = options.shown ?? new Shown<ShipperReading>();
  const counts = noShipperCounts(shown.countsLines);
  const run: ShipperRun = { started: new Date().toISOString(), counts, pulse: shown.pulse };
  shown.read = () => ({ counts, now: undefined });
  const state = await State.open(options.state, options.host, log);
  let spool: Spool | undefined;
  try {
    await sayLeftInSpool(state.location, options.stdin?.path, log);
    if (options.stdin !== undefined) {
      spool = await Spool.open(state.location, options.stdin.path, options.stdin.maxBytes, log);
      // Before there is a connection: whoever writes to the pipe waits for the disk only.
      spool.read(process.stdin);
      // Beside everything else that a stop waits for.
      signal.addEventListener('abort', () => void spool?.endReading(), { once: true });
    }
    shown.waitsFor = () => 'no connection to nats-server yet';
    const inboxPrefix = options.server.inboxPrefix ?? shipperInbox(options.host);
    const link = await openLink(
      { ...options.server, inboxPrefix },
      {
        name: `logferry shipper ${options.host}`,
        log,
        signal,
        giveUpMs: options.once ? ONCE_GIVE_UP_MS : undefined,
        stopMs: STOP_ANSWERS_MS,
        // Late by a lease, its name would be free.
        mostWaitMs: Math.min(MANY_WAIT_MS, options.leaseMs / 2),
      },
    );
    shown.link = link;
    shown.waitsFor = () => `waiting for stream ${options.stream} and its buckets`;
    try {
      const domains = await domainsOf(link, options.hubDomain, signal);
      const begun = await begin(
        link,
        options,
        { directory: state.location, host: options.host, edge: domains !== undefined },
        log,
        signal,
      );
      if (begun === undefined) return;
      const { report, store, restoreVanished: restore } = begun;
      const records =
        domains === undefined
          ? store
          : new CentralSide(await inDomain(link, domains.hub), domains, report.topology, options.host, log);
      const host = new Host(link, report.topology, records, options.host);
      while (!signal.aborted)
        if (await shipWhileRegistered(options, state, host, restore, spool, run, shown, signal)) break;
    } finally {
      await link.close();
    }
  } finally {
    await spool?.stop();
    await state.close();
  }
}

/** At an edge: the domain there, and the hub's. Throws `conflict` when the server is no leaf node of it. */
async function domainsOf(
  link: Link,
  hub: string | undefined,
  signal: AbortSignal,
): Promise<{ hub: string; edge: string } | undefined> {
  if (hub === undefined) return undefined;
  const edge = await untilAnswered(async () => await edgeDomain(link, hub), isUnanswered, signal);
  return edge === undefined ? undefined : { hub, edge };
}

/** Ships under the host's name; false when the name was lost and must be had again. */
async function shipWhileRegistered(
  options: ShipOptions,
  state: State,
  host: Host,
  restore: () => Promise<void>,
  spool: Spool | undefined,
  run: ShipperRun,
  shown: Shown<ShipperReading>,
  signal: AbortSignal,
): Promise<boolean> {
  const { log } = options;
  shown.waitsFor = () => `waiting for the host name ${options.host}`;
  const registration = await Registration.acquire(
    {
      bucket: new Bucket(host.link, membersBucket(options.stream)),
      key: shipperKey(options.host),
      what: `the host name ${options.host}`,
      hint: 'give this shipper another --host to run both',
      directory: state.directory,
      leaseMs: options.leaseMs,
      giveUpMs: options.once ? options.timeoutMs : undefined,
      log,
    },
    signal,
  );
  if (registration === undefined) return true;
  const session = new Session(options, state, host, restore, registration, spool, run);
  const verify = verifyEndpoint(host.topology.prefix, host.name, () => session.sources());
  const stopServing = serveShipper(host, () => session.status(), [verify]);
  shown.read = () => ({ counts: run.counts, now: session.now });
  shown.waitsFor = () => undefined;
  try {
    await session.run(signal);
    return true;
  } catch (error) {
    if (!(error instanceof LogferryError) || error.code !== 'lost') throw error;
    // Another answers under this name now.
    stopServing();
    log.error(error.message);
    return false;
  } finally {
    shown.waitsFor = () => `letting go of the host name ${options.host}`;
    shown.read = () => ({ counts: run.counts, now: undefined });
    stopServing();
    try {
      await session.stop();
    } finally {
      stopServing();
      await registration.release();
    }
  }
}
