// The part of a stream that is replayed: from which message to which, how many that are, and which bytes of one
// generation are among them. Reads beside everybody else, and headers only.

import type { ConsumerConfig } from '@nats-io/jetstream';

import { isUnanswered } from '../../common/nats/bucket.ts';
import { parseChunk } from '../../common/wire/chunk.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import type { Link } from '../../common/nats/connection.ts';
import { untilAnswered } from '../../common/runtime/run.ts';
import type { Selection } from '../../common/fleet/selection.ts';
import { encodeToken, parseStoredSubject } from '../../common/wire/subjects.ts';
import type { Topology } from '../../common/wire/topology.ts';
import { Coverage } from './coverage.ts';
import { readStream } from '../../common/stream/read.ts';
import { NANOS_PER_MS } from '../../common/text/units.ts';

/** Stream sequences, both included; empty when `last` is below `first`. */
export interface StreamRange {
  readonly first: number;
  readonly last: number;
}

/** Messages without their payloads. */
const SCAN_BYTES = 1024 * 1024;
const ASK_IDLE_MS = 5_000;
/** How many bytes a message has that came without them. */
const SIZE_HEADER = 'Nats-Msg-Size';

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

/** The filter for a generation under whichever path it was published, and however many partitions there were then. */
export function generationFilter({ prefix }: Topology, host: string, file: string): string {
  return `${prefix}.*.${encodeToken(host)}.*.${encodeToken(file)}`;
}

/**
 * The bytes of a generation that messages in the range hold, or say to be gone for good. Throws the signal's reason
 * when that fires: what was seen so far says nothing.
 *
 * @param damaged sequences of messages that hold nothing
 */
export async function scanGeneration(
  link: Link,
  topology: Topology,
  generation: { readonly host: string; readonly file: string },
  options: { range: StreamRange; selection: Selection; damaged: ReadonlySet<number> },
  signal: AbortSignal,
): Promise<Coverage> {
  const { range, selection, damaged } = options;
  const filter = generationFilter(topology, generation.host, generation.file);
  const coverage = new Coverage();
  const newest = async (): Promise<number> => {
    const query = { last_by_subj: filter };
    return (await link.jsm.streams.getMessage(topology.stream, query))?.seq ?? 0;
  };
  const last = await untilAnswered(async () => await link.ask(newest), isUnanswered, signal);
  if (last === undefined || last < range.first) {
    signal.throwIfAborted();
    return coverage;
  }
  const reading = readStream(
    link,
    {
      stream: topology.stream,
      subjects: [filter],
      from: range.first,
      until: Math.min(last, range.last),
      bytes: SCAN_BYTES,
      headersOnly: true,
    },
    signal,
  );
  for await (const deliveries of reading)
    for (const { subject, seq, header } of deliveries) {
      const source = parseStoredSubject(topology.prefix, subject);
      if (source === undefined || damaged.has(seq) || !selection.matches(source.host, source.path)) continue;
      try {
        const { kind, start, end } = parseChunk(header, Number(header(SIZE_HEADER)));
        if (kind !== 'end') coverage.add(start, end);
      } catch (error) {
        // A foreign client's: it is said when it is to be written.
        if (!(error instanceof LogferryError) || error.code !== 'corrupt') throw error;
      }
    }
  signal.throwIfAborted();
  return coverage;
}
