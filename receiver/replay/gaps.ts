// What a replay does about bytes that are missing before a message: it waits for those that the stream holds elsewhere,
// and passes over the others, each of which it notes. Writes nothing, and never changes a record.

import { isStreamMissing, isUnanswered } from '../../common/nats/bucket.ts';
import type { Chunk } from '../../common/wire/chunk.ts';
import type { Link } from '../../common/nats/connection.ts';
import type { FileEntry } from '../../common/record/record.ts';
import type { RecordStore } from '../../common/record/store.ts';
import { untilAnswered } from '../../common/runtime/run.ts';
import { Turns } from '../../common/runtime/turns.ts';
import { fileKey, partitionOf, type SourceName } from '../../common/wire/subjects.ts';
import type { Topology } from '../../common/wire/topology.ts';
import type { IsAsked } from './asked.ts';
import { Coverage } from './coverage.ts';
import type { Begin, Hole, ReplayState, Waiting } from './state.ts';
import { scanHost, type StreamRange } from './stream-range.ts';
import type { Resolution, Resolver, Unwritten } from '../term/resolver.ts';

/** More are only counted. */
const MOST_HOLES = 1_000;
/** Each scan has messages on their way and waiting. */
const SCANS_AT_ONCE = 4;
/** Of a generation that no message holds anything of. */
const NOTHING = new Coverage();

export interface GapOptions {
  readonly link: Link;
  readonly topology: Topology;
  readonly store: RecordStore;
  readonly isAsked: IsAsked;
  readonly range: StreamRange;
  readonly signal: AbortSignal;
}

export class Gaps implements Resolver {
  readonly #options: GapOptions;
  /** By host, then by file id. */
  readonly #coverages = new Map<string, Promise<ReadonlyMap<string, Coverage>>>();
  readonly #turns = Array.from({ length: SCANS_AT_ONCE }, () => new Turns());
  readonly #records = new Map<number, Promise<ReadonlyMap<string, FileEntry>>>();
  readonly #damaged = new Set<number>();
  /** By fileKey: up to where messages of it were passed by. */
  readonly #waiting: Map<string, Waiting>;
  /** By host and path. */
  readonly #begins: Map<string, Begin>;
  /** By everything in them: a decision is taken again when it was not on disk at a kill. */
  readonly #holes: Map<string, Hole>;
  #moreHoles: number;
  #uncommitted: boolean;
  /** Something was noted that is not saved. */
  isChanged = false;

  constructor(options: GapOptions, state: ReplayState) {
    this.#options = options;
    this.#waiting = new Map(state.waiting.map((one) => [fileKey(one.host, one.file), one]));
    this.#begins = new Map(state.begins.map((one) => [JSON.stringify([one.host, one.path]), one]));
    this.#holes = new Map(state.holes.map((one) => [JSON.stringify(one), one]));
    this.#moreHoles = state.moreHoles;
    this.#uncommitted = state.uncommitted;
  }

  get notes(): Pick<ReplayState, 'waiting' | 'begins' | 'holes' | 'moreHoles' | 'uncommitted'> {
    return {
      waiting: [...this.#waiting.values()],
      begins: [...this.#begins.values()],
      holes: [...this.#holes.values()],
      moreHoles: this.#moreHoles,
      uncommitted: this.#uncommitted,
    };
  }

  /** Ranges passed over, and paths begun, so far: grows with each. */
  get passed(): number {
    return this.#holes.size + this.#moreHoles + this.#begins.size;
  }

  damaged(source: SourceName, chunk: Chunk, seq: number): void {
    this.#damaged.add(seq);
    this.#wait(source, chunk.end);
    this.#coverages.delete(source.host);
  }

  /** Generations that wait for bytes, but for those that are further now; and what is known of stream and records is old. */
  stillWaiting(offsetOf: (host: string, file: string) => number): Waiting[] {
    for (const [key, { host, file, end }] of this.#waiting)
      if (offsetOf(host, file) >= end) this.#waiting.delete(key);
    this.#coverages.clear();
    this.#records.clear();
    return [...this.#waiting.values()];
  }

  async resolve(message: Unwritten): Promise<Resolution | undefined> {
    const { source, chunk } = message;
    const before = await this.#resolveBefore(message);
    const own = before === undefined ? undefined : await this.#resolveOwn(message);
    if (before === undefined || own === undefined) {
      this.#wait(source, chunk.end);
      return undefined;
    }
    const { host, path } = source;
    const isHead = message.offset === undefined && !message.isBegun && before.lost === undefined;
    if (isHead) this.#begin({ host, path, file: source.file, offset: chunk.start });
    const lost = [before.lost, own.lost].filter((range) => range !== undefined);
    for (const { file, from, to } of lost) {
      if ((await this.#committed(host, file)) < to) this.#passUncommitted();
      if (!isHead) this.#hole({ host, path, file, from, to });
    }
    const { after } = chunk;
    if (before.isFirst && after !== undefined && (await this.#committed(host, after.file)) < after.size)
      this.#passUncommitted();
    return { lost, isFirst: before.isFirst };
  }

  /** What is missing of the generation before. Undefined: it may come. */
  async #resolveBefore({ source, chunk, offset, before, isBegun }: Unwritten): Promise<Passed | undefined> {
    const { after } = chunk;
    if (after === undefined || (before ?? 0) >= after.size) return { isFirst: false, lost: undefined };
    // Decided when it began.
    if (offset !== undefined) return { isFirst: true, lost: undefined };
    const coverage = await this.#coverageOf(source.host, after.file);
    if (before === undefined && !coverage.isEmpty) return undefined;
    if (before === undefined && !isBegun) return { isFirst: true, lost: undefined };
    const from = before ?? 0;
    if (coverage.has(from) || coverage.next(from) !== undefined) return undefined;
    return { isFirst: false, lost: { file: after.file, from, to: after.size } };
  }

  /** What is missing of its own generation. Undefined: it may come. */
  async #resolveOwn({ source, chunk, offset }: Unwritten): Promise<Omit<Passed, 'isFirst'> | undefined> {
    const from = offset ?? chunk.begin;
    if (chunk.start <= from) return { lost: undefined };
    const coverage = await this.#coverageOf(source.host, source.file);
    if (coverage.has(from) || (coverage.next(from) ?? chunk.start) < chunk.start) return undefined;
    return { lost: { file: source.file, from, to: chunk.start } };
  }

  async #coverageOf(host: string, file: string): Promise<Coverage> {
    const known = this.#coverages.get(host) ?? this.#scan(host);
    this.#coverages.set(host, known);
    return (await known).get(file) ?? NOTHING;
  }

  async #scan(host: string): Promise<ReadonlyMap<string, Coverage>> {
    const { link, topology, range, isAsked, signal } = this.#options;
    const options = { range, isAsked, damaged: this.#damaged };
    const scan = async (): Promise<ReadonlyMap<string, Coverage>> =>
      await scanHost(link, topology, host, options, signal);
    return (await this.#turns[partitionOf(host, SCANS_AT_ONCE)]?.take(scan)) ?? new Map<string, Coverage>();
  }

  /** The offset that receivers have recorded; 0 when they know nothing of it. */
  async #committed(host: string, file: string): Promise<number> {
    const partition = partitionOf(host, this.#options.topology.partitions);
    const files = this.#records.get(partition) ?? this.#readFiles(partition);
    this.#records.set(partition, files);
    return (await files).get(fileKey(host, file))?.offset ?? 0;
  }

  async #readFiles(partition: number): Promise<ReadonlyMap<string, FileEntry>> {
    const { store, signal } = this.#options;
    const read = async (): Promise<ReadonlyMap<string, FileEntry>> => {
      try {
        return (await store.read(partition)).record?.files ?? new Map<string, FileEntry>();
      } catch (error) {
        if (isStreamMissing(error)) return new Map<string, FileEntry>();
        throw error;
      }
    };
    const files = await untilAnswered(read, isUnanswered, signal);
    signal.throwIfAborted();
    return files ?? new Map<string, FileEntry>();
  }

  #wait(source: SourceName, end: number): void {
    const { host, path, file } = source;
    const key = fileKey(host, file);
    const known = this.#waiting.get(key);
    if (known !== undefined && known.end >= end) return;
    this.#waiting.set(key, { host, path, file, end });
    this.isChanged = true;
  }

  #begin(begin: Begin): void {
    this.#begins.set(JSON.stringify([begin.host, begin.path]), begin);
    this.isChanged = true;
  }

  #hole(hole: Hole): void {
    const key = JSON.stringify(hole);
    if (this.#holes.has(key)) return;
    if (this.#holes.size < MOST_HOLES) this.#holes.set(key, hole);
    else this.#moreHoles += 1;
    this.isChanged = true;
  }

  #passUncommitted(): void {
    if (this.#uncommitted) return;
    this.#uncommitted = true;
    this.isChanged = true;
  }
}

interface Passed {
  readonly isFirst: boolean;
  readonly lost: Resolution['lost'][number] | undefined;
}
