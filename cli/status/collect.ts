// Everything that `logferry status` knows, gathered over one connection: who answers, who is silent, what the stream
// holds, what is at risk. May be called again every second or two; what makes rates is kept between the calls.

import type { ReceiverAnswer, ShipperAnswer } from '../../common/fleet/daemon-status.ts';
import { type Fellow, type Fleet, lookAtFleet } from '../../common/fleet/fleet.ts';
import type { Link } from '../../common/nats/connection.ts';
import { partitionOf } from '../../common/wire/subjects.ts';
import { hostRisks, receiverRisks, streamRisks } from './risks.ts';
import { lookAtStream, type StreamLook, StreamMemory } from './stream.ts';
import { dropsInMs, Inflow } from './time-left.ts';
import type { FileRow, HostRow, ReceiverRow, State, Status, StreamRow } from './types.ts';

export interface StatusNames {
  readonly stream: string;
  readonly prefix: string;
}

/** What is kept between two looks at the same stream. */
export class StatusMemory {
  readonly stream = new StreamMemory();
  readonly inflow = new Inflow();
  /** By host: what was committed at the look before, in bytes. */
  committed = new Map<string, { readonly started: string; readonly bytes: number; readonly at: number }>();
}

const MS = 1_000;

/**
 * Looks once. Takes as long as the slowest answer, 800 ms where somebody is silent or the stream has sources. Throws
 * `failed` when there is no such stream, `conflict` when it is none of logferry's, and what a request throws that is
 * refused or not answered.
 */
export async function collectStatus(link: Link, names: StatusNames, memory: StatusMemory): Promise<Status> {
  // Both at once; the first error only when both have ended.
  const [fleet, look] = await both(lookAtFleet(link, names), lookAtStream(link, names, memory.stream));
  const lostOf = lostByHost(fleet);
  const receivers = receiverRows(fleet, look, lostOf.unlisted);
  const owners = look.backlogs.map(({ owner }) => owner);
  const committed: StatusMemory['committed'] = new Map();
  const hosts: HostRow[] = [];
  for (const fellow of fleet.shippers.values()) {
    const partition = partitionOf(fellow.name, look.topology.partitions);
    const owner = owners[partition] ?? null;
    hosts.push(
      hostRow(fellow, { partition, owner, look, memory, committed, lost: lostOf.listed(fellow.name) }),
    );
  }
  memory.committed = committed;
  hosts.sort((a, b) => (a.host < b.host ? -1 : 1));
  return { receivers, hosts, stream: streamRow(look, memory, receivers) };
}

async function both<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  const [one, other] = await Promise.allSettled([a, b]);
  if (one.status === 'rejected') throw one.reason;
  if (other.status === 'rejected') throw other.reason;
  return [one.value, other.value];
}

/** What receivers have seen lost: of hosts that are listed, and the others' with each receiver. */
function lostByHost(fleet: Fleet): {
  listed: (host: string) => number;
  unlisted: (receiver: ReceiverAnswer) => { host: string; bytes: number }[];
} {
  const listed = new Map<string, number>();
  for (const { answer } of fleet.receivers.values())
    for (const { host, bytes } of answer?.status.lost ?? [])
      listed.set(host, (listed.get(host) ?? 0) + bytes);
  return {
    listed: (host) => listed.get(host) ?? 0,
    unlisted: ({ status }) => status.lost.filter(({ host }) => !fleet.shippers.has(host)),
  };
}

function stateOf({ answer, member }: Fellow<unknown>): State {
  if (answer !== undefined) return 'answers';
  return member === undefined ? 'stopped' : 'silent';
}

function seenAt({ answer, setAt }: Fellow<unknown>, now: number): string | null {
  const at = answer === undefined ? setAt : now;
  return at === undefined ? null : iso(at);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function receiverRows(
  fleet: Fleet,
  look: StreamLook,
  unlisted: (answer: ReceiverAnswer) => { host: string; bytes: number }[],
): ReceiverRow[] {
  const rows: ReceiverRow[] = [];
  for (const fellow of fleet.receivers.values()) {
    const { name: id, answer, member } = fellow;
    const said = answer?.status;
    const owned = look.backlogs.filter(({ owner }) => owner === id);
    const row = {
      id,
      machine: answer?.metadata.machine ?? member?.machine ?? null,
      state: stateOf(fellow),
      lastSeen: seenAt(fellow, look.now),
      started: said?.started ?? member?.since ?? null,
      partitions: owned.map(({ partition }) => partition),
      bytes: said?.bytes ?? null,
      bytesPerSecond: said?.bytesPerSecond ?? null,
      uncommittedMessages: owned.reduce((sum, { messages }) => sum + messages, 0),
      disk: said?.disk ?? null,
      hasRoom: said?.hasRoom ?? null,
      duplicates: said?.duplicates ?? null,
      missing: said?.missing ?? null,
      foreign: said?.foreign ?? null,
      lostBytes: said?.lostBytes ?? null,
      waitingFiles: said?.waitingFiles ?? null,
    };
    const others = answer === undefined ? [] : unlisted(answer);
    rows.push({ ...row, risks: receiverRisks(row, others) });
  }
  return rows.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

interface HostContext {
  readonly partition: number;
  readonly owner: string | null;
  readonly look: StreamLook;
  readonly memory: StatusMemory;
  readonly committed: StatusMemory['committed'];
  /** What receivers have seen lost of it. */
  readonly lost: number;
}

function hostRow(fellow: Fellow<ShipperAnswer>, context: HostContext): HostRow {
  const { name: host, answer, member } = fellow;
  const { partition, owner, look, lost } = context;
  const said = answer?.status;
  const row = {
    host,
    machine: answer?.metadata.machine ?? member?.machine ?? null,
    partition,
    owner,
    state: stateOf(fellow),
    lastSeen: seenAt(fellow, look.now),
    started: said?.started ?? member?.since ?? null,
    files: said?.files ?? null,
    sizeBytes: said?.sizeBytes ?? null,
    publishedBytes: said?.publishedBytes ?? null,
    committedBytes: said?.committedBytes ?? null,
    lagBytes: said?.lagBytes ?? null,
    lagSeconds: said === undefined ? null : said.lagMs / MS,
    bytesPerSecond: said === undefined ? null : committedRate(host, said, context),
    errors: said?.errors ?? null,
    // Both count the same gaps, each since its own start.
    lostBytes: said === undefined && lost === 0 ? null : Math.max(said?.lostBytes ?? 0, lost),
    untold: said === undefined ? null : (said.untold?.times ?? 0),
    worst: (said?.worst ?? []).map(fileRow),
  };
  const { held = false, errorLagBytes = 0, unreadable = 0 } = said ?? {};
  const lastUntold = said?.untold?.last;
  const details = { held, errorLagBytes, unreadable, lastUntold, now: look.now };
  return { ...row, risks: hostRisks(row, details) };
}

function fileRow({ lagMs, ...file }: ShipperAnswer['status']['worst'][number]): FileRow {
  const { path, file: id, sizeBytes, publishedBytes, committedBytes, lagBytes, error } = file;
  return {
    ...{ path, file: id, sizeBytes, publishedBytes, committedBytes, lagBytes },
    lagSeconds: lagMs / MS,
    error,
  };
}

/** Null at the first look. Generations that are finished leave the sum: that is no going back. */
function committedRate(host: string, said: ShipperAnswer['status'], context: HostContext): number | null {
  const { started, committedBytes: bytes } = said;
  const at = performance.now();
  context.committed.set(host, { started, bytes, at });
  const before = context.memory.committed.get(host);
  if (before?.started !== started || at <= before.at) return null;
  return Math.max(0, Math.round(((bytes - before.bytes) / (at - before.at)) * MS));
}

function streamRow(look: StreamLook, memory: StatusMemory, receivers: readonly ReceiverRow[]): StreamRow {
  const { info, backlogs, firstAt, now } = look;
  const { state, config, created } = info;
  const inflow = memory.inflow.look({
    created,
    messages: state.messages,
    bytes: state.bytes,
    lastSeq: state.last_seq,
    firstAt,
    now,
  });
  let oldest: { seq: number; storedAt: number } | undefined;
  for (const backlog of backlogs)
    if (backlog.oldest !== undefined && (oldest === undefined || backlog.oldest.seq < oldest.seq))
      oldest = backlog.oldest;
  const maxAgeMs = config.max_age / 1e6;
  const dropsMs =
    oldest === undefined
      ? undefined
      : dropsInMs({
          now,
          oldest,
          stream: {
            messages: state.messages,
            bytes: state.bytes,
            firstSeq: state.first_seq,
            lastSeq: state.last_seq,
          },
          limits: { bytes: config.max_bytes, messages: config.max_msgs, ageMs: maxAgeMs },
          inflow,
        });
  const row = {
    name: config.name,
    created,
    messages: state.messages,
    bytes: state.bytes,
    maxBytes: config.max_bytes > 0 ? config.max_bytes : null,
    maxAgeSeconds: maxAgeMs > 0 ? maxAgeMs / MS : null,
    maxMessages: config.max_msgs > 0 ? config.max_msgs : null,
    oldest: firstAt === undefined ? null : iso(firstAt),
    bytesPerSecond: inflow === undefined ? null : Math.round(inflow.bytesPerSecond),
    uncommitted: {
      messages: backlogs.reduce((sum, { messages }) => sum + messages, 0),
      oldest: oldest === undefined ? null : iso(oldest.storedAt),
      dropsInSeconds: dropsMs === undefined ? null : Math.round(dropsMs / MS),
    },
    partitions: backlogs.map(({ partition, owner, messages }) => ({
      partition,
      owner,
      uncommittedMessages: messages,
    })),
  };
  return { ...row, risks: streamRisks(row, backlogs, receivers, now) };
}
