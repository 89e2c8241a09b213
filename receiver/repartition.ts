// Another number of partitions, while nobody ships or receives: records are cut anew beside the old ones, then take
// their place, then the stream maps hosts to the new partitions. Killed at any moment, it is run again; until it is done,
// whoever starts waits. Ledgers are cut anew by the receivers that have them (repartition/regroup.ts).

import { LogferryError } from '../common/runtime/errors.ts';
import { type Fleet, lookAtFleet } from '../common/fleet/fleet.ts';
import type { Logger } from '../common/runtime/log.ts';
import type { Link } from '../common/nats/connection.ts';
import { emptyRecord, type FileEntry, type PartitionRecord } from '../common/record/record.ts';
import { type RecordSetResult, RecordStore, type StoredRecord } from '../common/record/store.ts';
import { inParallel, sleep } from '../common/runtime/run.ts';
import {
  announceChange,
  changePartitions,
  changingTo,
  streamInfo,
  topologyOf,
} from '../common/stream/stream.ts';
import { sourceOf } from '../common/wire/subjects.ts';
import {
  partitionKey,
  partitionOfKey,
  stagedKey,
  stagedOfKey,
  type Topology,
} from '../common/wire/topology.ts';
import { formatBytes, formatDuration } from '../common/text/units.ts';
import { regroupRecords } from './repartition/regroup.ts';
import { uncommittedIn } from './replay/uncommitted.ts';

export interface RepartitionOptions {
  readonly stream: string;
  readonly prefix: string;
  readonly partitions: number;
  /** Who has not let go of its name and was silent for so long is gone. */
  readonly leaseMs: number;
  readonly log: Logger;
  /** Told what is done now, in a line. */
  readonly say: (line: string) => void;
}

export interface RepartitionReport {
  readonly before: number;
  readonly partitions: number;
  readonly hosts: number;
  /** Generations of files. */
  readonly files: number;
}

/** A record as it was found. */
interface Found {
  readonly key: string;
  readonly stored: StoredRecord;
  readonly record: PartitionRecord;
}

const AT_ONCE = 16;
const LOOK_MS = 1_000;
/** How many names an error lists. */
const SHOWN = 5;

/**
 * Undefined when there was nothing to do. Throws `conflict`, and has changed nothing, when somebody ships or receives, or
 * when bytes in the stream are not committed; and when somebody commits meanwhile: then it has to be run again.
 */
export async function repartition(
  link: Link,
  options: RepartitionOptions,
  signal: AbortSignal,
): Promise<RepartitionReport | undefined> {
  const { stream, partitions, log, say } = options;
  const { topology, isUnderWay } = await lookAt(link, options);
  const store = new RecordStore(link, stream, log);
  if (!isUnderWay) {
    await eraseStaged(store);
    if (topology.partitions === partitions) return undefined;
  }
  await announceChange(link, stream, partitions);
  let found: readonly Found[];
  let files: ReadonlyMap<string, FileEntry>;
  let regrouped: readonly PartitionRecord[];
  try {
    await refuseRunning(link, options, signal);
    found = await gather(store);
    files = furthest(found);
    say('looking whether all that is in the stream is committed');
    const position = await positionBehindAll(link, topology, found, files, signal);
    say(`cutting the records of ${files.size} files anew for ${partitions} partitions`);
    regrouped = regroupRecords(
      found.map(({ record }) => record),
      files,
      partitions,
      position,
    );
    await inParallel(regrouped.entries(), AT_ONCE, async ([partition, record]) => {
      const key = stagedKey(partition, partitions);
      demandSet(await store.set(partition, record, await store.bucket.read(key), key), key);
    });
    await eraseStaged(store, (key) => !key.endsWith(`.${partitions}`));
  } catch (error) {
    if (!isUnderWay) await announceChange(link, stream, undefined);
    throw error;
  }
  await replaceRecords(store, regrouped, found);
  await changePartitions(link, { ...topology, partitions });
  await eraseStaged(store);
  const hosts = new Set([...files.keys()].map((key) => sourceOf(key).host));
  return { before: topology.partitions, partitions, hosts: hosts.size, files: files.size };
}

/** The stream as it is, and whether an earlier run was begun and not ended. Throws `failed` when there is none. */
async function lookAt(
  link: Link,
  names: { stream: string; prefix: string },
): Promise<{ topology: Topology; isUnderWay: boolean }> {
  const info = await streamInfo(link, names.stream);
  if (info === undefined)
    throw new LogferryError('failed', `there is no stream ${names.stream}`, 'check --stream and --server');
  const { stream, prefix, partitions } = topologyOf(names, info.config);
  return { topology: { stream, prefix, partitions }, isUnderWay: changingTo(info.config) !== undefined };
}

/** Throws `conflict` when anybody answers, or changes the key of its name within a lease. */
async function refuseRunning(
  link: Link,
  { stream, prefix, leaseMs, say }: RepartitionOptions,
  signal: AbortSignal,
): Promise<void> {
  const began = performance.now();
  const first = fellowsOf(await lookAtFleet(link, { stream, prefix }));
  let now = first;
  for (;;) {
    const running = now.filter(
      ({ name, answers, setAt }) => answers || first.find((one) => one.name === name)?.setAt !== setAt,
    );
    if (running.length > 0) {
      const are = running.length === 1 ? 'is' : 'are';
      const names = someOf(running.map(({ name }) => name));
      throw new LogferryError('conflict', `${names} ${are} running`, 'stop all shippers and receivers first');
    }
    if (now.length === 0 || performance.now() - began >= leaseMs) return;
    if (now === first)
      say(
        `${someOf(first.map(({ name }) => name))} did not stop cleanly: looking for ${formatDuration(leaseMs)} ` +
          'whether anything comes',
      );
    await sleep(LOOK_MS, signal);
    signal.throwIfAborted();
    now = fellowsOf(await lookAtFleet(link, { stream, prefix }));
  }
}

/** Who has a name, or answers. */
function fellowsOf({ shippers, receivers }: Fleet): { name: string; answers: boolean; setAt?: number }[] {
  const kinds = [
    ['shipper', shippers],
    ['receiver', receivers],
  ] as const;
  return kinds
    .flatMap(([kind, all]) =>
      [...all.values()].map(({ name, answer, member, setAt }) => ({
        name: `${kind} ${JSON.stringify(name)}`,
        answers: answer !== undefined,
        isThere: answer !== undefined || member !== undefined,
        ...(setAt === undefined ? {} : { setAt }),
      })),
    )
    .filter(({ isThere }) => isThere);
}

function someOf(names: readonly string[]): string {
  const more = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : '';
  return `${names.slice(0, SHOWN).join(', ')}${more}`;
}

/** Every record there is, of whichever number of partitions, and those that an earlier run has prepared. */
async function gather(store: RecordStore): Promise<Found[]> {
  const found: Found[] = [];
  const keys = [...(await store.bucket.keys('*')), ...(await store.bucket.keys('*.next.*'))];
  await inParallel(keys, AT_ONCE, async (key) => {
    const partition = partitionOfKey(key) ?? stagedOfKey(key);
    if (partition === undefined) return;
    const stored = await store.read(partition, key);
    const { record } = stored;
    if (record === undefined)
      throw new LogferryError(
        'corrupt',
        `the record ${key} in bucket ${store.bucket.name} does not parse`,
        'start the receivers once: they rebuild it',
      );
    found.push({ key, stored, record });
  });
  return found;
}

/** Of a file that several records have, what is furthest counts. */
function furthest(found: readonly Found[]): Map<string, FileEntry> {
  const files = new Map<string, FileEntry>();
  for (const { record } of found)
    for (const [key, entry] of record.files)
      if ((files.get(key)?.offset ?? -1) < entry.offset) files.set(key, entry);
  return files;
}

/** The end of the stream. Throws `conflict` when not all before it is committed. */
async function positionBehindAll(
  link: Link,
  topology: Topology,
  found: readonly Found[],
  files: ReadonlyMap<string, FileEntry>,
  signal: AbortSignal,
): Promise<{ created: string; seq: number }> {
  const info = await streamInfo(link, topology.stream);
  if (info === undefined) throw new LogferryError('unreachable', `stream ${topology.stream} comes and goes`);
  const { created } = info;
  const { last_seq: seq } = info.state;
  const records = new Map<number, PartitionRecord>();
  for (const { key, record } of found) {
    const partition = partitionOfKey(key);
    if (partition !== undefined) records.set(partition, record);
  }
  const known = { records, entryOf: (key: string) => files.get(key) };
  const left = await uncommittedIn(link, topology, { created, lastSeq: seq }, known, signal);
  if (left.length > 0) {
    const names = someOf(left.map(({ host, path }) => `${JSON.stringify(host)} ${JSON.stringify(path)}`));
    const bytes = left.reduce((sum, one) => sum + one.bytes, 0);
    throw new LogferryError(
      'conflict',
      `${formatBytes(bytes)} in stream ${topology.stream} are not committed: ${names}`,
      'run logferry receive --once, then this again',
    );
  }
  return { created, seq };
}

/** Each in the place of the one that was found there, if nobody has set that since. */
async function replaceRecords(
  store: RecordStore,
  regrouped: readonly PartitionRecord[],
  found: readonly Found[],
): Promise<void> {
  const before = new Map(found.map(({ key, stored }) => [key, stored]));
  await inParallel(regrouped.entries(), AT_ONCE, async ([partition, record]) => {
    const archives = await store.archives(partition);
    const read = before.get(partitionKey(partition)) ?? { revision: 0, epoch: store.bucket.epoch() };
    const set = demandSet(await store.set(partition, record, read), partitionKey(partition));
    // First: the archives that it names go with the others.
    await store.bucket.erase(stagedKey(partition, regrouped.length));
    await store.eraseUnnamed(partition, archives, set.record);
  });
  const surplus = found.map(({ key }) => partitionOfKey(key)).filter((number) => number !== undefined);
  for (const partition of surplus.filter((number) => number >= regrouped.length)) {
    await store.bucket.erase(partitionKey(partition));
    await store.eraseUnnamed(partition, await store.archives(partition), emptyRecord(regrouped.length));
  }
}

function demandSet(result: RecordSetResult, key: string): Exclude<RecordSetResult, string> {
  if (typeof result === 'object') return result;
  if (result === 'unknown')
    throw new LogferryError('unreachable', `no answer when setting ${key}`, 'run it again: it goes on');
  throw new LogferryError(
    'conflict',
    `somebody has set the record ${key} meanwhile`,
    'stop all receivers, and run it again',
  );
}

async function eraseStaged(store: RecordStore, isWanted = (_key: string) => true): Promise<void> {
  const keys = (await store.bucket.keys('*.next.*')).filter(isWanted);
  await inParallel(keys, AT_ONCE, async (key) => {
    await store.bucket.erase(key);
  });
}
