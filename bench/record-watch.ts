// What is written to the bucket of the records, as a plain subscription hears it: how much, and when which partition
// was committed by whom.

import { zstdDecompressSync } from 'node:zlib';

import type { Msg } from '@nats-io/transport-node';

import { headerBytes } from '../common/wire/headers.ts';
import type { Link } from '../common/nats/connection.ts';
import { decodeRecord } from '../common/record/encoding.ts';
import { type PartitionRecord } from '../common/record/record.ts';
import { partitionOfKey, partitionsBucket } from '../common/wire/topology.ts';

/** A set of a record that says more than the term's sets before it. */
export interface Commit {
  /** performance.now() when it was heard. */
  readonly at: number;
  readonly partition: number;
  readonly record: PartitionRecord;
}

/** Sets that were refused are heard as well: a compare-and-set is a message that the server then drops. */
export class RecordWatch {
  /** Commits, and every byte that was sent to the bucket, archives included. */
  commits = 0;
  bytes = 0;
  /** Bytes of the largest value that was set. */
  readonly largest = { record: 0, archive: 0 };
  /** Bytes of each key's last value. */
  readonly sizes = new Map<string, number>();
  readonly #prefix: string;
  readonly #onCommit: Set<(commit: Commit) => void> = new Set();
  readonly #onTake: Set<(commit: Commit) => void> = new Set();
  /** By term, how far it has processed the stream. */
  readonly #terms = new Map<string, number>();
  readonly #committed = new Map<number, number>();
  readonly #close: () => void;

  constructor(link: Link, stream: string) {
    this.#prefix = `$KV.${partitionsBucket(stream)}.`;
    const subscription = link.nc.subscribe(`${this.#prefix}>`, {
      callback: (error, message) => {
        if (error === null) this.#hear(message);
      },
    });
    this.#close = () => {
      subscription.unsubscribe();
    };
  }

  /** How far a partition is committed: a sequence of the stream. */
  committed(partition: number): number {
    return this.#committed.get(partition) ?? 0;
  }

  /** Calls back for each commit until the function that it returns is called. */
  listen(onCommit: (commit: Commit) => void): () => void {
    this.#onCommit.add(onCommit);
    return () => {
      this.#onCommit.delete(onCommit);
    };
  }

  /** The same for the first set of each term: the partition was taken. */
  listenForTakes(onTake: (take: Commit) => void): () => void {
    this.#onTake.add(onTake);
    return () => {
      this.#onTake.delete(onTake);
    };
  }

  close(): void {
    this.#close();
  }

  #hear(message: Msg): void {
    const at = performance.now();
    const key = message.subject.slice(this.#prefix.length);
    this.bytes += message.subject.length + headerBytes(message) + message.data.length;
    this.sizes.set(key, message.data.length);
    const partition = partitionOfKey(key);
    const kind = partition === undefined ? 'archive' : 'record';
    this.largest[kind] = Math.max(this.largest[kind], message.data.length);
    if (partition === undefined) return;
    const record = decodeRecord(zstdDecompressSync(message.data).toString());
    const term = `${partition} ${record.term}`;
    const before = this.#terms.get(term);
    const { seq } = record.stream;
    this.#terms.set(term, Math.max(before ?? 0, seq));
    if (before === undefined) for (const tell of this.#onTake) tell({ at, partition, record });
    else if (seq > before) {
      this.commits += 1;
      this.#committed.set(partition, Math.max(this.committed(partition), seq));
      for (const tell of this.#onCommit) tell({ at, partition, record });
    }
  }
}
