// The partitions' records in their bucket: compressed JSON, read from the leader, changed by compare-and-set only.
// Files that have not changed lately are kept under keys of their own, so that a commit stays small however many files
// a partition has had. What does not parse is set aside under another key, never thrown away.

import { randomBytes } from 'node:crypto';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';

import { Bucket, type BucketInfo, isUnanswered } from '../nats/bucket.ts';
import { LogferryError, messageOf } from '../runtime/errors.ts';
import { LayeredMap, recentOf } from './layered-map.ts';
import type { Logger } from '../runtime/log.ts';
import { type Link, permissionViolation } from '../nats/connection.ts';
import { decodeArchive, decodeRecord, encodeArchive, encodeRecord } from './encoding.ts';
import { type Archive, type FileEntry, type PartitionRecord } from './record.ts';
import { partitionOf, sourceOf } from '../wire/subjects.ts';
import {
  archiveKey,
  partitionKey,
  partitionOfKey,
  partitionsBucket,
  type Topology,
} from '../wire/topology.ts';
import { ZSTD_LEVEL } from '../wire/zstd.ts';

/** A record or archive may not grow beyond this when unpacked, whatever the bytes in the bucket say. */
const MAX_RECORD_BYTES = 256 * 1024 * 1024;
/** A record that is longer, or has more recent files, moves them to an archive. Every commit writes this much. */
const MAX_RECENT_BYTES = 96 * 1024;
const MAX_RECENT_FILES = 1_000;
/** An archive is not written anew when it has so many files. */
const FULL_ARCHIVE_FILES = 4_000;
/** Half of the smallest sensible max_payload. */
const MAX_ARCHIVE_BYTES = 256 * 1024;
/** An archive that is not there was replaced while the record was read: read again. */
const READS = 4;

const ZSTD_MAGIC = 0x28;

export interface StoredRecord {
  /** Undefined when there is none, or when what was there did not parse and was set aside. */
  readonly record: PartitionRecord | undefined;
  readonly revision: number;
  readonly epoch: number;
}

/** `unknown`: no answer; read before deciding anything. */
export type RecordSetResult =
  /** The record as it is now, with its files where they were moved to. */
  { readonly revision: number; readonly record: PartitionRecord } | 'refused' | 'unknown';

/** The archives of one partition as they were read last. */
interface Archived {
  readonly parts: ReadonlyMap<string, ReadonlyMap<string, FileEntry>>;
  readonly files: ReadonlyMap<string, FileEntry>;
}

export class RecordStore {
  readonly bucket: Bucket;
  readonly #log: Logger;
  /** Undefined for all of them. */
  readonly #host: string | undefined;
  /** This user may not set anything aside: somebody else has to. */
  #mayNot = false;
  /** The revisions that were set aside, by key: each is said once. */
  readonly #aside = new Map<string, number>();
  readonly #archived = new Map<number, Archived>();
  /** Archives that the record before the last move named: somebody may still be reading that one. */
  readonly #replaced = new Map<number, readonly Archive[]>();

  /** @param host whose files a shipper reads, and no others: of all that its partition ever had it keeps nothing else */
  constructor(link: Link, stream: string, log: Logger, host?: string) {
    this.bucket = new Bucket(link, partitionsBucket(stream));
    this.#log = log;
    this.#host = host;
  }

  /** Undefined when the bucket is missing. */
  async info(): Promise<BucketInfo | undefined> {
    return await this.bucket.info();
  }

  /** Throws `newer` for a record of a later version. */
  async read(partition: number, key = partitionKey(partition)): Promise<StoredRecord> {
    for (let reads = 1; ; reads += 1) {
      const { data, revision, epoch } = await this.bucket.read(key);
      if (data === undefined) return { record: undefined, revision, epoch };
      try {
        const what = `the record ${key} in bucket ${this.bucket.name}`;
        const record = decodeRecord(unpackRecord(data), what);
        const archived = await this.#readArchives(partition, record.archives);
        return { record: withFiles(record, archived.files, this.#wanted(record.files)), revision, epoch };
      } catch (error) {
        if (error instanceof ArchiveMissing && reads < READS) continue;
        if (error instanceof LogferryError && error.code === 'newer') throw error;
        if (isUnanswered(error)) throw error;
        await this.#setAside(key, data, revision, messageOf(error));
        return { record: undefined, revision, epoch };
      }
    }
  }

  /** What the archives hold together, a later one counting more. They never change, so each is read once. */
  async #readArchives(partition: number, archives: readonly Archive[]): Promise<Archived> {
    const known = this.#archived.get(partition);
    const tokens = archives.map(({ token }) => token);
    if (known !== undefined && [...known.parts.keys()].join() === tokens.join()) return known;
    const parts = new Map<string, ReadonlyMap<string, FileEntry>>();
    for (const token of tokens)
      parts.set(token, known?.parts.get(token) ?? (await this.#readArchive(partition, token)));
    return this.#remember(partition, parts);
  }

  async #readArchive(partition: number, token: string): Promise<ReadonlyMap<string, FileEntry>> {
    const key = archiveKey(partition, token);
    const { data } = await this.bucket.read(key);
    if (data === undefined) throw new ArchiveMissing('corrupt', `its archive ${key} is missing`);
    return this.#wanted(
      decodeArchive(unpackRecord(data), `the archive ${key} in bucket ${this.bucket.name}`),
    );
  }

  #wanted(files: ReadonlyMap<string, FileEntry>): ReadonlyMap<string, FileEntry> {
    if (this.#host === undefined) return files;
    return new Map([...files].filter(([file]) => sourceOf(file).host === this.#host));
  }

  #remember(partition: number, parts: Archived['parts']): Archived {
    const files = new Map<string, FileEntry>();
    for (const part of parts.values()) for (const [file, entry] of part) files.set(file, entry);
    const archived = { parts, files };
    this.#archived.set(partition, archived);
    return archived;
  }

  /** Throws `unreachable` when it may not be there: nobody may overwrite the record then. */
  async #setAside(key: string, data: Uint8Array, revision: number, why: string): Promise<void> {
    const isKnown = this.#aside.get(key) === revision;
    if (isKnown && this.#mayNot) throw new LogferryError('unreachable', `${key} does not parse`);
    if (isKnown) return;
    // Whoever reads it at the same time need not do it too; and it is done again when it fails.
    this.#aside.set(key, revision);
    try {
      await this.#copyAside(key, data, revision, why);
    } catch (error) {
      if (permissionViolation(error) !== undefined) {
        this.#mayNot = true;
        const what = `the record ${key} in bucket ${this.bucket.name} does not parse (${why})`;
        this.#log.warn(`${what}; waiting until a receiver has set it aside`);
        throw new LogferryError('unreachable', what, undefined, { cause: error });
      }
      this.#aside.delete(key);
      throw error;
    }
  }

  async #copyAside(key: string, data: Uint8Array, revision: number, why: string): Promise<void> {
    const aside = `${key}.corrupt.${revision}`;
    const result = await this.bucket.set(aside, data, await this.bucket.read(aside));
    if (result === 'unknown') throw new LogferryError('unreachable', `no answer when setting ${aside}`);
    const what = `the record ${key} in bucket ${this.bucket.name} does not parse (${why})`;
    this.#log.error({ key: aside }, `${what}; set aside as ${aside}, rebuilt from the ledgers`);
  }

  /** Never throws for a lost race or a lost answer. */
  async set(
    partition: number,
    record: PartitionRecord,
    read: { revision: number; epoch: number },
    key = partitionKey(partition),
  ): Promise<RecordSetResult> {
    if (this.#host !== undefined) throw new Error('BUG: who reads the files of one host sets no record');
    let next = record;
    let data = pack(encodeRecord(record));
    const recent = record.files instanceof LayeredMap ? record.files.recentSize : record.files.size;
    if (data.length > MAX_RECENT_BYTES || recent > MAX_RECENT_FILES) {
      const moved = await this.#archive(partition, record);
      if (moved === undefined) return 'unknown';
      next = moved;
      data = pack(encodeRecord(next));
    }
    const result = await this.bucket.set(key, data, read);
    if (typeof result !== 'object') return result;
    if (next !== record) await this.#eraseReplaced(partition, record.archives, next.archives);
    return { revision: result.revision, record: next };
  }

  /**
   * Moves the recent files to a new archive, together with archives that are not full; all of them anew when half of
   * what they hold is out of date. Nothing names the new ones before the record does. Undefined without an answer.
   */
  async #archive(partition: number, record: PartitionRecord): Promise<PartitionRecord | undefined> {
    const { parts } = await this.#readArchives(partition, record.archives);
    const kept = [...record.archives];
    let moving = new Map(recentOf(record.files));
    const total = kept.reduce((sum, { files }) => sum + files, moving.size);
    if (total > 2 * record.files.size + FULL_ARCHIVE_FILES) {
      kept.length = 0;
      moving = new Map(record.files);
    }
    for (let last = kept.at(-1); last !== undefined; last = kept.at(-1)) {
      if (last.files + moving.size > FULL_ARCHIVE_FILES) break;
      kept.pop();
      for (const file of parts.get(last.token)?.keys() ?? []) {
        const entry = record.files.get(file);
        if (entry !== undefined) moving.set(file, entry);
      }
    }
    const archives: Archive[] = kept;
    const all = new Map(kept.map(({ token }) => [token, parts.get(token) ?? new Map<string, FileEntry>()]));
    const absent = { revision: 0, epoch: this.bucket.epoch() };
    for (const { files, data } of inArchives([...moving])) {
      const token = randomBytes(8).toString('hex');
      const result = await this.bucket.set(archiveKey(partition, token), data, absent);
      if (typeof result !== 'object') return undefined;
      archives.push({ token, files: files.length });
      all.set(token, new Map(files));
    }
    return withFiles({ ...record, archives }, this.#remember(partition, all).files, []);
  }

  /** A move later than they were replaced: whoever read the record before has them by then. */
  async #eraseReplaced(
    partition: number,
    before: readonly Archive[],
    now: readonly Archive[],
  ): Promise<void> {
    const old = this.#replaced.get(partition) ?? [];
    const named = new Set(now.map(({ token }) => token));
    this.#replaced.set(
      partition,
      before.filter(({ token }) => !named.has(token)),
    );
    await this.#erase(
      partition,
      old.map(({ token }) => token).filter((token) => !named.has(token)),
    );
  }

  /** The archives that a partition has in the bucket, named by its record or not. */
  async archives(partition: number): Promise<string[]> {
    const prefix = archiveKey(partition, '');
    return (await this.bucket.keys(archiveKey(partition, '*'))).map((key) => key.slice(prefix.length));
  }

  /**
   * Erases what a predecessor left behind: of the archives that were there before the record was set, those that it
   * does not name. What was listed later may be named by a successor.
   */
  async eraseUnnamed(partition: number, listed: readonly string[], record: PartitionRecord): Promise<void> {
    const named = new Set(record.archives.map(({ token }) => token));
    await this.#erase(
      partition,
      listed.filter((token) => !named.has(token)),
    );
  }

  /** What stays behind is erased at the next take. */
  async #erase(partition: number, tokens: readonly string[]): Promise<void> {
    for (const token of tokens)
      try {
        await this.bucket.erase(archiveKey(partition, token));
      } catch (error) {
        this.#log.debug({ token }, `could not erase an archive: ${messageOf(error)}`);
      }
  }
}

/** The record names an archive that is not there. */
class ArchiveMissing extends LogferryError {}

function withFiles(
  record: PartitionRecord,
  archived: ReadonlyMap<string, FileEntry>,
  recent: Iterable<readonly [string, FileEntry]>,
): PartitionRecord {
  return { ...record, files: new LayeredMap(archived, recent) };
}

/** Cuts entries into archives that are neither too long nor have too many files. */
function* inArchives(
  entries: readonly [string, FileEntry][],
): Generator<{ files: readonly [string, FileEntry][]; data: Uint8Array }> {
  if (entries.length === 0) return;
  const data = entries.length <= FULL_ARCHIVE_FILES ? pack(encodeArchive(new Map(entries))) : undefined;
  if (data !== undefined && (data.length <= MAX_ARCHIVE_BYTES || entries.length === 1)) {
    yield { files: entries, data };
    return;
  }
  const half = Math.ceil(entries.length / 2);
  yield* inArchives(entries.slice(0, half));
  yield* inArchives(entries.slice(half));
}

/**
 * Throws `conflict` when a record was made for another number of partitions than the stream has now: hosts would be
 * looked for in the wrong records.
 *
 * @param host whose record is looked at first, by a user who may not be allowed to read others
 */
export async function refuseOtherPartitions(
  store: RecordStore,
  topology: Topology,
  host?: string,
): Promise<void> {
  const numbers = (await store.bucket.keys('*')).map(partitionOfKey).filter((number) => number !== undefined);
  const own = host === undefined ? -1 : partitionOf(host, topology.partitions);
  for (const number of numbers.toSorted((a, b) => Number(b === own) - Number(a === own))) {
    const record = await readIfAllowed(store, number, host !== undefined);
    if (record === 'forbidden') return;
    if (record === undefined) continue;
    if (record.partitions === topology.partitions) return;
    throw new LogferryError(
      'conflict',
      `stream ${topology.stream} has ${topology.partitions} partitions, the records in bucket ${store.bucket.name} ` +
        `are of ${record.partitions}`,
      `delete the stream and run logferry setup --partitions ${record.partitions}; for another number, run ` +
        'logferry repartition then',
    );
  }
}

async function readIfAllowed(
  store: RecordStore,
  partition: number,
  mayBeForbidden: boolean,
): Promise<PartitionRecord | 'forbidden' | undefined> {
  try {
    return (await store.read(partition)).record;
  } catch (error) {
    if (mayBeForbidden && permissionViolation(error) !== undefined) return 'forbidden';
    throw error;
  }
}

function pack(text: string): Uint8Array {
  return zstdCompressSync(text, { params: ZSTD_LEVEL });
}

/** The text of a record or an archive. Throws what zlib throws for what is none. */
export function unpackRecord(data: Uint8Array): string {
  const plain =
    data[0] === ZSTD_MAGIC ? zstdDecompressSync(data, { maxOutputLength: MAX_RECORD_BYTES }) : data;
  return new TextDecoder('utf-8', { fatal: true }).decode(plain);
}
