// The bucket of the model's broker: records with revisions, compare-and-set, reads that may be old, and the loss of
// what was acknowledged. Every record goes through its real encoding.

import { decodeRecord, encodeRecord } from '../../common/record/encoding.ts';
import { type PartitionRecord } from '../../common/record/record.ts';
import type { Random } from './random.ts';

export interface Found {
  /** Undefined when the bucket has no such key. */
  readonly record: PartitionRecord | undefined;
  /** 0 when the bucket has no such key. */
  readonly revision: number;
  /** The bucket's creation. */
  readonly bucket: string;
  /** Counts the restarts of the server that a client notices by its reconnect. */
  readonly connection: number;
}

type Entries = ReadonlyMap<string, { readonly revision: number; readonly record: PartitionRecord }>;

const HISTORY = 60;

export class Bucket {
  #created = 0;
  #connection = 0;
  #revision = 0;
  /** Every state of the bucket, the present one last. */
  #history: { readonly revision: number; readonly entries: Entries }[] = [];

  constructor() {
    this.wipe();
  }

  /** What the leader says. */
  read(key: string): Found {
    return this.#found(key, this.#history.at(-1)!.entries);
  }

  /** What a replica that is one or two changes behind says. */
  readOld(key: string, random: Random): Found {
    const index = this.#history.length - 1 - random.integer(1, 2);
    return this.#found(key, this.#history[Math.max(0, index)]!.entries);
  }

  /** A set that was sent before a reconnect is never applied after it: the client does not let one be buffered. */
  set(key: string, record: PartitionRecord, expected: Found): { revision: number } | 'refused' {
    if (expected.connection !== this.#connection) return 'refused';
    if (this.read(key).revision !== expected.revision) return 'refused';
    this.#revision += 1;
    const entry = { revision: this.#revision, record: decodeRecord(encodeRecord(record)) };
    const entries = new Map(this.#history.at(-1)!.entries).set(key, entry);
    this.#history = [...this.#history, { revision: this.#revision, entries }].slice(-HISTORY);
    return { revision: this.#revision };
  }

  /** The server comes back without its last changes. */
  rollBack(random: Random): void {
    this.#connection += 1;
    const kept = Math.max(1, this.#history.length - random.integer(1, 6));
    this.#history = this.#history.slice(0, kept);
    this.#revision = this.#history.at(-1)!.revision;
  }

  /** Deleted and created again. */
  wipe(): void {
    this.#connection += 1;
    this.#created += 1;
    this.#revision = 0;
    this.#history = [{ revision: 0, entries: new Map() }];
  }

  #found(key: string, entries: Entries): Found {
    const entry = entries.get(key);
    return {
      record: entry?.record,
      revision: entry?.revision ?? 0,
      bucket: `bucket ${this.#created}`,
      connection: this.#connection,
    };
  }
}
