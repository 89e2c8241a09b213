// What a replay writes: the same writer, ledger and order of durability as a receiver's, with a record that is kept in
// memory and begins with what the ledgers prove. Never acknowledges, and sets no record in the bucket.

import { randomBytes } from 'node:crypto';

import { LogferryError, messageOf, systemCode } from '../../common/runtime/errors.ts';
import { type Logger, Throttle } from '../../common/runtime/log.ts';
import {
  commitRecord,
  emptyRecord,
  type PartitionRecord,
  takeRecord,
  termOf,
} from '../../common/record/record.ts';
import { inParallel } from '../../common/runtime/run.ts';
import {
  fileKey,
  parseStoredSubject,
  partitionOf,
  type SourceName,
  sourceOf,
} from '../../common/wire/subjects.ts';
import type { Topology } from '../../common/wire/topology.ts';
import { makeDurable } from '../term/commit.ts';
import type { RotateOptions } from '../disk/destination.ts';
import { allRuns, claimsOf } from '../ledger/ledger.ts';
import type { LedgerFile } from '../ledger/ledger-file.ts';
import { mostOpen, OpenDestinations } from '../disk/open-destinations.ts';
import { ledgerOf, type Output } from '../output/output.ts';
import type { Delivery } from '../../common/stream/pull.ts';
import { noReceiverStats, type ReceiverStats } from '../term/counts.ts';
import { type Resolver } from '../term/resolver.ts';
import { Writer } from '../term/writer.ts';

/** As a receiver's. */
const COMMIT_BYTES = 64 * 1024 * 1024;
const COMMIT_EVERY_MS = 1_000;
/** Each syncs some files at once itself. */
const PARTITIONS_AT_ONCE = 4;

export interface ReplayOutputOptions {
  readonly output: Output;
  readonly topology: Topology;
  /** When the stream was created. */
  readonly created: string;
  readonly rotate: RotateOptions;
  readonly resolver: Resolver;
  readonly log: Logger;
}

/** What the directory holds, of this and earlier starts. */
export interface ReplayTotals {
  readonly bytes: number;
  readonly files: number;
  readonly hosts: number;
}

interface Shelf {
  readonly ledgerFile: LedgerFile;
  readonly writer: Writer;
  readonly term: string;
  record: PartitionRecord;
}

export class ReplayOutput {
  readonly stats: ReceiverStats = noReceiverStats();
  readonly #options: ReplayOutputOptions;
  readonly #open = new OpenDestinations(mostOpen());
  readonly #throttle = new Throttle();
  readonly #shelves = new Map<number, Shelf>();
  #committedAt = performance.now();

  private constructor(options: ReplayOutputOptions) {
    this.#options = options;
  }

  /** With what the directory's ledgers list, which have to be open. */
  static async open(options: ReplayOutputOptions): Promise<ReplayOutput> {
    const opened = new ReplayOutput(options);
    for (const partition of options.output.ledgers.keys()) await opened.#shelfOf(partition);
    return opened;
  }

  async #shelfOf(partition: number): Promise<Shelf> {
    const known = this.#shelves.get(partition);
    if (known !== undefined) return known;
    const { output, topology, created, rotate, resolver, log } = this.#options;
    const ledgerFile = await ledgerOf(output, partition, log);
    const term = termOf(output.directory, randomBytes(4).toString('hex'));
    const { record } = takeRecord(emptyRecord(topology.partitions), {
      owner: output.id,
      term,
      claims: claimsOf(ledgerFile.ledger),
      stream: { created, lastSeq: 0 },
    });
    const writer = new Writer(
      {
        out: output.out,
        prefix: topology.prefix,
        ledgerFile,
        rotate,
        open: this.#open,
        log,
        throttle: this.#throttle,
        stats: this.stats,
        resolver,
      },
      record,
      term,
    );
    const shelf = { ledgerFile, writer, term, record };
    this.#shelves.set(partition, shelf);
    return shelf;
  }

  /** Source bytes of a generation below this are committed here; 0 when nothing is. */
  offsetOf(host: string, file: string): number {
    const partition = partitionOf(host, this.#options.topology.partitions);
    return this.#shelves.get(partition)?.record.files.get(fileKey(host, file))?.offset ?? 0;
  }

  /**
   * Writes what the deliveries bring of the files that are wanted, each partition's in order. Throws one clear line for what
   * the disk says.
   */
  async write(deliveries: readonly Delivery[], isWanted: (source: SourceName) => boolean): Promise<void> {
    const { prefix, partitions } = this.#options.topology;
    const byPartition = new Map<number, Delivery[]>();
    for (const delivery of deliveries) {
      const source = parseStoredSubject(prefix, delivery.subject);
      if (source === undefined) {
        this.stats.foreign += 1;
        continue;
      }
      // Not the subject's: that is the one of when it was published.
      const partition = partitionOf(source.host, partitions);
      const own = byPartition.get(partition);
      if (own === undefined) byPartition.set(partition, [delivery]);
      else own.push(delivery);
    }
    await this.#onDisk(async () => {
      await inParallel(byPartition, byPartition.size, async ([partition, own]) => {
        await (await this.#shelfOf(partition)).writer.process(own, undefined, isWanted);
      });
    });
  }

  /** As often as a receiver commits under load. */
  get isCommitDue(): boolean {
    let bytes = 0;
    for (const { writer } of this.#shelves.values()) bytes += writer.group.bytes;
    return bytes >= COMMIT_BYTES || performance.now() - this.#committedAt >= COMMIT_EVERY_MS;
  }

  /** All that was written is on disk and listed. Throws as write does. */
  async commit(): Promise<void> {
    const { created } = this.#options;
    await this.#onDisk(async () => {
      await inParallel(this.#shelves.values(), PARTITIONS_AT_ONCE, async (shelf) => {
        const { writer, ledgerFile, term } = shelf;
        const group = writer.takeGroup();
        if (group.replies.length === 0) return;
        await makeDurable(ledgerFile, group);
        const { changes, holes } = group;
        const stream = { created, seq: Math.max(group.seq, shelf.record.stream.seq) };
        shelf.record = commitRecord(shelf.record, { term, stream, changes, holes });
        writer.record = shelf.record;
        await writer.rest();
      });
    });
    this.#committedAt = performance.now();
  }

  totals(): ReplayTotals {
    let bytes = 0;
    const files = new Set<string>();
    const hosts = new Set<string>();
    for (const { ledgerFile } of this.#shelves.values())
      for (const run of allRuns(ledgerFile.ledger)) {
        const { host } = sourceOf(run.file);
        bytes += run.end - run.start;
        files.add(JSON.stringify([host, run.path]));
        hosts.add(host);
      }
    return { bytes, files: files.size, hosts: hosts.size };
  }

  async #onDisk(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof LogferryError || systemCode(error) === undefined || isAborted(error)) throw error;
      throw new LogferryError(
        'failed',
        `cannot write below ${this.#options.output.out}: ${messageOf(error)}`,
        'make room there, or let this user write, and run it again: it goes on where it stopped',
        { cause: error },
      );
    }
  }

  /** What no ledger lists goes. What cannot be cut now is cut at the next start. */
  async close(): Promise<void> {
    for (const { writer } of this.#shelves.values()) {
      try {
        await writer.cutBack();
      } catch (error) {
        if (systemCode(error) === undefined) throw error;
        this.#options.log.debug(`could not cut back: ${messageOf(error)}`);
      }
      await writer.close();
    }
  }
}

function isAborted(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
