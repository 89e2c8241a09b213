// What the stream holds and what of it nobody has committed, partition by partition. Reads only; its consumers are its
// own and last for a moment.

import type { StreamInfo } from '@nats-io/jetstream';

import { LogferryError } from '../../common/runtime/errors.ts';
import { type Link, withoutSecrets } from '../../common/nats/connection.ts';
import { streamPosition } from '../../common/record/record.ts';
import { type RecordHead, RecordHeads } from '../../common/record/heads.ts';
import { inParallel } from '../../common/runtime/run.ts';
import { streamInfo, topologyOf } from '../../common/stream/stream.ts';
import { partitionFilter, type Topology } from '../../common/wire/topology.ts';
import { NANOS_PER_MS } from '../../common/text/units.ts';

/** Messages of one partition that no receiver has committed. */
export interface Backlog {
  readonly partition: number;
  readonly owner: string | null;
  readonly messages: number;
  /** The first of them; undefined when there is none. */
  readonly oldest: { readonly seq: number; readonly storedAt: number } | undefined;
}

export interface StreamLook {
  readonly topology: Topology;
  readonly info: StreamInfo;
  /** The server's clock at the look: milliseconds since 1970. */
  readonly now: number;
  /** When the first message was stored; undefined without one. */
  readonly firstAt: number | undefined;
  readonly backlogs: readonly Backlog[];
}

/** What is asked at once, on one connection. */
const AT_ONCE = 64;
const CONSUMER_IDLE_MS = 5_000;

/** Kept between looks, so that what has not changed is not asked again. */
export class StreamMemory {
  readonly heads = new RecordHeads();
  /** The last sequence of each partition when the stream ended at `seq`. */
  ends:
    | { readonly created: string; readonly seq: number; readonly last: ReadonlyMap<number, number> }
    | undefined;
}

/** Throws `failed` when there is no such stream, `conflict` when it is none of logferry's. */
export async function lookAtStream(
  link: Link,
  names: { stream: string; prefix: string },
  memory: StreamMemory,
): Promise<StreamLook> {
  // What is committed between the two looks uncommitted for a moment, as what is on its way does.
  const [heads, info] = await Promise.all([
    memory.heads.read(link, names.stream),
    streamInfo(link, names.stream),
  ]);
  if (info === undefined)
    throw new LogferryError(
      'failed',
      `there is no stream ${names.stream} on nats-server at ${withoutSecrets(link.nc.getServer())}`,
      'start a shipper or a receiver, run logferry setup, or give --stream',
    );
  const topology = topologyOf(names, info.config);
  const last = await lastSequences(link, topology, info, memory);
  const backlogs: Backlog[] = [];
  await inParallel(Array(topology.partitions).keys(), AT_ONCE, async (partition) => {
    backlogs.push(
      await backlogOf(link, topology, info, partition, heads.get(partition), last.get(partition) ?? 0),
    );
  });
  backlogs.sort((a, b) => a.partition - b.partition);
  const { messages, first_ts } = info.state;
  return {
    topology,
    info,
    now: serverTime(info),
    firstAt: messages === 0 ? undefined : Date.parse(first_ts),
    backlogs,
  };
}

async function lastSequences(
  link: Link,
  topology: Topology,
  info: StreamInfo,
  memory: StreamMemory,
): Promise<ReadonlyMap<number, number>> {
  const { created, state } = info;
  const seq = state.last_seq;
  if (memory.ends?.created === created && memory.ends.seq === seq) return memory.ends.last;
  const last = new Map<number, number>();
  if (state.messages > 0)
    await inParallel(Array(topology.partitions).keys(), AT_ONCE, async (partition) => {
      const query = { last_by_subj: partitionFilter(topology, partition) };
      const message = await link.ask(async () => await link.jsm.streams.getMessage(topology.stream, query));
      last.set(partition, message?.seq ?? 0);
    });
  memory.ends = { created, seq, last };
  return last;
}

async function backlogOf(
  link: Link,
  topology: Topology,
  info: StreamInfo,
  partition: number,
  head: RecordHead | undefined,
  last: number,
): Promise<Backlog> {
  const none: Backlog = { partition, owner: head?.owner ?? null, messages: 0, oldest: undefined };
  const stream = { created: info.created, lastSeq: info.state.last_seq };
  const { seq } = streamPosition(head?.stream ?? { created: '', seq: 0 }, stream);
  if (last <= seq) return none;
  const filter = partitionFilter(topology, partition);
  const [messages, oldest] = await Promise.all([
    countFrom(link, topology.stream, filter, seq + 1),
    link.ask(async () => {
      // In a variable: the library's type does not know that the leader takes this too.
      const query = { seq: seq + 1, next_by_subj: filter };
      return await link.jsm.streams.getMessage(topology.stream, query);
    }),
  ]);
  // Dropped meanwhile, or purged.
  if (oldest === null || messages === 0) return none;
  return { ...none, messages, oldest: { seq: oldest.seq, storedAt: oldest.time.getTime() } };
}

/** Only the server can count what lies behind a sequence: a consumer that begins there says so. */
async function countFrom(link: Link, stream: string, filter: string, seq: number): Promise<number> {
  const info = await link.ask(
    async () =>
      await link.jsm.consumers.add(stream, {
        filter_subject: filter,
        deliver_policy: 'by_start_sequence',
        opt_start_seq: seq,
        ack_policy: 'none',
        inactive_threshold: CONSUMER_IDLE_MS * NANOS_PER_MS,
        num_replicas: 1,
        mem_storage: true,
      }),
  );
  // Not waited for: it would be forgotten anyway.
  link.jsm.consumers.delete(stream, info.name).catch(() => {});
  return info.num_pending;
}

/** nats-server says when it answered since 2.10; the client's types do not know. */
function serverTime(info: StreamInfo): number {
  const said = Date.parse((info as { ts?: string }).ts ?? '');
  return Number.isNaN(said) ? Date.now() : said;
}
