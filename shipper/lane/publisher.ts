// What the stream has of one generation: where to go on, what is acknowledged, what is committed. Never reads the file, and
// never decides what is published next.

import { isUnanswered } from '../../common/nats/bucket.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import { chunkDone } from '../../common/runtime/memory.ts';
import { type Bell, untilAnswered } from '../../common/runtime/run.ts';
import type { Chunk, EndReason } from '../../common/wire/chunk.ts';
import type { Cursor } from '../cursor/cursor.ts';
import type { Piece } from '../cursor/piece.ts';
import type { GenerationState } from '../files/generation-state.ts';
import { Committed } from './committed.ts';
import type { ShipperContext } from './context.ts';
import type { HostView } from '../host/host.ts';
import type { Published } from './repair.ts';
import { follow } from '../host/trails.ts';

/** A file that has grown within this time is being written to. */
const LIVE_MS = 1_000;

export class Publisher {
  readonly source: string;
  readonly entry: GenerationState;
  readonly cursor: Cursor;
  readonly committed = new Committed();
  /** What went wrong last, until something works. */
  error: string | undefined;
  readonly #context: ShipperContext;
  readonly #bell: Bell;
  /** The stream sequence of its last message, 0 for none. */
  #lastSeq = 0;
  #storedAt: number | undefined;
  /** The creation of the stream that this is about. */
  #created = '';
  #ended = false;
  #publishedAt = performance.now();

  /** @param bell rung when something that it waits for is known */
  constructor(context: ShipperContext, source: string, entry: GenerationState, cursor: Cursor, bell: Bell) {
    this.#context = context;
    this.source = source;
    this.entry = entry;
    this.cursor = cursor;
    this.#bell = bell;
  }

  /** The stream sequence of its last message, 0 for none. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  /** It is known what the stream holds. */
  get hasResumed(): boolean {
    return this.#created !== '';
  }

  /** Its end marker was acknowledged, and nothing was shipped again since. */
  get hasEnded(): boolean {
    return this.#ended;
  }

  /** When the last message of it was stored that was there at resume, in milliseconds since 1970. */
  get storedAt(): number | undefined {
    return this.#storedAt;
  }

  /** Nothing of it is in the stream. */
  get isFresh(): boolean {
    return this.cursor.position === this.entry.begin && this.#lastSeq === 0;
  }

  /** What is known now; a decision about it may come later. */
  snapshot(): Published {
    return {
      position: this.cursor.position,
      ended: this.#ended,
      lastSeq: this.#lastSeq,
      created: this.#created,
      begin: this.entry.begin,
      quietMs: performance.now() - this.#publishedAt,
    };
  }

  // --- where to go on -------------------------------------------------------------------------------------------

  /**
   * Design §4.6: behind what the state and the lanes hold, else the record's offset, else where shipping began. Says whether
   * the file before that offset is the one that was shipped. Throws the signal's reason when it fires before there is an answer:
   * nothing is known then.
   */
  async resume(signal: AbortSignal): Promise<boolean> {
    const ask = async (): Promise<boolean> => await this.#resumeFrom(await this.#context.host.needView());
    const isTheSame = await untilAnswered(ask, isUnanswered, signal);
    if (isTheSame === undefined) throw signal.reason;
    return isTheSame;
  }

  async #resumeFrom(view: HostView): Promise<boolean> {
    const { trails, state, log } = this.#context;
    const { entry } = this;
    const { file } = entry;
    const trail = await trails.of(view, file);
    // Only what has just come is known to be new to everybody.
    if (trail === undefined && entry.sent === null && !view.isRecordKnown && !state.isNew(file))
      throw new LogferryError('unreachable', 'where to go on is known on the central side only');
    this.#storedAt = trail?.storedAt;
    const known = view.entry(file);
    if (trail !== undefined && known === undefined && entry.sent === null) entry.begin = trail.begin;
    entry.after ??= trail?.after ?? null;
    const committed = known?.offset ?? entry.begin;
    this.committed.begin(committed);
    const sent = follow(trail, entry, view);
    const { position, ended, tail, seq } = sent;
    entry.sent = seq > 0 ? sent : null;
    [this.#created, this.#lastSeq, this.#ended] = [view.created, seq, ended];
    await this.cursor.seek(position, tail);
    if (committed < position) this.committed.found(position, seq, performance.now());
    log.debug({ path: this.source, file, position, committed, seq }, 'resumed');
    return await this.cursor.matches();
  }

  /** The last bytes of it that the stream is known to have; undefined when it does not say. Throws when there is no answer. */
  async lastBytes(): Promise<{ readonly start: number; readonly bytes: Uint8Array } | undefined> {
    const { host, trails } = this.#context;
    const { entry } = this;
    const view = await host.needView();
    const { dataSeq } = follow(await trails.of(view, entry.file), entry, view);
    return await host.lanes.bytesIn(dataSeq, entry.file);
  }

  // --- publishing -----------------------------------------------------------------------------------------------

  async piece(piece: Piece, signal: AbortSignal): Promise<void> {
    const { start, end, tail } = piece;
    await this.#publish({ kind: 'data', ...this.#common(start, end), tail }, piece, signal);
  }

  /** Nothing follows. */
  async end(reason: EndReason, signal: AbortSignal): Promise<void> {
    const { position } = this.cursor;
    await this.#publish({ kind: 'end', ...this.#common(position, position), reason }, undefined, signal);
  }

  /** These bytes do not exist any more. */
  async gap(start: number, end: number, reason: string, signal: AbortSignal): Promise<void> {
    await this.#publish({ kind: 'gap', ...this.#common(start, end), reason }, undefined, signal);
    if (this.cursor.position === end) await this.cursor.seek(end, undefined);
  }

  #common(start: number, end: number): Pick<Chunk, 'start' | 'end' | 'begin' | 'after'> {
    const { begin, after } = this.entry;
    return { start, end, begin, after: after ?? undefined };
  }

  /** Until the stream has it; when the signal fires before anybody knows, nothing has changed. */
  async #publish(chunk: Chunk, piece: Piece | undefined, signal: AbortSignal): Promise<void> {
    const { lanes, counts } = this.#context;
    const { source: path, entry } = this;
    const sent = { path, file: entry.file, chunk, payload: piece?.payload ?? EMPTY };
    await this.#context.pace(piece === undefined ? 0 : chunk.end - chunk.start, signal);
    counts.inFlight += 1;
    try {
      if (signal.aborted) return;
      await lanes.send(sent, signal, (seq) => {
        this.#acknowledged(chunk, seq, piece?.lines ?? 0);
      });
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      piece?.slot.release();
      counts.inFlight -= 1;
    }
  }

  #acknowledged(chunk: Chunk, seq: number, lines: number): void {
    const { state, counts } = this.#context;
    chunkDone(chunk.end - chunk.start);
    this.#lastSeq = seq;
    this.#countTo(chunk, lines);
    const tail = chunk.kind === 'data' ? chunk.tail : undefined;
    this.cursor.taken(chunk.end, tail);
    this.#ended = chunk.kind === 'end';
    const { sent } = this.entry;
    this.entry.sent = {
      ...{ position: chunk.end, seq, ended: this.#ended },
      tail: tail ?? (chunk.kind === 'end' ? (sent?.tail ?? null) : null),
      dataSeq: chunk.kind === 'data' ? seq : (sent?.dataSeq ?? 0),
    };
    this.#publishedAt = performance.now();
    this.#tellBacklog(chunk);
    this.committed.published(chunk.end, seq, this.entry.size > chunk.end, this.#publishedAt);
    this.error = undefined;
    if (chunk.kind === 'end') {
      counts.ended[chunk.reason] += 1;
      state.touch();
    }
  }

  /** What the stream has beyond the position, before that is moved there. */
  #countTo({ kind, end }: Chunk, lines: number): void {
    if (kind !== 'data' || end <= this.cursor.position) return;
    const { counts } = this.#context;
    counts.publishedBytes += end - this.cursor.position;
    counts.publishedChunks += 1;
    if (counts.publishedLines !== undefined) counts.publishedLines += lines;
  }

  #tellBacklog({ start, end }: Chunk): void {
    const { backlog } = this.#context;
    if (this.cursor.isBacklog) backlog.backlogPublished(this.#created, this.#lastSeq, end - start);
    else if (this.cursor.quietMs < LIVE_MS) backlog.livePublished(this.#publishedAt);
  }

  // --- what is committed, and what was lost ---------------------------------------------------------------------

  /** A commit notice: only ever raises what is committed; the record is asked before anything is decided. */
  noticed(offset: number): void {
    if (offset > this.committed.offset && offset <= this.cursor.position) this.setCommitted(offset);
  }

  setCommitted(offset: number): void {
    this.#context.counts.committedBytes += Math.max(0, offset - this.committed.most);
    this.committed.upTo(offset);
    if (this.committed.gone.isWaiting && offset > this.cursor.position) this.#bell.ring();
  }

  /** The stream has the last message: that it is not committed says nothing for a while. */
  isStillThere(): void {
    this.#publishedAt = performance.now();
  }

  /** What was remembered of the old stream counts no more. */
  forget(created: string): void {
    this.#created = created;
    this.#lastSeq = 0;
    this.entry.sent = null;
  }

  /** Goes back to an offset to publish again from there; `isLost` where the stream does not have its last message any more. */
  async rewind(to: number, isLost: boolean, view: HostView): Promise<void> {
    if (isLost) this.#lastSeq = 0;
    this.entry.sent = null;
    this.#created = view.created;
    const position = Math.min(this.cursor.position, to);
    this.#ended = false;
    this.#publishedAt = performance.now();
    this.committed.rewound();
    this.cursor.leaveFor(position);
    const entry = view.entry(this.entry.file);
    await this.cursor.seek(position, entry?.offset === position ? entry.tail : undefined);
  }
}

const EMPTY = new Uint8Array();
