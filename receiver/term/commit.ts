// The commit: data, ledger, record, acknowledgement, in this order and never another (design §5.6).

import { isUnanswered } from '../../common/nats/bucket.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import type { Link } from '../../common/nats/connection.ts';
import {
  adoptRecord,
  commitRecord,
  type PartitionRecord,
  type StreamPosition,
} from '../../common/record/record.ts';
import type { RecordStore } from '../../common/record/store.ts';
import { inParallel, sleep } from '../../common/runtime/run.ts';
import { fileKey } from '../../common/wire/subjects.ts';
import { committedSubject } from '../../common/wire/topology.ts';
import type { LedgerFile } from '../ledger/ledger-file.ts';
import type { Group } from './writer.ts';

/** The record as this term last knew it in the bucket. */
export interface Held {
  record: PartitionRecord;
  revision: number;
  epoch: number;
}

const RETRY_MS = 200;
/** The file system joins syncs that wait together; more than libuv's threads would only queue. */
const SYNCS_AT_ONCE = 4;

/**
 * Sets the record to what `make` says, starting from the newest one under my term. A refused or unanswered set
 * decides nothing: the record is read, and if it is still my term's the set is tried again from that revision with
 * the larger offsets. Throws `lost` when another's term stands there, `unreachable` when the signal fires first.
 */
export async function setRecord(
  store: RecordStore,
  partition: number,
  held: Held,
  make: (record: PartitionRecord) => PartitionRecord,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const next = make(held.record);
    const result = await store.set(partition, next, held);
    if (typeof result === 'object') {
      held.record = result.record;
      held.revision = result.revision;
      return;
    }
    await refresh(store, partition, held, signal);
  }
}

/** Reads the record anew, until there is an answer or the signal fires. Throws as setRecord does. */
export async function refresh(
  store: RecordStore,
  partition: number,
  held: Held,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    if (signal.aborted)
      throw new LogferryError('unreachable', `no answer about the record of partition ${partition}`);
    let stored;
    try {
      stored = await store.read(partition);
    } catch (error) {
      if (!isUnanswered(error)) throw error;
      await sleep(RETRY_MS, signal);
      continue;
    }
    const { record } = stored;
    if (record !== undefined && record.term !== held.record.term)
      throw new LogferryError('lost', `partition ${partition} was taken over by ${record.owner ?? 'nobody'}`);
    if (record !== undefined) held.record = adoptRecord(held.record, record);
    held.revision = stored.revision;
    held.epoch = stored.epoch;
    return;
  }
}

/** The first half of a commit: what was written is safe on this disk. Throws the disk's error. */
export async function makeDurable(ledgerFile: LedgerFile, group: Group): Promise<void> {
  await inParallel(group.destinations, SYNCS_AT_ONCE, async (destination) => {
    await destination.sync();
  });
  await ledgerFile.append([...group.earlier.map((known) => ({ known })), ...group.lines]);
  for (const destination of group.destinations) destination.settle();
}

/** The second half: the record, then the acknowledgements, then the notices. Throws as setRecord does. */
export async function announce(
  options: { link: Link; store: RecordStore; prefix: string; partition: number; signal: AbortSignal },
  held: Held,
  position: StreamPosition,
  group: Group,
): Promise<void> {
  const { link, store, prefix, partition, signal } = options;
  const { term } = held.record;
  if (term === null) throw new Error('BUG: a commit without a term');
  const { changes, holes, unnamed } = group;
  const commit = { term, stream: position, changes, holes, unnamed };
  await setRecord(store, partition, held, (record) => commitRecord(record, commit), signal);
  for (const reply of group.replies) link.nc.publish(reply, '+ACK');
  for (const [host, files] of group.touched) {
    const notice = encodeNotice(held.record, host, files);
    if (notice.length <= link.maxPayload()) link.nc.publish(committedSubject(prefix, host), notice);
  }
}

/** What a host's shipper is told. A lost notice costs nothing: the record says the same. */
function encodeNotice(record: PartitionRecord, host: string, files: Iterable<string>): string {
  const offsets = [...files].map((file) => [file, record.files.get(fileKey(host, file))?.offset ?? null]);
  return JSON.stringify({ stream: record.stream, files: Object.fromEntries(offsets) });
}
