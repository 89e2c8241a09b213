// Reads one generation forward: one descriptor, whole lines, compressed chunks, a few ahead. Notices when the file is
// no longer the one that was read. Never publishes, and never decides where to go on.

import { fstatSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { constants, zstdCompress } from 'node:zlib';
import { promisify } from 'node:util';

import { TAIL_BYTES } from '../common/chunk.ts';
import { crc32, tailOf } from '../common/digest.ts';
import { readFully } from '../common/files.ts';
import type { Buffers, Slot } from './buffers.ts';
import { cutPoint } from './chunker.ts';
import { headMatches, headOf, HEAD_BYTES } from './identity.ts';
import type { GenerationState } from './state.ts';

const compress = promisify(zstdCompress);

export interface TailerOptions {
  readonly buffers: Buffers;
  readonly compression: 'zstd' | 'none';
  /** The most source bytes of a chunk, so that its message fits the server also when it does not compress. */
  readonly maxBytes: () => number;
  /** Whether an unfinished last line is shipped now: the file has ended. */
  readonly hasEnded: () => boolean;
}

/** A chunk of the file, ready to be sent. */
export interface Piece {
  readonly start: number;
  readonly end: number;
  /** See tailOf, at `end`. */
  readonly tail: string;
  readonly encoding: 'none' | 'zstd';
  readonly payload: Uint8Array;
  readonly crc32: number;
  /** Held while the payload lies in a shared buffer. */
  readonly slot: Slot | undefined;
}

/** A partial last line is shipped after this much silence: nothing is lost by it, bytes are bytes. */
const PARTIAL_LINE_MS = 3_000;
/** Pieces that are read and compressed ahead of the one that is sent. */
const PIECES_AHEAD = 2;
/** zlib hands its output over in steps of this size. */
const OUT_STEP = 256 * 1024;

export class Tailer {
  readonly #options: TailerOptions;
  readonly #entry: GenerationState;
  #handle: FileHandle | undefined;
  /** With --once: nothing is read beyond this. */
  #limit = Number.POSITIVE_INFINITY;
  #ahead: Promise<Piece | undefined>[] = [];
  /** Where the next piece is read, and what must stand before it. */
  #readAt = 0;
  #readTail: string | undefined;
  /** The last piece that was read was full, and no other is being read. */
  #isBacklog = false;
  #isDropping = false;
  #replaced = false;
  #grewAt = performance.now();

  constructor(options: TailerOptions, entry: GenerationState, handle: FileHandle | undefined) {
    this.#options = options;
    this.#entry = entry;
    this.#handle = handle;
  }

  get handle(): FileHandle | undefined {
    return this.#handle;
  }

  get limit(): number {
    return this.#limit;
  }

  limitTo(size: number): void {
    this.#limit = size;
  }

  /** How long the file has not grown. */
  get quietMs(): number {
    return performance.now() - this.#grewAt;
  }

  /** The file's size now, or what was last seen of it when it is not open. */
  size(): number {
    return this.#handle === undefined ? this.#entry.size : fstatSync(this.#handle.fd).size;
  }

  /** Takes note of the size: true when it changed. A size below what was read is not a size of this generation. */
  noteSize(position: number): boolean {
    const size = this.size();
    if (size === this.#entry.size || size < position) return false;
    if (size > this.#entry.size) this.#grewAt = performance.now();
    this.#entry.size = size;
    return true;
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
    this.#handle = handle;
    this.#replaced = false;
    await before?.close();
  }

  async close(): Promise<void> {
    await this.moveTo(undefined);
  }

  /** Reads on from `position`; `tail` is what must stand before it, where that is known. */
  async seek(position: number, tail: string | undefined): Promise<void> {
    await this.#drop();
    this.#readAt = position;
    this.#readTail = position > 0 ? tail : undefined;
  }

  async #drop(): Promise<void> {
    this.#isDropping = true;
    while (this.#ahead.length > 0)
      for (const result of await Promise.allSettled(this.#ahead.splice(0)))
        if (result.status === 'fulfilled') result.value?.slot?.release();
    this.#isBacklog = false;
    this.#isDropping = false;
  }

  /** Whether the file is the one that the head and the bytes before `position` were taken from. Completes the head. */
  async matches(position: number, tail: string | undefined): Promise<boolean> {
    if (this.#handle === undefined) return true;
    const size = this.size();
    if (size < position) return false;
    const head = await firstBytes(this.#handle);
    if (!headMatches(this.#entry.head, head)) return false;
    if (this.#entry.head.length < HEAD_BYTES) this.#entry.head = headOf(head);
    return await standsBefore(this.#handle, position, tail);
  }

  /**
   * The next piece; undefined when there is none now. While one is sent, only full ones are read ahead: what is there
   * is a backlog then, and waiting would not make it larger.
   */
  async next(signal: AbortSignal): Promise<Piece | undefined> {
    while (this.#ahead.length > 0) {
      const first = this.#ahead.shift();
      this.#readOn(signal);
      const ready = await first;
      if (ready !== undefined) return ready;
    }
    return this.#handle === undefined ? undefined : await this.#read(this.#handle, false, signal);
  }

  /** Begins the next piece when the one before has been read, was a full one, and there is room. */
  #readOn(signal: AbortSignal): void {
    if (
      this.#isDropping ||
      !this.#isBacklog ||
      this.#ahead.length >= PIECES_AHEAD ||
      this.#handle === undefined
    )
      return;
    this.#isBacklog = false;
    const reading = this.#read(this.#handle, true, signal);
    // Whoever takes it out gets the error; until then nobody waits for it.
    reading.catch(() => {});
    this.#ahead.push(reading);
  }

  async #read(handle: FileHandle, ahead: boolean, signal: AbortSignal): Promise<Piece | undefined> {
    const start = this.#readAt;
    const room = Math.min(this.#options.maxBytes(), this.#limit - start);
    if (room <= 0 || fstatSync(handle.fd).size <= start) return undefined;
    const slot = await this.#options.buffers.take(signal);
    if (slot === undefined) return undefined;
    let sent = false;
    try {
      const before = Math.min(TAIL_BYTES, start);
      const read = await readFully(handle, slot.buffer, start - before, before + room);
      if (!this.#goesOn(slot.buffer.subarray(0, read), before, room)) {
        this.#replaced = true;
        return undefined;
      }
      const data = slot.buffer.subarray(before, read);
      if (ahead && data.length < room) return undefined;
      const flush = this.#options.hasEnded() || this.quietMs >= PARTIAL_LINE_MS;
      const cut = cutPoint({ data, maxBytes: room, flush });
      if (cut === 0) return undefined;
      if (start === 0 && this.#entry.head.length < HEAD_BYTES)
        this.#entry.head = headOf(data.subarray(0, cut));
      const tail = tailOf(slot.buffer.subarray(0, before + cut));
      this.#readAt = start + cut;
      this.#readTail = tail;
      this.#isBacklog = data.length === room;
      this.#readOn(signal);
      const bytes = data.subarray(0, cut);
      const packed = await this.#pack(bytes);
      sent = packed === undefined;
      const payload = packed ?? bytes;
      return {
        start,
        end: start + cut,
        tail,
        encoding: packed === undefined ? 'none' : 'zstd',
        payload,
        crc32: crc32(payload),
        slot: sent ? slot : undefined,
      };
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
    if (this.#options.compression === 'none') return undefined;
    const packed = await compress(data, {
      chunkSize: OUT_STEP,
      params: { [constants.ZSTD_c_compressionLevel]: 1 },
    });
    return packed.length < data.length ? packed : undefined;
  }
}

/** A file's first bytes, as many as a head covers. */
export async function firstBytes(handle: FileHandle): Promise<Uint8Array> {
  const first = Buffer.alloc(HEAD_BYTES);
  return first.subarray(0, await readFully(handle, first, 0));
}

/** Whether these bytes stand before the position; true where nothing is known of them. */
export async function standsBefore(
  handle: FileHandle,
  position: number,
  tail: string | undefined,
): Promise<boolean> {
  if (tail === undefined || position === 0) return true;
  const before = Buffer.alloc(Math.min(TAIL_BYTES, position));
  const read = await readFully(handle, before, position - before.length);
  return tailOf(before.subarray(0, read)) === tail;
}
