// The part of a stream that is replayed: from which message to which, how many that are, and which bytes of a host's
// files are among them. Reads beside everybody else.

import type { ConsumerConfig } from '@nats-io/jetstream';

import { bundleIn, ifOurs } from '../../common/wire/bundle.ts';
import type { Link } from '../../common/nats/connection.ts';
import { hostFilter } from '../../common/wire/subjects.ts';
import type { Topology } from '../../common/wire/topology.ts';
import type { IsAsked } from './asked.ts';
import { Coverage } from './coverage.ts';
import { readStream } from '../../common/stream/read.ts';
import { NANOS_PER_MS } from '../../common/text/units.ts';

/** Stream sequences, both included; empty when `last` is below `first`. */
export interface StreamRange {
  readonly first: number;
  readonly last: number;
}

/** On their way, or waiting here. */
const SCAN_BYTES = 2 * 1024 * 1024;
const ASK_IDLE_MS = 5_000;

/** The sequence of the first message that was stored at this time or later; one above the last when there is none. */
export async function sequenceAt(link: Link, topology: Topology, time: Date): Promise<number> {
  const start = { deliver_policy: 'by_start_time', opt_start_time: time.toISOString() } as const;
  return (await lookBehind(link, topology, [`${topology.prefix}.>`], start)).first;
}

/** How many messages there are: while it was counted, others were stored behind them. */
export interface MessageCount {
  readonly least: number;
  readonly most: number;
}

/** How many messages of these subjects are in the range. */
export async function countMessages(
  link: Link,
  topology: Topology,
  subjects: readonly string[],
  { first, last }: StreamRange,
): Promise<MessageCount> {
  if (last < first) return { least: 0, most: 0 };
  const from = async (seq: number): Promise<number> => {
    const start = { deliver_policy: 'by_start_sequence', opt_start_seq: seq } as const;
    return (await lookBehind(link, topology, subjects, start)).pending;
  };
  const behindBefore = await from(last + 1);
  const all = await from(Math.max(1, first));
  const behindAfter = await from(last + 1);
  return { least: Math.max(0, all - behindAfter), most: Math.max(0, all - behindBefore) };
}

/** A consumer that nobody pulls from knows where it begins and how much is there. */
async function lookBehind(
  link: Link,
  { stream }: Topology,
  subjects: readonly string[],
  start: Partial<ConsumerConfig>,
): Promise<{ first: number; pending: number }> {
  const config: Partial<ConsumerConfig> = {
    filter_subjects: [...subjects],
    ...start,
    ack_policy: 'none',
    inactive_threshold: ASK_IDLE_MS * NANOS_PER_MS,
    num_replicas: 1,
    mem_storage: true,
  };
  return await link.ask(async () => {
    const { name, delivered, num_pending } = await link.jsm.consumers.add(stream, config);
    await link.jsm.consumers.delete(stream, name);
    return { first: delivered.stream_seq + 1, pending: num_pending };
  });
}

/**
 * Which bytes of each generation of a host messages in the range hold, or say to be gone for good; by file id. Reads whole
 * messages, for what they hold is listed in their payloads: so it is done once for all generations of a host. Throws the
 * signal's reason when that fires: what was seen so far says nothing.
 *
 * @param damaged sequences of messages that hold nothing
 */
export async function scanHost(
  link: Link,
  { stream, prefix }: Topology,
  host: string,
  options: { range: StreamRange; isAsked: IsAsked; damaged: ReadonlySet<number> },
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Coverage>> {
  const { range, isAsked, damaged } = options;
  const { first: from, last: until } = range;
  const coverages = new Map<string, Coverage>();
  const reading = { stream, subjects: [hostFilter(prefix, host)], from, until, bytes: SCAN_BYTES };
  for await (const deliveries of readStream(link, reading, signal))
    for (const delivery of deliveries) {
      if (damaged.has(delivery.seq)) continue;
      // A foreign client's is said when it is to be written.
      for (const { path, file, chunk } of ifOurs(() => bundleIn(prefix, delivery))?.bundle.listed ?? []) {
        if (chunk.kind === 'end' || !isAsked({ host, path })) continue;
        const coverage = coverages.get(file) ?? new Coverage();
        coverage.add(chunk.start, chunk.end);
        coverages.set(file, coverage);
      }
    }
  signal.throwIfAborted();
  return coverages;
}
