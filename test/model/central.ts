// What a shipper of the model reads of the record, and at an edge of the central side.

import type { FileEntry, PartitionRecord } from '../../common/record/record.ts';
import { partitionKey } from '../../common/wire/topology.ts';
import type { Observed } from '../../shipper/lane/repair.ts';
import type { Edge, Host } from './host.ts';
import { isCaughtUp } from './leaf.ts';
import { ask, type Process } from './scheduler.ts';

const NOWHERE = { created: '', seq: 0 };

/** The record, in the sequences of the stream that the host ships to. */
export interface Recorded {
  readonly processed: Observed['processed'];
  /** By fileKey. */
  readonly files: ReadonlyMap<string, Pick<FileEntry, 'offset'>>;
}

/** Undefined when it cannot be read and never was. */
export function readRecord(host: Host): Recorded | undefined {
  const { edge, stream } = host;
  const record = edge === undefined ? recordNow(host) : recordAtEdge(host, edge);
  if (record === undefined) return undefined;
  if (record === 'none') return { processed: undefined, files: new Map() };
  const { files } = record;
  if (edge === undefined) return { processed: record.stream, files };
  const seq = edge.forwarded.processed(record.stream);
  return { processed: seq === 0 ? undefined : { created: stream.info().created, seq }, files };
}

function recordAtEdge(host: Host, edge: Edge): PartitionRecord | 'none' | undefined {
  if (!host.world.leaf.isCut) edge.record = recordNow(host);
  return edge.record;
}

function recordNow({ world, partition }: Host): PartitionRecord | 'none' {
  const { bucket, random, scenario, scheduler } = world;
  const key = partitionKey(partition);
  const isOld = !scheduler.quiet && random.chance(scenario.oldReads);
  const { record } = isOld ? bucket.readOld(key, random) : bucket.read(key);
  return record ?? 'none';
}

/** While the link is up. The local stream is read after the central one. */
export function* lookAtCentral({ world, stream, name, edge }: Host): Process {
  if (edge === undefined) return;
  const central = yield* ask(() => {
    if (world.leaf.isCut) return undefined;
    const newest = world.stream.newestOf(name);
    const { created, lastSeq } = world.stream.info();
    return {
      created,
      lastSeq,
      newest: newest && { seq: newest.seq, origin: newest.origin },
      isCaughtUp: isCaughtUp(world.leaf),
    };
  });
  if (central === undefined) return;
  const local = yield* ask(() => stream.info());
  if (local !== undefined) edge.forwarded.saw(central, local);
}

/** At an edge: everything local was forwarded, and the record's owner has processed the host's newest message. */
export function isAtRest({ world, name, edge }: Host): boolean {
  if (edge === undefined || world.leaf.isCut) return false;
  const newest = world.stream.newestOf(name);
  const { created, seq } = edge.record === 'none' || edge.record === undefined ? NOWHERE : edge.record.stream;
  const isProcessed = newest === undefined || (created === world.stream.info().created && seq >= newest.seq);
  return isProcessed && isCaughtUp(world.leaf);
}
