// One generation's subject in the stream: each message fenced by the last sequence, what the stream holds after any doubt,
// where to go on. Never reads the file, and never decides what is published next.

import { headers } from '@nats-io/transport-node';

import { isUnanswered, isWrongSequence } from '../../common/nats/bucket.ts';
import { LogferryError, messageOf } from '../../common/runtime/errors.ts';
import { chunkDone } from '../../common/runtime/memory.ts';
import { type Bell, untilAnswered } from '../../common/runtime/run.ts';
import { type Chunk, chunkHeaders, type EndReason } from '../../common/wire/chunk.ts';
import { publishSubject } from '../../common/wire/subjects.ts';
import type { Cursor } from '../cursor/cursor.ts';
import type { Piece } from '../cursor/tailer.ts';
import type { GenerationState } from '../files/state.ts';
import { Committed } from './committed.ts';
import type { ShipperContext } from './context.ts';
import type { HostView } from './host.ts';
import type { Published } from './repair.ts';

const PUBLISH_TIMEOUT_MS = 5_000;
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
  #subject: string | undefined;
  /** The subject's last sequence, which the next message must follow. */
  #expected = 0;
  #storedAt: number | undefined;
  /** The creation of the stream that this is about. */
  #created = '';
  #ended = false;
  #publishedAt = performance.now();
  /** Of the piece that is being published. */
  #lines = 0;

  /** @param bell rung when something that it waits for is known */
  constructor(context: ShipperContext, source: string, entry: GenerationState, cursor: Cursor, bell: Bell) {
    this.#context = context;
    this.source = source;
    this.entry = entry;
    this.cursor = cursor;
    this.#bell = bell;
  }

  get expected(): number {
    return this.#expected;
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
    return this.cursor.position === this.entry.begin && this.#expected === 0;
  }

  /** What is known now; a decision about it may come later. */
  snapshot(): Published {
    return {
      position: this.cursor.position,
      ended: this.#ended,
      lastSeq: this.#expected,
      created: this.#created,
      begin: this.entry.begin,
      quietMs: performance.now() - this.#publishedAt,
    };
  }

  // --- where to go on -------------------------------------------------------------------------------------------

  /**
   * Design §4.6: the end of the subject's last message, else the record's offset, else where shipping began. Says
   * whether the file before that offset is the one that was shipped. Throws the signal's reason when it fires before
   * there is an answer: nothing is known then.
   */
  async resume(signal: AbortSignal): Promise<boolean> {
    const ask = async (): Promise<boolean> => await this.#resumeFrom(await this.#context.host.needView());
    const isTheSame = await untilAnswered(ask, isUnanswered, signal);
    if (isTheSame === undefined) throw signal.reason;
    return isTheSame;
  }

  async #resumeFrom(view: HostView): Promise<boolean> {
    const { file } = this.entry;
    const { seq, chunk, storedAt } = await this.#context.host.lastMessage(this.source, file);
    // Only what has just come is known to be new to everybody.
    if (chunk === undefined && !view.isRecordKnown && !this.#context.state.isNew(file))
      throw new LogferryError('unreachable', 'where to go on is known on the central side only');
    this.#storedAt = storedAt;
    const known = view.entry(file);
    if (chunk !== undefined && known === undefined) this.entry.begin = chunk.begin;
    this.entry.after ??= chunk?.after ?? null;
    this.committed.begin(known?.offset ?? this.entry.begin);
    await this.#goOnAfter(view, seq, chunk, known);
    const { position } = this.cursor;
    const committed = this.committed.offset;
    if (seq > 0 && committed < position) this.committed.found(position, seq, performance.now());
    this.#context.log.debug({ path: this.source, file, position, committed, seq }, 'resumed');
    return await this.cursor.matches();
  }

  /** Takes the position from the subject's last message, or from the record where there is none. */
  async #goOnAfter(
    view: HostView,
    seq: number,
    chunk: Chunk | undefined,
    known: { offset: number; tail: string | null } | undefined,
  ): Promise<void> {
    this.#created = view.created;
    this.#expected = seq;
    this.#ended = chunk?.kind === 'end';
    const position = chunk?.end ?? this.committed.offset;
    const recorded = known?.offset === position ? known.tail : null;
    await this.cursor.seek(position, chunk?.kind === 'data' ? chunk.tail : recorded);
  }

  /** After any doubt: what the stream holds decides. */
  async #look(): Promise<void> {
    const { host } = this.#context;
    const view = await host.needView();
    const { seq, chunk } = await host.lastMessage(this.source, this.entry.file);
    if (seq === this.#expected && view.created === this.#created) await this.cursor.readAgain();
    else if (chunk === undefined) await this.#resumeFrom(view);
    else {
      // Its acknowledgement was lost.
      this.#countTo(chunk.kind, chunk.end);
      await this.#goOnAfter(view, seq, chunk, view.entry(this.entry.file));
    }
  }

  // --- publishing -----------------------------------------------------------------------------------------------

  async piece(piece: Piece, signal: AbortSignal): Promise<void> {
    const { start, end, tail, encoding, crc32 } = piece;
    const chunk: Chunk = { kind: 'data', ...this.#common(start, end), tail, encoding, crc32 };
    await this.#publish(chunk, piece, signal);
  }

  /** Nothing follows. */
  async end(reason: EndReason, signal: AbortSignal): Promise<void> {
    const { position } = this.cursor;
    await this.#publish({ kind: 'end', ...this.#common(position, position), reason }, undefined, signal);
  }

  /** These bytes do not exist any more. */
  async gap(start: number, end: number, reason: string, signal: AbortSignal): Promise<void> {
    await this.#publish({ kind: 'gap', ...this.#common(start, end), reason }, undefined, signal);
  }

  #common(start: number, end: number): Pick<Chunk, 'start' | 'end' | 'begin' | 'after'> {
    const { begin, after } = this.entry;
    return { start, end, begin, after: after ?? undefined };
  }

  /** Fenced by the subject's last sequence: the stream takes every chunk exactly once (design §4.5). */
  async #publish(chunk: Chunk, piece: Piece | undefined, signal: AbortSignal): Promise<void> {
    const { host, counts } = this.#context;
    if (piece !== undefined) this.#lines = piece.lines;
    await this.#context.pace(piece === undefined ? 0 : chunk.end - chunk.start, signal);
    if (signal.aborted) {
      piece?.slot.release();
      return;
    }
    const { source: path, entry } = this;
    this.#subject ??= publishSubject(host.topology.prefix, { host: host.name, path, file: entry.file });
    const subject = this.#subject;
    const messageHeaders = headers();
    for (const [name, value] of chunkHeaders(chunk)) messageHeaders.set(name, value);
    const expect = { lastSubjectSequence: this.#expected };
    const options = { headers: messageHeaders, expect, timeout: PUBLISH_TIMEOUT_MS };
    const payload = piece?.payload ?? EMPTY;
    counts.inFlight += 1;
    try {
      const { seq } = await host.link.ask(async () => await host.link.js.publish(subject, payload, options));
      piece?.slot.release();
      await this.#acknowledged(chunk, seq);
    } catch (error) {
      // The payload may still be on its way: its buffer is not used again.
      piece?.slot.abandon();
      if (!isWrongSequence(error) && !isUnanswered(error)) throw error;
      this.#context.log.debug({ path, why: messageOf(error) }, 'publish refused or unanswered; looking');
      if (isWrongSequence(error)) counts.refused += 1;
      else counts.unanswered += 1;
      await untilAnswered(async () => await this.#look(), isUnanswered, signal);
    } finally {
      counts.inFlight -= 1;
    }
  }

  async #acknowledged(chunk: Chunk, seq: number): Promise<void> {
    const { state, counts } = this.#context;
    chunkDone(chunk.end - chunk.start);
    this.#expected = seq;
    this.#countTo(chunk.kind, chunk.end);
    this.cursor.taken(chunk.end, chunk.kind === 'data' ? chunk.tail : undefined);
    this.#ended = chunk.kind === 'end';
    this.#publishedAt = performance.now();
    this.#tellBacklog(chunk);
    this.committed.published(chunk.end, seq, this.entry.size > chunk.end, this.#publishedAt);
    this.error = undefined;
    if (chunk.kind === 'gap') await this.cursor.seek(chunk.end, undefined);
    if (chunk.kind === 'end') {
      counts.ended[chunk.reason] += 1;
      state.touch();
    }
  }

  /** What the stream has beyond the position, before that is moved there. */
  #countTo(kind: Chunk['kind'], end: number): void {
    if (kind !== 'data' || end <= this.cursor.position) return;
    const { counts } = this.#context;
    counts.publishedBytes += end - this.cursor.position;
    counts.publishedChunks += 1;
    if (counts.publishedLines !== undefined) counts.publishedLines += this.#lines;
  }

  #tellBacklog({ start, end }: Chunk): void {
    const { backlog } = this.#context;
    if (this.cursor.isBacklog) backlog.backlogPublished(this.#created, this.#expected, end - start);
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
    this.#expected = 0;
  }

  /** Goes back to an offset to publish again from there; `expected` where the last sequence is another than thought. */
  async rewind(to: number, expected: number | undefined, view: HostView): Promise<void> {
    if (expected !== undefined) this.#expected = expected;
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
