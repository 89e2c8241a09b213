// One generation of a source file on its way into the stream: what its file brings is published in order, one message in
// flight, until it ends. Never decides which file it is: sources/source.ts does.

import type { FileHandle } from '../files/disk.ts';
import { isDeadHandle, messageOf } from '../../common/runtime/errors.ts';
import type { StreamPosition } from '../../common/record/record.ts';
import { Bell, sleep } from '../../common/runtime/run.ts';
import type { EndReason } from '../../common/wire/chunk.ts';
import type { CursorReader } from '../cursor/context.ts';
import { Cursor } from '../cursor/cursor.ts';
import type { Piece } from '../cursor/piece.ts';
import type { Elsewhere } from '../files/candidate.ts';
import { NO_HEAD } from '../files/identity.ts';
import type { GenerationState } from '../files/generation-state.ts';
import type { FileProgress } from '../report/reading.ts';
import type { FileSums } from '../report/status.ts';
import type { ShipperContext } from './context.ts';
import type { HostView } from '../host/host.ts';
import { Mending } from './mending.ts';
import { HEADER_ROOM } from './lanes.ts';
import type { Looked } from './looks.ts';
import { fillOrSkip } from './missing.ts';
import { Publisher } from './publisher.ts';
import type { Published } from './repair.ts';

/** What a generation asks of its source. */
export interface GenerationOwner {
  /** Whose files its copies are. */
  readonly path: string;
  /** The file's content is not what was read before, or its descriptor is dead: look at it. */
  readonly onReplaced: () => void;
  /** The bytes are wanted again and the file is not open: finds it, or its copy. Throws when it cannot be read now. */
  readonly reopen: (generation: Generation) => Promise<Elsewhere | undefined>;
  /**
   * Asked before anything is published of a file that was empty when it was found: it may have been written to, copied
   * and truncated since, and those copies come first. False when it must wait for them; then it is run again.
   */
  readonly mayBegin: (generation: Generation, readAt: number) => Promise<boolean>;
}

const RETRY_MS = 250;
/** Between two looks at a file that is being written: what comes meanwhile makes the next chunk larger. */
const PACE_MS = 6;
/** A file that was written a moment ago is looked at again within milliseconds, an idle one hardly ever. */
const LONGEST_LOOK_MS = 10_000;
const SOON_MS = 100;
const QUIET_SHARE = 4;

export class Generation implements CursorReader, Looked {
  readonly source: string;
  readonly entry: GenerationState;
  readonly cursor: Cursor;
  readonly #context: ShipperContext;
  readonly #owner: GenerationOwner;
  readonly #publisher: Publisher;
  readonly #mending: Mending;
  readonly #bell = new Bell();
  #closing: EndReason | undefined;
  #retired = false;
  /** Copies of earlier content were found: they come first. */
  #waits = false;

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
    const { buffers, host, counts } = context;
    const room = HEADER_ROOM + Buffer.byteLength(JSON.stringify(source));
    this.cursor = new Cursor(context, { path: owner.path, name: source, entry }, handle, this, {
      maxBytes: () => Math.max(1, Math.min(buffers.chunkBytes, host.lanes.maxPayload() - room)),
      countsLines: counts.publishedLines !== undefined,
    });
    this.#publisher = new Publisher(context, source, entry, this.cursor, this.#bell);
    this.#mending = new Mending(context, this.#publisher, this.#bell);
  }

  // --- how far it is --------------------------------------------------------------------------------------------

  /** Where it is: what a status says of each file. */
  progress(): FileProgress {
    const { file, size } = this.entry;
    const { committed, error } = this.#publisher;
    return {
      path: this.source,
      file,
      size,
      published: this.cursor.position,
      committed: committed.offset,
      lagBytes: Math.max(0, size - committed.offset),
      lagMs: committed.lagMs(performance.now()),
      error,
    };
  }

  get hasError(): boolean {
    return this.#publisher.error !== undefined;
  }

  /** Adds where it is to what is said of all files. */
  addTo(files: FileSums, nowMs: number): void {
    const { committed } = this.#publisher;
    const lagMs = committed.lagMs(nowMs);
    files.add(this.entry.size, this.cursor.position, committed.offset, lagMs, this.hasError, this);
  }

  get hasBegun(): boolean {
    return this.#publisher.hasResumed;
  }

  get isFresh(): boolean {
    return this.#publisher.isFresh;
  }

  /** Everything up to the end was acknowledged by the stream, and nothing more is expected. */
  get isDrained(): boolean {
    return this.entry.closed !== null && this.#publisher.hasEnded && this.cursor.isTaken;
  }

  get isCommitted(): boolean {
    return this.cursor.isAllTaken && this.#publisher.committed.offset >= this.cursor.position;
  }

  get oldestUncommitted(): number | undefined {
    return this.#publisher.committed.oldest;
  }

  /** When the last message of it was stored that was there at resume, in milliseconds since 1970. */
  get storedAt(): number | undefined {
    return this.#publisher.storedAt;
  }

  /** How it was told to end, undefined while it goes on. */
  get closing(): EndReason | undefined {
    return this.#closing;
  }

  // --- what it is told ------------------------------------------------------------------------------------------

  wake(): void {
    this.#bell.ring();
  }

  /** Its file was written to. One that is written all the time is looked at anyway. */
  written(): void {
    if (this.cursor.quietMs > SOON_MS) this.wake();
  }

  /** Nothing follows once the file is read to its end: ship the last line as it is, then say so. */
  close(reason: EndReason): void {
    if (this.#closing !== undefined) return;
    this.#closing = reason;
    this.wake();
  }

  /** Forgotten by its source: the loop ends, the descriptor goes. */
  async retire(): Promise<void> {
    this.#retired = true;
    this.wake();
    await this.cursor.close();
  }

  /** What is known now; a decision about it may come later. */
  snapshot(): Published {
    return this.#publisher.snapshot();
  }

  /** See Mending. */
  noticed(offset: number, stream: StreamPosition): boolean {
    this.#publisher.noticed(offset);
    return this.#mending.noticed(offset, stream);
  }

  /** The record and the stream were read after `snapshot`; a repair is made between two messages. */
  observed(snapshot: Published, view: HostView): void {
    this.#mending.observed(snapshot, view);
  }

  /** Finds out where to go on. Says whether the file before that offset is the one that was shipped. */
  async resume(signal: AbortSignal): Promise<boolean> {
    return await this.#publisher.resume(signal);
  }

  /** The bytes of its last message, where the stream has them. Throws when there is no answer. */
  async lastBytes(): Promise<{ readonly start: number; readonly bytes: Uint8Array } | undefined> {
    return await this.#publisher.lastBytes();
  }

  /** It is written to after all: what was said of its end counts no more. */
  goOn(): void {
    this.#closing = undefined;
    this.entry.closed = null;
    this.entry.done = false;
  }

  // --- the loop -------------------------------------------------------------------------------------------------

  /** Publishes what the file brings until the signal fires, or something else comes first. Resume comes before. */
  async run(signal: AbortSignal): Promise<void> {
    const { cursor } = this;
    cursor.lead();
    this.#waits = false;
    while (!signal.aborted && !this.#retired) {
      const began = performance.now();
      try {
        await cursor.move();
        await this.#mending.apply(signal);
        if (cursor.isBacklog && (await this.#context.holdBacklog(signal))) continue;
        if (!this.#context.isHeld() && (await this.#step(signal))) {
          if (!cursor.isBacklog) await this.#wait(began + PACE_MS - performance.now(), signal);
          continue;
        }
        if (this.#waits) return;
      } catch (error) {
        if (signal.aborted) return;
        this.#failed(messageOf(error));
        if (isDeadHandle(error)) cursor.rest();
        await cursor.readAgain();
        await sleep(RETRY_MS, signal);
        if (isDeadHandle(error)) this.#owner.onReplaced();
        continue;
      }
      await this.#wait(this.lookAgainMs, signal);
    }
  }

  /** Until it is woken, which is when it has news after so long at the earliest, or the signal fires. */
  async #wait(ms: number, signal: AbortSignal): Promise<void> {
    if (ms < Number.POSITIVE_INFINITY) this.#context.looks.add(this, ms);
    await this.#bell.wait(Number.POSITIVE_INFINITY, signal);
    this.#context.looks.remove(this);
  }

  #failed(why: string): void {
    const { counts, throttle, log } = this.#context;
    this.#publisher.error = why;
    counts.failures += 1;
    throttle.run(`${this.source}:${why}`, (repeated) => {
      log.warn({ repeated }, `${this.source}: ${why}; trying again`);
    });
  }

  get hasNews(): boolean {
    if (this.#closing !== undefined && !this.#publisher.hasEnded) return true;
    return this.cursor.isWanted || !this.cursor.isUntouched;
  }

  get lookAgainMs(): number {
    if (!this.cursor.isPolled && this.cursor.isTaken) return Number.POSITIVE_INFINITY;
    return Math.min(LONGEST_LOOK_MS, Math.max(PACE_MS, this.cursor.quietMs / QUIET_SHARE));
  }

  /** One message, or false when there is nothing to say now. */
  async #step(signal: AbortSignal): Promise<boolean> {
    const { cursor, entry } = this;
    if ((await cursor.isAsItWas()) && this.#closing === undefined) return false;
    const isUnread = entry.head.length === 0 && this.isFresh;
    const piece = await cursor.next();
    this.#publisher.committed.seen(!cursor.isTaken, performance.now());
    // Asked before all that it makes one look for: what is changed meanwhile is another change.
    const touch = piece === undefined ? cursor.touch() : undefined;
    if (isUnread && (piece ?? touch) !== undefined && !(await this.#mayBegin(piece))) return false;
    if (piece !== undefined) {
      await this.#publisher.piece(piece, signal);
      return true;
    }
    if (await cursor.hasOtherBytes(touch)) {
      this.#owner.onReplaced();
      return false;
    }
    if (cursor.isWanted) {
      const elsewhere = await this.#owner.reopen(this);
      return await fillOrSkip(this.#context, this.#publisher, elsewhere, signal);
    }
    const reason = this.#closing;
    if (reason === undefined || !cursor.isAtEnd) return false;
    entry.closed = reason;
    if (this.#publisher.hasEnded) return false;
    await this.#publisher.end(reason, signal);
    return true;
  }

  /** Whether nothing comes before the first bytes of a file that was found empty, or before it when it is empty again. */
  async #mayBegin(piece: Piece | undefined): Promise<boolean> {
    if (await this.#owner.mayBegin(this, piece?.readAt ?? Date.now())) return true;
    piece?.slot.release();
    // It may be another file's content by now.
    this.entry.head = NO_HEAD;
    this.entry.size = this.cursor.position;
    await this.cursor.readAgain();
    this.#waits = true;
    return false;
  }
}
