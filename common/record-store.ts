// The partitions' records in their bucket: compressed JSON, read from the leader, changed by compare-and-set only.
// What does not parse is set aside under another key, never thrown away.

import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

import { Bucket, type BucketInfo, type SetResult } from './bucket.ts';
import { LogferryError, messageOf } from './errors.ts';
import type { Logger } from './log.ts';
import type { Link } from './nats.ts';
import { decodeRecord, encodeRecord, type PartitionRecord } from './record.ts';
import { partitionKey, partitionOfKey, partitionsBucket, type Topology } from './topology.ts';

/** A record may not grow beyond this when unpacked, whatever the bytes in the bucket say. */
const MAX_RECORD_BYTES = 256 * 1024 * 1024;

const ZSTD_MAGIC = 0x28;

export interface StoredRecord {
  /** Undefined when there is none, or when what was there did not parse and was set aside. */
  readonly record: PartitionRecord | undefined;
  readonly revision: number;
  readonly epoch: number;
}

export class RecordStore {
  readonly bucket: Bucket;
  readonly #log: Logger;
  /** The revisions that were set aside, by key: each is said once. */
  readonly #aside = new Map<string, number>();

  constructor(link: Link, stream: string, log: Logger) {
    this.bucket = new Bucket(link, partitionsBucket(stream));
    this.#log = log;
  }

  /** Undefined when the bucket is missing. */
  async info(): Promise<BucketInfo | undefined> {
    return await this.bucket.info();
  }

  /** Throws `newer` for a record of a later version. */
  async read(partition: number): Promise<StoredRecord> {
    const key = partitionKey(partition);
    const { data, revision, epoch } = await this.bucket.read(key);
    if (data === undefined) return { record: undefined, revision, epoch };
    try {
      return { record: decode(data, `the record ${key} in bucket ${this.bucket.name}`), revision, epoch };
    } catch (error) {
      if (error instanceof LogferryError && error.code === 'newer') throw error;
      await this.#setAside(key, data, revision, messageOf(error));
      return { record: undefined, revision, epoch };
    }
  }

  /** Throws `unreachable` when it may not be there: nobody may overwrite the record then. */
  async #setAside(key: string, data: Uint8Array, revision: number, why: string): Promise<void> {
    if (this.#aside.get(key) === revision) return;
    const aside = `${key}.corrupt.${revision}`;
    const result = await this.bucket.set(aside, data, await this.bucket.read(aside));
    if (result === 'unknown') throw new LogferryError('unreachable', `no answer when setting ${aside}`);
    this.#aside.set(key, revision);
    const what = `the record ${key} in bucket ${this.bucket.name} does not parse (${why})`;
    this.#log.error({ key: aside }, `${what}; set aside as ${aside}, rebuilt from the ledgers`);
  }

  /** Never throws for a lost race or a lost answer. */
  async set(
    partition: number,
    record: PartitionRecord,
    read: { revision: number; epoch: number },
  ): Promise<SetResult> {
    return await this.bucket.set(partitionKey(partition), encode(record), read);
  }
}

/**
 * Throws `conflict` when a record was made for another number of partitions than the stream has now: hosts would be
 * looked for in the wrong records.
 */
export async function refuseOtherPartitions(store: RecordStore, topology: Topology): Promise<void> {
  for (const key of await store.bucket.keys('*')) {
    const number = partitionOfKey(key);
    if (number === undefined) continue;
    const { record } = await store.read(number);
    if (record === undefined) continue;
    if (record.partitions === topology.partitions) return;
    throw new LogferryError(
      'conflict',
      `stream ${topology.stream} has ${topology.partitions} partitions, the records in bucket ${store.bucket.name} ` +
        `are of ${record.partitions}`,
      `delete the stream and run logferry setup --partitions ${record.partitions}; for another number, ship into a ` +
        'new --stream and drain this one',
    );
  }
}

function encode(record: PartitionRecord): Uint8Array {
  return zstdCompressSync(encodeRecord(record), { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
}

function decode(data: Uint8Array, what: string): PartitionRecord {
  const plain =
    data[0] === ZSTD_MAGIC ? zstdDecompressSync(data, { maxOutputLength: MAX_RECORD_BYTES }) : data;
  return decodeRecord(new TextDecoder('utf-8', { fatal: true }).decode(plain), what);
}
