// Reads one generation forward: one descriptor, whole lines, compressed chunks, a few ahead. Notices when the file is
// no longer the one that was read. Never publishes, and never decides where to go on.

import { type FileHandle, fstatSync } from '../files/disk.ts';
import { TAIL_BYTES } from '../../common/wire/chunk.ts';
import { tailOf } from '../../common/wire/digest.ts';
import { tolerateDead } from '../../common/runtime/errors.ts';
import { readFully } from '../../common/runtime/files.ts';
import { linesIn } from '../../common/wire/lines.ts';
import { type Buffers, SMALL_BYTES } from './buffers.ts';
import { cutPoint } from './chunker.ts';
import type { Piece } from './piece.ts';
import { type Head, headMatches, headOf, HEAD_BYTES } from '../files/identity.ts';
import type { Packers } from './packers.ts';
import type { GenerationState } from '../files/generation-state.ts';
import { withBytes } from '../files/sums.ts';
import {
  firstBytes,
  holdsStill,
  holdsStillNow,
  readFullyNow,
  standsBefore,
  withBytesUpTo,
} from '../files/fingerprint.ts';
import { type Touch, Touches } from './touches.ts';

export interface TailerOptions {
  readonly buffers: Buffers;
  /** Undefined when nothing is compressed. */
  readonly packers: Packers | undefined;
  /** The most source bytes of a chunk, so that its message fits the server also when it does not compress. */
  readonly maxBytes: () => number;
  /** Whether a file on this device may take for ever to answer. */
  readonly isRemote: (device: bigint) => boolean;
  /** Whether an unfinished last line is shipped now: the file has ended. */
  readonly hasEnded: () => boolean;
  readonly countsLines: boolean;
}

/** A partial last line is shipped after this much silence: nothing is lost by it, bytes are bytes. */
const PARTIAL_LINE_MS = 3_000;
/** Pieces that are read and compressed ahead of the one that is sent. */
const PIECES_AHEAD = 2;

export class Tailer {
  readonly #options: TailerOptions;
  readonly #entry: GenerationState;
  readonly touches = new Touches();
  #handle: FileHandle | undefined;
  #limit = Number.POSITIVE_INFINITY;
  #ahead: Promise<Piece | undefined>[] = [];
  /** Where the next piece is read, and what must stand before it. */
  #readAt = 0;
  #readTail: string | undefined;
  /** The last piece that was read was full, and no other is being read. */
  #isBacklog = false;
  #isDropping = false;
  #replaced = false;
  /** Undefined when nothing was read since it was moved or sought. */
  #sizeAtRead: number | undefined;
  #grewAt = Number.NEGATIVE_INFINITY;
  #hasGrownSince = false;
  /** The file's size when it was last asked for, where asking may take for ever; undefined where it may not. */
  #remoteSize: number | undefined;

  constructor(options: TailerOptions, entry: GenerationState, handle: FileHandle | undefined) {
    this.#options = options;
    this.#entry = entry;
    this.#open(handle);
  }

  /** A file that was not written to for long is idle from the beginning. */
  #open(handle: FileHandle | undefined): void {
    this.#handle = handle;
    this.#remoteSize = undefined;
    if (handle === undefined) return;
    const { dev, size, mtimeMs } = fstatSync(handle.fd, { bigint: true });
    const quietMs = Math.max(0, Date.now() - Number(mtimeMs));
    this.#grewAt = Math.max(this.#grewAt, performance.now() - quietMs);
    if (this.#options.isRemote(dev)) this.#remoteSize = Number(size);
  }

  get handle(): FileHandle | undefined {
    return this.#handle;
  }

  /** With --once: nothing is read beyond this. */
  get limit(): number {
    return this.#limit;
  }

  limitTo(size: number): void {
    this.#limit = size;
  }

  /** The last piece was a full one: there is more. */
  get isBacklog(): boolean {
    return this.#isBacklog || this.#ahead.length > 0;
  }

  /** How long the file has not grown. */
  get quietMs(): number {
    return performance.now() - this.#grewAt;
  }

  /** The file's size now, or what was last seen of it when it is not open. */
  size(): number {
    return this.#handle === undefined ? this.#entry.size : this.#sizeOf(this.#handle);
  }

  #sizeOf({ fd }: FileHandle): number {
    return this.#remoteSize ?? fstatSync(fd).size;
  }

  /** Its size, and the change that was not looked into yet, where that costs no more. */
  #ask({ fd }: FileHandle): { size: number; touch: Touch | undefined } {
    if (this.#remoteSize !== undefined) return { size: this.#remoteSize, touch: undefined };
    const { size, mtimeMs } = fstatSync(fd);
    return { size, touch: this.touches.since(mtimeMs, Date.now()) };
  }

  /** Asks for the size of a file that may not answer. */
  async refresh(): Promise<void> {
    const handle = this.#handle;
    if (handle === undefined || this.#remoteSize === undefined) return;
    const { size } = await handle.stat();
    if (this.#handle === handle) this.#remoteSize = size;
  }

  /**
   * Takes note of the size that was seen with the last read: true when it changed. Only a read tells that it is still
   * this generation's, and not that of what was written anew.
   */
  noteSize(): boolean {
    const size = this.#sizeAtRead;
    if (size === undefined || size === this.#entry.size) return false;
    this.#entry.size = size;
    return true;
  }

  /** All of it was read, and it was not touched since it was looked into: one question instead of several. */
  isAsItWas(position: number): boolean {
    if (this.#handle === undefined || this.#replaced || this.#remoteSize !== undefined) return false;
    const { size, mtimeMs } = fstatSync(this.#handle.fd);
    return size === position && this.touches.isKnown(mtimeMs);
  }

  /**
   * The same, where it was touched and stands as it was read. A change that others may follow at the same time is no news yet:
   * it is looked into when the clock has moved on.
   */
  standsAsRead(position: number, tail: string | undefined): boolean {
    const handle = this.#handle;
    if (handle === undefined || this.#replaced || this.#remoteSize !== undefined) return false;
    const { size, mtimeMs } = fstatSync(handle.fd);
    if (size !== position) return false;
    const touch = this.touches.since(mtimeMs, Date.now());
    if (touch === undefined || !touch.isLast) return true;
    if (!holdsStillNow(handle, this.#headToSee(position), position, tail)) return false;
    this.#hasGrownSince = false;
    this.touches.lookedInto(touch);
    return true;
  }

  /** When it was last written to, in nanoseconds since 1970; undefined when it is not open. */
  modified(): bigint | undefined {
    return this.#handle === undefined ? undefined : fstatSync(this.#handle.fd, { bigint: true }).mtimeNs;
  }

  /** The change that was not looked into yet, also one that left its size as it was; undefined when there was none. */
  touch(): Touch | undefined {
    if (this.#handle === undefined) return undefined;
    return this.touches.since(fstatSync(this.#handle.fd).mtimeMs, Date.now());
  }

  /** Notes that it is replaced when other bytes than these stand before the position, or than were read at its start. */
  async check(position: number, tail: string | undefined): Promise<void> {
    const handle = this.#handle;
    if (handle === undefined) return;
    if (!(await holdsStill(handle, this.#headToSee(position), position, tail))) this.#replaced = true;
    this.#hasGrownSince = false;
  }

  /** Undefined where what grew was read: else it was written in place, or as long as before. */
  #headToSee(position: number): Head | undefined {
    return position > 0 && this.#hasGrownSince ? undefined : this.#entry.head;
  }

  /** The content is not what was read before: the file was truncated, or written anew. */
  isReplaced(position: number): boolean {
    if (this.#handle !== undefined && this.size() < position) this.#replaced = true;
    return this.#replaced;
  }

  /** Goes on in another file with the same content, or in none; takes it over and closes the one before. */
  async moveTo(handle: FileHandle | undefined): Promise<void> {
    await this.#drop();
    const before = this.#handle;
    this.#open(handle);
    this.#replaced = false;
    this.#sizeAtRead = undefined;
    await before?.close().catch(tolerateDead);
  }

  async close(): Promise<void> {
    await this.moveTo(undefined);
  }

  /** Reads on from `position`; `tail` is what must stand before it, where that is known. */
  async seek(position: number, tail: string | undefined): Promise<void> {
    await this.#drop();
    this.#readAt = position;
    this.#readTail = position > 0 ? tail : undefined;
    this.#sizeAtRead = undefined;
  }

  async #drop(): Promise<void> {
    this.#isDropping = true;
    // Each lets go as soon as it is read: the next one may wait for its room.
    while (this.#ahead.length > 0)
      await Promise.allSettled(
        this.#ahead.splice(0).map(async (reading) => {
          (await reading)?.slot.release();
        }),
      );
    this.#isBacklog = false;
    this.#isDropping = false;
  }

  /** Whether the file is the one that the head and the bytes before `position` were taken from. */
  async matches(position: number, tail: string | undefined): Promise<boolean> {
    if (this.#handle === undefined) return true;
    const size = this.size();
    if (size < position) return false;
    const head = await firstBytes(this.#handle);
    if (!headMatches(this.#entry.head, head)) return false;
    if (!(await standsBefore(this.#handle, position, tail))) return false;
    // A short head says little: what follows it is only known to be of this file where more was shipped.
    if (position > this.#entry.head.length && this.#entry.head.length < HEAD_BYTES)
      this.#entry.head = headOf(head);
    this.#entry.sums = await withBytesUpTo(this.#handle, this.#entry, position);
    return true;
  }

  /**
   * The next piece; undefined when there is none now. While one is sent, only full ones are read ahead: what is there
   * is a backlog then, and waiting would not make it larger.
   */
  async next(): Promise<Piece | undefined> {
    while (this.#ahead.length > 0) {
      const first = this.#ahead.shift();
      this.#readOn();
      const ready = await first;
      if (ready !== undefined) return ready;
    }
    return this.#handle === undefined ? undefined : await this.#read(this.#handle, false);
  }

  /** Begins the next piece when the one before has been read, was a full one, and there is room. */
  #readOn(): void {
    if (
      this.#isDropping ||
      !this.#isBacklog ||
      this.#ahead.length >= PIECES_AHEAD ||
      this.#handle === undefined
    )
      return;
    this.#isBacklog = false;
    const reading = this.#read(this.#handle, true);
    // Whoever takes it out gets the error; until then nobody waits for it.
    reading.catch(() => {});
    this.#ahead.push(reading);
  }

  async #read(handle: FileHandle, ahead: boolean): Promise<Piece | undefined> {
    const start = this.#readAt;
    const room = Math.min(this.#options.maxBytes(), this.#limit - start);
    // Asked before it is read: what is changed meanwhile is another change.
    const { size, touch } = this.#ask(handle);
    if (size < start) this.#replaced = true;
    const length = Math.min(room, size - start);
    if (length <= 0 || (ahead && length < room)) return undefined;
    const isSmall = length <= SMALL_BYTES && this.#remoteSize === undefined;
    const slot = await this.#options.buffers.take(length, isSmall);
    let sent = false;
    const readAt = Date.now();
    try {
      const before = Math.min(TAIL_BYTES, start);
      const [from, most] = [start - before, before + length];
      const read = isSmall
        ? readFullyNow(handle, slot.buffer, from, most)
        : await readFully(handle, slot.buffer, from, most);
      if (!this.#goesOn(slot.buffer.subarray(0, read), before, room)) {
        this.#replaced = true;
        return undefined;
      }
      if (size > this.#entry.size) this.#grewAt = performance.now();
      this.#sizeAtRead = size;
      const data = slot.buffer.subarray(before, read);
      if (ahead && data.length < room) return undefined;
      const flush = this.#options.hasEnded() || this.quietMs >= PARTIAL_LINE_MS;
      const cut = cutPoint({ data, maxBytes: room, flush });
      if (cut === 0) return undefined;
      if (start === 0 && this.#entry.head.length < HEAD_BYTES)
        this.#entry.head = headOf(data.subarray(0, cut));
      this.#entry.sums = withBytes(this.#entry.sums, start, data.subarray(0, cut));
      const tail = tailOf(slot.buffer.subarray(0, before + cut));
      this.#readAt = start + cut;
      this.#hasGrownSince = true;
      this.#readTail = tail;
      this.#isBacklog = data.length === room;
      if (touch?.isLast === true && start + cut === size) this.touches.lookedInto(touch);
      this.#readOn();
      const bytes = data.subarray(0, cut);
      const lines = this.#options.countsLines ? linesIn(bytes) : 0;
      // Small ones are compressed together.
      const packed = isSmall ? undefined : await this.#pack(bytes);
      if (packed !== undefined) slot.packed();
      const payload = packed ?? (isSmall ? Buffer.from(bytes) : bytes);
      sent = true;
      return { start, end: start + cut, tail, payload, lines, readAt, slot };
    } finally {
      if (!sent) slot.release();
    }
  }

  /** Whether what was read goes on where the last piece ended: `before` bytes of it stand before the position. */
  #goesOn(read: Uint8Array, before: number, room: number): boolean {
    if (read.length < before) return false;
    if (this.#readTail !== undefined && tailOf(read.subarray(0, before)) !== this.#readTail) return false;
    const { head } = this.#entry;
    if (this.#readAt > 0) return true;
    return read.length < head.length ? read.length === room : headMatches(head, read);
  }

  /** Compressed, or undefined when that saves nothing. */
  async #pack(data: Uint8Array): Promise<Uint8Array | undefined> {
    const packed = await this.#options.packers?.pack(data);
    return packed !== undefined && packed.length < data.length ? packed : undefined;
  }
}
