// One generation of a source file on its way into the stream: published in order, one message in flight, fenced by the
// subject's last sequence; taken back when bytes were lost. Never decides which file it is: sources/source.ts does.

import type { FileHandle } from 'node:fs/promises';

import { headers } from '@nats-io/transport-node';

import { isUnanswered, isWrongSequence } from '../../common/nats/bucket.ts';
import { type Chunk, chunkHeaders, type EndReason, TAIL_BYTES } from '../../common/wire/chunk.ts';
import { LogferryError, messageOf } from '../../common/runtime/errors.ts';
import type { Logger, Throttle } from '../../common/runtime/log.ts';
import { chunkDone } from '../../common/runtime/memory.ts';
import { Bell, sleep, untilAnswered } from '../../common/runtime/run.ts';
import { publishSubject } from '../../common/wire/subjects.ts';
import type { Backlog } from './backlog.ts';
import type { Buffers, Slot } from '../cursor/buffers.ts';
import type { ShipperCounts } from '../report/counts.ts';
import type { Found } from '../files/discover.ts';
import type { FileSystems } from '../files/file-systems.ts';
import { Gone } from './gone.ts';
import { type Host, type HostView, observedOf } from './host.ts';
import { headOf, isSameFile } from '../files/identity.ts';
import type { KnownFiles } from '../files/known-files.ts';
import type { Listings } from '../files/listings.ts';
import type { OpenFiles } from '../files/open-files.ts';
import type { Packers } from '../cursor/packers.ts';
import type { FileSums } from '../report/status.ts';
import { Uncommitted } from './progress.ts';
import {
  afterCentralLook,
  afterLook,
  committedOffset,
  decideRepair,
  type Published,
  type Repair,
  Rewinds,
} from './repair.ts';
import { type Siblings } from '../files/siblings.ts';
import type { GenerationState, State } from '../files/state.ts';
import { type Piece, Tailer } from '../cursor/tailer.ts';
import { firstBytes, standsBefore } from '../files/fingerprint.ts';
import type { FileProgress } from '../report/reading.ts';
import { type Elsewhere, openAgain, type Opened, type Seen } from '../files/candidate.ts';

/** What all generations of a shipper share. */
export interface ShipperContext {
  readonly host: Host;
  readonly state: State;
  readonly log: Logger;
  readonly throttle: Throttle;
  readonly buffers: Buffers;
  /** Undefined when nothing is compressed. */
  readonly packers: Packers | undefined;
  readonly counts: ShipperCounts;
  /** Whether publishing must wait: the stream is about to drop uncommitted data. */
  readonly isHeld: () => boolean;
  /** How far old bytes run ahead of the receiver. */
  readonly backlog: Backlog;
  /** Waits a little when they have run far enough; false when they may go on. */
  readonly holdBacklog: (signal: AbortSignal) => Promise<boolean>;
  /** Waits for its share of --max-rate. */
  readonly pace: (bytes: number, signal: AbortSignal) => Promise<void>;
  /** With --once every file ends where it ended at the start. */
  readonly once: boolean;
  readonly listings: Listings;
  readonly fileSystems: FileSystems;
  readonly knownFiles: KnownFiles;
  readonly openFiles: OpenFiles;
  /** Tells the source of this path that its file is at another one now, where it may be written to. */
  readonly tellOwner: (owner: string, found: Found) => void;
  /** How long a rotated generation keeps its descriptor. */
  readonly rotateWaitMs: number;
  /** The path under which a file is shipped. */
  readonly nameOf: (file: string) => string;
  /** What is at a path that is shipped: undefined when there is no regular file. Says what else is there, once. */
  readonly look: (file: string) => Promise<Found | undefined>;
}

/** What a generation asks of its source. */
export interface GenerationOwner {
  /** Whose files its copies are. */
  readonly path: string;
  /** The file's content is not what was read before. */
  readonly onReplaced: () => void;
  /** The bytes are wanted again and the file is not open: finds it, or its copy. Throws when it cannot be read now. */
  readonly reopen: (generation: Generation) => Promise<Elsewhere | undefined>;
  /**
   * Asked before anything is published of a file that was empty when it was found: it may have been written to, copied
   * and truncated since, and those copies come first. False when it must wait for them; then it is run again.
   */
  readonly mayBegin: (generation: Generation, readAt: number) => Promise<boolean>;
}

/** Subject, headers and protocol of one message beside its payload. */
const HEADER_ROOM = 2_048;
const RETRY_MS = 250;
const PUBLISH_TIMEOUT_MS = 5_000;
/** Between two looks at a file that is being written: what comes meanwhile makes the next chunk larger. */
const PACE_MS = 6;
/** A file that was written a moment ago is looked at again within milliseconds, an idle one hardly ever. */
const SHORTEST_LOOK_MS = PACE_MS;
const LONGEST_LOOK_MS = 10_000;
/**
 * For so long after the last byte it looks at its file by itself: after that the sweep does as often. And for so long
 * it does that so often that telling is of no use.
 */
const POLLED_MS = 4_000;
/** For so long the sweep looks at it each second. */
const RECENT_MS = 30_000;
const SOON_MS = 100;
/** A file that has grown within this time is being written to. */
const LIVE_MS = 1_000;
/** A writer has left a finished file when it was silent for this long. */
const LEFT_MS = 2_000;
const QUIET_SHARE = 4;

export class Generation {
  readonly source: string;
  readonly entry: GenerationState;
  readonly #context: ShipperContext;
  readonly #owner: GenerationOwner;
  readonly #tailer: Tailer;
  readonly #bell = new Bell();
  readonly #uncommitted = new Uncommitted();

  #subject: string | undefined;
  /** End of what the stream acknowledged, and what must stand before it where that is known. */
  #position = 0;
  #positionTail: string | undefined;
  #committed = 0;
  readonly #gone = new Gone();
  /** The subject's last sequence, which the next message must follow. */
  #expected = 0;
  #storedAt: number | undefined;
  /** The creation of the stream that this is about. */
  #created = '';
  #ended = false;
  #publishedAt = performance.now();
  /** Since when there are bytes that are not in the stream. */
  #unsentSince: number | undefined;
  /** What went wrong last, until something works. */
  #error: string | undefined;
  /** What was known of it before, and is not committed as a whole: a file that never pauses is judged by that. */
  #earlier: Published | undefined;
  readonly #rewinds = new Rewinds();
  /** Of the chunk that is being published. */
  #lines = 0;
  #repair: { decision: Repair; expected: number; view: HostView } | undefined;
  #closing: EndReason | undefined;
  #runs = false;
  #retired = false;
  /** It gave up its descriptor because there are too few: when its file had been written to by then. */
  #restedAt: bigint | undefined;
  /** Copies of earlier content were found: they come first. */
  #waits = false;
  #isEndKnown = true;
  /** What is open has no bytes below this. */
  #from = 0;
  #moving: Promise<void> = Promise.resolve();
  #move: { to: Elsewhere | undefined; size: number } | undefined;

  constructor(
    context: ShipperContext,
    source: string,
    entry: GenerationState,
    handle: FileHandle | undefined,
    owner: GenerationOwner,
  ) {
    this.#context = context;
    this.#owner = owner;
    this.source = source;
    this.entry = entry;
    const { buffers, packers, host, once } = context;
    const room = HEADER_ROOM + source.length * 3;
    this.#tailer = new Tailer(
      {
        buffers,
        packers,
        maxBytes: () => Math.max(1, Math.min(buffers.chunkBytes, host.link.maxPayload() - room)),
        hasEnded: () => this.#closing !== undefined || once,
        isRemote: (device) => context.fileSystems.isRemote(device),
        countsLines: context.counts.publishedLines !== undefined,
      },
      entry,
      handle,
    );
    if (handle !== undefined) context.openFiles.add(this);
  }

  get position(): number {
    return this.#position;
  }

  get committed(): number {
    return this.#committed;
  }

  /** Where it is: what a status says of each file. */
  progress(): FileProgress {
    const { file, size } = this.entry;
    return {
      path: this.source,
      file,
      size,
      published: this.#position,
      committed: this.#committed,
      lagBytes: Math.max(0, size - this.#committed),
      lagMs: this.#lagMs(performance.now()),
      error: this.#error,
    };
  }

  get hasError(): boolean {
    return this.#error !== undefined;
  }

  /** Adds where it is to what is said of all files. */
  addTo(files: FileSums, nowMs: number): void {
    files.add(this.entry.size, this.#position, this.#committed, this.#lagMs(nowMs), this.hasError, this);
  }

  /** How long the oldest byte that is not committed has been waiting; more may have come since `nowMs`. */
  #lagMs(nowMs: number): number {
    const since = this.#uncommitted.since ?? this.#unsentSince;
    return since === undefined ? 0 : Math.max(0, nowMs - since);
  }

  get isOpen(): boolean {
    return this.#tailer.handle !== undefined;
  }

  /** Everything up to the end was acknowledged by the stream, and nothing more is expected. */
  get isDrained(): boolean {
    return this.entry.closed !== null && this.#ended && this.#position >= this.entry.size;
  }

  get isCommitted(): boolean {
    return (
      this.#isEndKnown &&
      this.#committed >= this.#position &&
      this.#position >= Math.min(this.entry.size, this.#tailer.limit)
    );
  }

  /** The content is not what was read before: the file was truncated or written anew. */
  get isReplaced(): boolean {
    return this.#move === undefined && this.#tailer.isReplaced(this.#position);
  }

  /** How it was told to end, undefined while it goes on. */
  get closing(): EndReason | undefined {
    return this.#closing;
  }

  get oldestUncommitted(): number | undefined {
    return this.#uncommitted.oldest;
  }

  get quietMs(): number {
    return this.#tailer.quietMs;
  }

  get size(): number {
    return this.#tailer.size();
  }

  wake(): void {
    this.#bell.ring();
  }

  /** Its file was written to. One that is written all the time is looked at anyway. */
  written(): void {
    if (this.#tailer.quietMs > SOON_MS) this.wake();
  }

  /** With --once: the end that counts. */
  limitTo(size: number): void {
    this.#tailer.limitTo(size);
  }

  /** Nothing follows once the file is read to its end: ship the last line as it is, then say so. */
  close(reason: EndReason): void {
    if (this.#closing !== undefined) return;
    this.#closing = reason;
    this.wake();
  }

  /** Another descriptor of its file, if it is open. */
  async openAgain(): Promise<Opened | undefined> {
    const { handle } = this.#tailer;
    return handle === undefined ? undefined : await openAgain(handle, this.source);
  }

  /** The same of a file that has all its bytes: its own, or its copy. */
  async openWhole(): Promise<FileHandle | undefined> {
    if (this.#from > 0 || this.#move !== undefined) return undefined;
    const opened = await this.openAgain();
    if (opened === undefined) return undefined;
    const { stamp } = opened.found;
    const { copy } = this.entry;
    // Closed meanwhile, its number may be another file's; and what was unpacked is not what is on the host.
    if (isSameFile(this.entry, stamp) || (copy !== null && isSameFile(copy, stamp))) return opened.handle;
    await opened.handle.close();
    return undefined;
  }

  /** There may be more of it than was seen, in a file that is not ready: looked for before it counts as finished. */
  lookLater(): void {
    this.#isEndKnown = false;
  }

  /** Tells where its file is now, if it is open. */
  async learnPlace(siblings: Siblings): Promise<void> {
    if (this.#tailer.handle !== undefined) await siblings.learnFrom(this.#tailer.handle);
  }

  /** Whether nobody has a name for the file any more. */
  async isUnlinked(): Promise<boolean> {
    return this.#tailer.handle !== undefined && (await this.#tailer.handle.stat()).nlink === 0;
  }

  /** Gives back the descriptor that it was made with: another generation has it. */
  disown(): void {
    this.#context.openFiles.remove(this);
  }

  /** When the last message of it was stored that was there at resume, in milliseconds since 1970. */
  get storedAt(): number | undefined {
    return this.#storedAt;
  }

  /** Nothing of it is in the stream. */
  get isFresh(): boolean {
    return this.#position === this.entry.begin && this.#expected === 0;
  }

  /** What another file is compared with that may have its bytes; its head also where none were read yet. */
  async seen(): Promise<Seen> {
    const { head, size } = this.entry;
    const handle = this.#from === 0 ? this.#tailer.handle : undefined;
    const isRead = head.length > 0 || handle === undefined;
    return { head: isRead ? head : headOf(await firstBytes(handle)), size, handle };
  }

  /** Whether it is known what must stand before the position. */
  get hasTail(): boolean {
    return this.#position > 0 && this.#positionTail !== undefined;
  }

  /** Whether another file has the bytes that stand before the position here: a copy goes on where this one ended. */
  async isContinuedBy(handle: FileHandle): Promise<boolean> {
    return await standsBefore(handle, this.#position, this.#positionTail);
  }

  /**
   * Goes on, after the message that is on its way, in another file with the same content: the copy of copytruncate,
   * or undefined when there is none. Ends with as many bytes as the other one has, or at `size`.
   */
  moveTo(to: Elsewhere | undefined, size = to?.size ?? this.entry.size): void {
    void this.#move?.to?.handle.close();
    this.#move = { to, size };
    if (to !== undefined && to.found.stamp.ino !== this.entry.ino) {
      const { knownFiles } = this.#context;
      if (this.entry.copy !== null) knownFiles.remove(this.entry.copy, this.#owner.path);
      this.entry.copy = to.found.stamp;
      knownFiles.add(this.entry.copy, this.#owner.path);
    }
    if (!this.#runs) void this.#applyMove();
    this.wake();
  }

  /** One at a time: whoever comes second waits for the first. */
  async #applyMove(): Promise<void> {
    await this.#moving;
    const move = this.#move;
    if (move === undefined) return;
    this.#moving = this.#moveNow(move);
    await this.#moving;
  }

  async #moveNow(move: { to: Elsewhere | undefined; size: number }): Promise<void> {
    await this.#tailer.moveTo(move.to?.handle);
    if (move.to === undefined) this.#context.openFiles.remove(this);
    else {
      this.#context.openFiles.add(this);
      this.#restedAt = undefined;
    }
    this.#from = move.to?.from ?? 0;
    this.entry.size = Math.max(move.size, this.#position);
    await this.#tailer.seek(this.#position, this.#positionTail);
    if (this.#move === move) this.#move = undefined;
  }

  /** Its file is at the path and may have more than was seen: a generation that is not open opens it to go on. */
  foundAgain(size: number): void {
    if (this.isOpen || this.#closing === 'truncated' || size <= this.entry.size) return;
    this.entry.size = size;
    this.wake();
  }

  /** Lets go of the descriptor of a finished generation; a repair opens it again if it still can. */
  park(): void {
    this.moveTo(undefined);
  }

  /** All of it is in the stream; closed, nothing is missed but what comes, which the sweep sees. */
  get mayRest(): boolean {
    if (!this.isOpen || this.#move !== undefined || this.#created === '') return false;
    // Nobody looks at a finished one again: the writer must have left it.
    if (this.#closing !== undefined && (!this.isDrained || this.quietMs < LEFT_MS)) return false;
    return !this.isReplaced && this.#position >= this.entry.size && this.size === this.#position;
  }

  rest(): void {
    if (this.#closing === undefined) this.#restedAt = this.#tailer.modified();
    this.park();
  }

  /**
   * When its file had been written to (nanoseconds since 1970), if it was closed because there are too few descriptors:
   * then it is to be opened again when that changes, and before another takes its place.
   */
  get restedAt(): bigint | undefined {
    return this.#restedAt;
  }

  /** Forgotten by its source: the loop ends, the descriptor goes. */
  async retire(): Promise<void> {
    this.#retired = true;
    this.wake();
    await this.stop();
  }

  async stop(): Promise<void> {
    await this.#applyMove();
    await this.#tailer.close();
    this.#context.openFiles.remove(this);
  }

  // --- where to go on -------------------------------------------------------------------------------------------

  /**
   * Design §4.6: the end of the subject's last message, else the record's offset, else where shipping began. Says
   * whether the file before that offset is the one that was shipped.
   */
  async resume(signal: AbortSignal): Promise<boolean> {
    const ask = async (): Promise<boolean> => await this.#resumeFrom(await this.#context.host.needView());
    return (await untilAnswered(ask, isUnanswered, signal)) ?? true;
  }

  async #resumeFrom(view: HostView): Promise<boolean> {
    const { seq, chunk, storedAt } = await this.#context.host.lastMessage(this.source, this.entry.file);
    // Only what has just come is known to be new to everybody.
    if (chunk === undefined && !view.isRecordKnown && !this.#context.state.isNew(this.entry.file))
      throw new LogferryError('unreachable', 'where to go on is known on the central side only');
    this.#storedAt = storedAt;
    const known = view.entry(this.entry.file);
    if (chunk !== undefined && known === undefined) this.entry.begin = chunk.begin;
    this.entry.after ??= chunk?.after ?? null;
    this.#committed = known?.offset ?? this.entry.begin;
    this.#gone.committed(this.#committed);
    await this.#goOnAfter(view, seq, chunk, known);
    if (seq > 0 && this.#committed < this.#position)
      this.#uncommitted.published(this.#position, seq, performance.now());
    const { file } = this.entry;
    this.#context.log.debug(
      { path: this.source, file, position: this.#position, committed: this.#committed, seq },
      'resumed',
    );
    return await this.#tailer.matches(this.#position, this.#positionTail);
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
    this.#position = chunk?.end ?? this.#committed;
    this.#ended = chunk?.kind === 'end';
    const recorded = known?.offset === this.#position ? known.tail : null;
    await this.#seek(chunk?.kind === 'data' ? chunk.tail : recorded);
  }

  /** Goes on reading at the position; `tail` is what must stand before it, where that is known. */
  async #seek(tail: string | null | undefined): Promise<void> {
    this.#positionTail = tail ?? undefined;
    await this.#tailer.seek(this.#position, this.#positionTail);
  }

  // --- the loop -------------------------------------------------------------------------------------------------

  /** Publishes what the file brings until the signal fires, or something else comes first. Resume comes before. */
  async run(signal: AbortSignal): Promise<void> {
    this.#runs = true;
    this.#waits = false;
    while (!signal.aborted && !this.#retired) {
      const began = performance.now();
      try {
        await this.#applyMove();
        await this.#applyRepair(signal);
        if (this.#tailer.isBacklog && (await this.#context.holdBacklog(signal))) continue;
        if (!this.#context.isHeld() && (await this.#step(signal))) {
          if (!this.#tailer.isBacklog) await pause(began + PACE_MS - performance.now());
          continue;
        }
        if (this.#waits) return;
      } catch (error) {
        if (signal.aborted) return;
        this.#error = messageOf(error);
        this.#context.counts.failures += 1;
        this.#context.throttle.run(`${this.source}:${messageOf(error)}`, (repeated) => {
          this.#context.log.warn({ repeated }, `${this.source}: ${messageOf(error)}; trying again`);
        });
        await this.#seek(this.#positionTail);
        await sleep(RETRY_MS, signal);
        continue;
      }
      await this.#bell.wait(this.#lookAgainMs(), signal);
    }
  }

  /** Whether it was written to lately. */
  get isRecent(): boolean {
    return this.isOpen && this.quietMs < RECENT_MS;
  }

  /** Whether it looks at its file by itself: for a while after the last byte. Then the sweep wakes it. */
  get isPolled(): boolean {
    return this.isOpen && this.quietMs < POLLED_MS;
  }

  #lookAgainMs(): number {
    const isIdle = !this.isPolled && this.#position >= this.entry.size;
    if (isIdle) return Number.POSITIVE_INFINITY;
    return Math.min(LONGEST_LOOK_MS, Math.max(SHORTEST_LOOK_MS, this.quietMs / QUIET_SHARE));
  }

  /** One message, or false when there is nothing to say now. */
  async #step(signal: AbortSignal): Promise<boolean> {
    await this.#tailer.refresh();
    const mayEnd = this.#closing !== undefined || this.#position < this.entry.size;
    if (!mayEnd && this.#tailer.isAsItWas(this.#position)) return false;
    const isUnread = this.entry.head.length === 0 && this.isFresh;
    const piece = this.#tailer.isReplaced(this.#position) ? undefined : await this.#tailer.next();
    if (this.#tailer.noteSize()) this.#context.state.touch();
    if (this.entry.size > this.#position) this.#unsentSince ??= performance.now();
    else this.#unsentSince = undefined;
    if (isUnread && !(await this.#mayBegin(piece))) return false;
    if (piece !== undefined) {
      this.#lines = piece.lines;
      await this.#publish(this.#dataChunk(piece), piece.payload, piece.slot, signal);
      return true;
    }
    if (this.size === this.#position && this.#tailer.wasTouched())
      await this.#tailer.check(this.#position, this.#positionTail);
    if (this.#tailer.isReplaced(this.#position)) {
      this.#owner.onReplaced();
      return false;
    }
    if (!this.isOpen && (this.#position < this.entry.size || !this.#isEndKnown))
      return await this.#fillOrSkip(signal);
    const finished = this.#position >= this.entry.size && this.size <= this.#position;
    // A move brings what may have been written since it was closed.
    if (this.#closing === undefined || !finished || this.#move !== undefined) return false;
    this.entry.closed = this.#closing;
    if (this.#ended) return false;
    const reason = this.#closing;
    await this.#publish(
      { kind: 'end', ...this.#common(this.#position, this.#position), reason },
      EMPTY,
      undefined,
      signal,
    );
    return true;
  }

  /** Whether nothing comes before the first bytes of a file that was found empty, or before it when it is empty again. */
  async #mayBegin(piece: Piece | undefined): Promise<boolean> {
    if (piece === undefined && !(this.size === this.#position && this.#tailer.wasTouched())) return true;
    if (await this.#owner.mayBegin(this, piece?.readAt ?? Date.now())) return true;
    piece?.slot?.release();
    this.entry.head = NO_HEAD;
    await this.#seek(this.#positionTail);
    this.#waits = true;
    return false;
  }

  /** Bytes are wanted of a file that is not open: from the file or its copy, or they are lost. */
  async #fillOrSkip(signal: AbortSignal): Promise<boolean> {
    const elsewhere = await this.#owner.reopen(this);
    const wasEndKnown = this.#isEndKnown;
    this.#isEndKnown = true;
    if (elsewhere !== undefined) {
      this.moveTo(elsewhere, wasEndKnown ? this.entry.size : elsewhere.size);
      return true;
    }
    if (this.#position >= this.entry.size) return true;
    if (this.#committed > this.#position) {
      // A receiver has said again what it has.
      this.#gone.settled();
      this.#position = Math.min(this.#committed, this.entry.size);
      await this.#seek(undefined);
      return true;
    }
    if (this.#gone.isAwaited(this.#position, performance.now())) return false;
    this.#gone.settled();
    const { size } = this.entry;
    const from = this.#position;
    this.#sayGone(from, size);
    await this.#publish(
      { kind: 'gap', ...this.#common(from, size), reason: 'the source file is gone' },
      EMPTY,
      undefined,
      signal,
    );
    return true;
  }

  #sayGone(start: number, end: number): void {
    const { log, counts } = this.#context;
    const { file } = this.entry;
    const report = this.#gone.report(start, end);
    for (const [from, to] of report.committed) {
      const text = `${this.source}: bytes ${from} to ${to} were committed, no record says so any more, and the file is gone`;
      log.warn({ path: this.source, file, from, to }, text);
    }
    for (const [from, to] of report.lost) {
      const text = `${this.source}: bytes ${from} to ${to} are lost: the file is gone`;
      log.error({ path: this.source, file, from, to }, text);
      counts.lostBytes += to - from;
    }
  }

  #common(start: number, end: number): Pick<Chunk, 'start' | 'end' | 'begin' | 'after'> {
    const { begin, after } = this.entry;
    return { start, end, begin, after: after ?? undefined };
  }

  #dataChunk({ start, end, tail, encoding, crc32 }: Piece): Chunk {
    return { kind: 'data', ...this.#common(start, end), tail, encoding, crc32 };
  }

  // --- publishing -----------------------------------------------------------------------------------------------

  /** Fenced by the subject's last sequence: the stream takes every chunk exactly once (design §4.5). */
  async #publish(
    chunk: Chunk,
    payload: Uint8Array,
    slot: Slot | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { host, state, counts } = this.#context;
    await this.#context.pace(payload.length === 0 ? 0 : chunk.end - chunk.start, signal);
    if (signal.aborted) {
      slot?.release();
      return;
    }
    const { source: path, entry } = this;
    this.#subject ??= publishSubject(host.topology.prefix, { host: host.name, path, file: entry.file });
    const subject = this.#subject;
    const messageHeaders = headers();
    for (const [name, value] of chunkHeaders(chunk)) messageHeaders.set(name, value);
    const expect = { lastSubjectSequence: this.#expected };
    const options = { headers: messageHeaders, expect, timeout: PUBLISH_TIMEOUT_MS };
    counts.inFlight += 1;
    try {
      const { seq } = await host.link.ask(async () => await host.link.js.publish(subject, payload, options));
      slot?.release();
      chunkDone(chunk.end - chunk.start);
      this.#expected = seq;
      this.#countTo(chunk.kind, chunk.end);
      this.#position = chunk.end;
      this.#ended = chunk.kind === 'end';
      this.#publishedAt = performance.now();
      this.#tellBacklog(chunk);
      const since = this.#unsentSince ?? this.#publishedAt;
      this.#unsentSince = this.entry.size > chunk.end ? this.#publishedAt : undefined;
      this.#error = undefined;
      this.#uncommitted.published(chunk.end, seq, since);
      if (chunk.kind === 'data') this.#positionTail = chunk.tail;
      if (chunk.kind === 'gap') await this.#seek(undefined);
      if (chunk.kind === 'end') {
        counts.ended[chunk.reason] += 1;
        state.touch();
      }
    } catch (error) {
      // The payload may still be on its way: its buffer is not used again.
      slot?.abandon();
      if (!isWrongSequence(error) && !isUnanswered(error)) throw error;
      this.#context.log.debug(
        { path: this.source, why: messageOf(error) },
        'publish refused or unanswered; looking',
      );
      if (isWrongSequence(error)) counts.refused += 1;
      else counts.unanswered += 1;
      await untilAnswered(async () => await this.#look(), isUnanswered, signal);
    } finally {
      counts.inFlight -= 1;
    }
  }

  /** What the stream has beyond the position, before that is moved there. */
  #countTo(kind: Chunk['kind'], end: number): void {
    if (kind !== 'data' || end <= this.#position) return;
    const { counts } = this.#context;
    counts.publishedBytes += end - this.#position;
    counts.publishedChunks += 1;
    if (counts.publishedLines !== undefined) counts.publishedLines += this.#lines;
  }

  #tellBacklog({ start, end }: Chunk): void {
    const { backlog } = this.#context;
    if (this.#tailer.isBacklog) backlog.backlogPublished(this.#created, this.#expected, end - start);
    else if (this.quietMs < LIVE_MS) backlog.livePublished(this.#publishedAt);
  }

  /** After any doubt: what the stream holds decides. */
  async #look(): Promise<void> {
    const { host } = this.#context;
    const view = await host.needView();
    const { seq, chunk } = await host.lastMessage(this.source, this.entry.file);
    if (seq === this.#expected && view.created === this.#created) await this.#seek(this.#positionTail);
    else if (chunk === undefined) await this.#resumeFrom(view);
    else {
      // Its acknowledgement was lost.
      this.#countTo(chunk.kind, chunk.end);
      await this.#goOnAfter(view, seq, chunk, view.entry(this.entry.file));
    }
  }

  // --- progress and repair --------------------------------------------------------------------------------------

  /** What is known now; a decision about it may come later. */
  snapshot(): Published {
    return {
      position: this.#position,
      ended: this.#ended,
      lastSeq: this.#expected,
      created: this.#created,
      begin: this.entry.begin,
      quietMs: performance.now() - this.#publishedAt,
    };
  }

  /** A commit notice: only ever raises what is committed; the record is asked before anything is decided. */
  noticed(offset: number): void {
    if (offset > this.#committed && offset <= this.#position) this.#setCommitted(offset);
  }

  #setCommitted(offset: number): void {
    this.#context.counts.committedBytes += Math.max(0, offset - this.#committed);
    this.#committed = offset;
    this.#gone.committed(offset);
    this.#uncommitted.committed(offset);
    if (this.#gone.isWaiting && offset > this.#position) this.wake();
  }

  /** The record and the stream were read after `snapshot`; a repair is made between two messages. */
  observed(snapshot: Published, view: HostView): void {
    const observed = observedOf(view, this.entry.file);
    if (snapshot.created === '' || !view.isRecordKnown) return;
    this.#setCommitted(committedOffset(this.entry, observed));
    const decision = decideRepair(snapshot, observed, this.#earlier);
    const isSettled = this.#earlier === undefined || this.#committed >= this.#earlier.position;
    if (isSettled || decision.kind !== 'none')
      this.#earlier = decision.kind === 'none' ? snapshot : undefined;
    if (decision.kind === 'none') return;
    this.#repair = { decision, expected: snapshot.lastSeq, view };
    this.wake();
  }

  async #lookAtCentral(view: HostView): Promise<Repair> {
    const { host } = this.#context;
    const last = await host.lastCentralMessage(this.source, this.entry.file);
    if (last === undefined) return { kind: 'none' };
    const observed = observedOf(view, this.entry.file);
    return afterCentralLook(this.snapshot(), observed, { isAtRest: view.isAtRest, ...last });
  }

  async #applyRepair(signal: AbortSignal): Promise<void> {
    const repair = this.#repair;
    if (repair === undefined || signal.aborted) return;
    this.#repair = undefined;
    let { decision } = repair;
    if (this.#expected !== repair.expected && decision.kind === 'look') return;
    if (decision.kind === 'look') {
      const last = await this.#context.host.lastMessage(this.source, this.entry.file);
      decision = afterLook(
        this.snapshot(),
        observedOf(repair.view, this.entry.file),
        decision.because,
        last.seq,
      );
      if (decision.kind === 'none' && repair.view.isAtRest) decision = await this.#lookAtCentral(repair.view);
      if (decision.kind === 'none') this.#publishedAt = performance.now();
    }
    if (decision.kind === 'forget') {
      this.#created = repair.view.created;
      this.#expected = 0;
    }
    if (decision.kind !== 'rewind') return;
    const fresh = this.#expected === repair.expected;
    if (!this.#rewinds.isDue(decision.to, performance.now())) return;
    this.#context.log.info(
      {
        path: this.source,
        file: this.entry.file,
        from: this.#position,
        to: decision.to,
        reason: decision.reason,
      },
      `${this.source}: shipping again from byte ${decision.to}: ${decision.reason}`,
    );
    const { counts } = this.#context;
    counts.repairs += 1;
    counts.repairedBytes += Math.max(0, this.#position - decision.to);
    if (decision.expected !== undefined && fresh) this.#expected = decision.expected;
    this.#earlier = undefined;
    this.#created = repair.view.created;
    this.#position = Math.min(this.#position, decision.to);
    this.#ended = false;
    this.#publishedAt = performance.now();
    this.#unsentSince = this.#uncommitted.since ?? this.#unsentSince;
    this.#uncommitted.rewound();
    const entry = repair.view.entry(this.entry.file);
    if (this.#position < this.#from + TAIL_BYTES && this.#from > 0) this.moveTo(undefined);
    await this.#seek(entry?.offset === this.#position ? entry.tail : undefined);
  }
}

const EMPTY = new Uint8Array();
const NO_HEAD = headOf(EMPTY);

/** A few milliseconds, without asking whether anything ends: that would cost more. */
async function pause(ms: number): Promise<void> {
  if (ms > 0)
    await new Promise((resolve) => {
      setTimeout(resolve, ms);
    });
}
