// What a stream holds that no record says is committed: what lies behind the positions of the records, and what they say
// was processed and not written. Never writes.

import { bundleIn, ifOurs, type Stored } from '../../common/wire/bundle.ts';
import type { Link } from '../../common/nats/connection.ts';
import { type FileEntry, type PartitionRecord, positionOf } from '../../common/record/record.ts';
import { inParallel } from '../../common/runtime/run.ts';
import { fileKey, parseStoredSubject, partitionOf, sourceOf } from '../../common/wire/subjects.ts';
import { partitionFilter, type Topology } from '../../common/wire/topology.ts';
import { readStream } from '../../common/stream/read.ts';

/** On their way, or waiting here. */
const READ_BYTES = 2 * 1024 * 1024;
const AT_ONCE = 8;

export interface Uncommitted {
  readonly host: string;
  readonly path: string;
  /** From what is committed to the furthest in the stream; 0 when only the end is not known, or the stream has dropped it. */
  readonly bytes: number;
}

/** What the records say. */
export interface Known {
  /** By partition. */
  readonly records: ReadonlyMap<number, PartitionRecord>;
  /** Of a fileKey. */
  readonly entryOf: (key: string) => FileEntry | undefined;
}

/**
 * Generations of which the stream says more than the records do, or whose records wait for bytes. Throws the signal's
 * reason.
 *
 * What a message holds is listed in its payload, so whole messages are read: of each partition those behind its record's
 * position. These are few where receivers were stopped after all was committed. Where a record is missing, or knows
 * another stream, it is all that the stream holds of its hosts.
 */
export async function uncommittedIn(
  link: Link,
  topology: Topology,
  stream: { readonly created: string; readonly lastSeq: number },
  { records, entryOf }: Known,
  signal: AbortSignal,
): Promise<Uncommitted[]> {
  const found = new Map<string, Uncommitted>();
  const positions = new Map<number, number>();
  for (const [partition, record] of records) {
    let { seq } = positionOf(record, stream);
    // Of another stream: all of this one is looked at.
    if (seq === 0) continue;
    for (const [key, hole] of record.holes) {
      found.set(key, { host: sourceOf(key).host, path: hole.path, bytes: 0 });
      // How many bytes wait can be read there.
      seq = Math.max(0, Math.min(seq, hole.seq - 1));
    }
    positions.set(partition, seq);
  }
  const look = ({ host, bundle }: Stored): void => {
    for (const { path, file, chunk } of bundle.listed) {
      const key = fileKey(host, file);
      const entry = entryOf(key);
      const bytes = chunk.end - (entry?.offset ?? chunk.begin);
      const isEndUnknown = chunk.kind === 'end' && entry?.final === null && bytes === 0;
      if ((bytes > 0 && bytes > (found.get(key)?.bytes ?? 0)) || (isEndUnknown && !found.has(key)))
        found.set(key, { host, path, bytes });
    }
  };
  const starts = await startsIn(link, topology, positions);
  await inParallel(starts, AT_ONCE, async ([partition, seq]) => {
    const range = { from: seq + 1, until: stream.lastSeq };
    await readBundles(link, topology, partition, range, look, signal);
  });
  signal.throwIfAborted();
  return [...found.values()];
}

/**
 * Behind which sequence to look, by the partition under which messages lie. That is the one of when they were published,
 * while their host's record is that of now.
 *
 * @param positions up to where all was processed, by partition
 */
async function startsIn(
  link: Link,
  { stream, prefix, partitions }: Topology,
  positions: ReadonlyMap<number, number>,
): Promise<Map<number, number>> {
  const filter = { subjects_filter: `${prefix}.>` };
  const { state } = await link.ask(async () => await link.jsm.streams.info(stream, filter));
  const starts = new Map<number, number>();
  for (const subject of Object.keys(state.subjects ?? {})) {
    const source = parseStoredSubject(prefix, subject);
    if (source === undefined) continue;
    const position = positions.get(partitionOf(source.host, partitions)) ?? 0;
    starts.set(source.partition, Math.min(position, starts.get(source.partition) ?? position));
  }
  return starts;
}

async function readBundles(
  link: Link,
  topology: Topology,
  partition: number,
  range: { readonly from: number; readonly until: number },
  onBundle: (stored: Stored) => void,
  signal: AbortSignal,
): Promise<void> {
  const { stream, prefix } = topology;
  const reading = { stream, subjects: [partitionFilter(topology, partition)], ...range, bytes: READ_BYTES };
  for await (const deliveries of readStream(link, reading, signal))
    for (const delivery of deliveries) {
      const stored = ifOurs(() => bundleIn(prefix, delivery));
      if (stored !== undefined) onBundle(stored);
    }
}
