// The partitions' records in their bucket: compressed JSON, read from the leader, changed by compare-and-set only.
// What does not parse is set aside under another key, never thrown away.

import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

import { Bucket, type BucketInfo, type SetResult } from './bucket.ts';
import { LogferryError, messageOf } from './errors.ts';
import type { Logger } from './log.ts';
import type { Link } from './nats.ts';
import { decodeRecord, encodeRecord, type PartitionRecord } from './record.ts';
import { partitionKey, partitionsBucket } from './topology.ts';

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
      return { record: decode(data), revision, epoch };
    } catch (error) {
      if (error instanceof LogferryError && error.code === 'newer') throw error;
      const aside = `${key}.corrupt.${revision}`;
      await this.bucket.set(aside, data, await this.bucket.read(aside));
      this.#log.error(
        { partition, key: aside },
        `the record of partition ${partition} does not parse (${messageOf(error)}); set aside, rebuilt from the ledgers`,
      );
      return { record: undefined, revision, epoch };
    }
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

function encode(record: PartitionRecord): Uint8Array {
  return zstdCompressSync(encodeRecord(record), { params: { [constants.ZSTD_c_compressionLevel]: 1 } });
}

function decode(data: Uint8Array): PartitionRecord {
  const plain =
    data[0] === ZSTD_MAGIC ? zstdDecompressSync(data, { maxOutputLength: MAX_RECORD_BYTES }) : data;
  return decodeRecord(new TextDecoder('utf-8', { fatal: true }).decode(plain));
}
