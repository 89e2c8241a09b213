// Whether a file holds the bytes of a generation: read from its beginning, compressed files while they are unpacked, and
// nothing of them is kept. Never decides what follows from it.

import type { FileHandle } from './disk.ts';
import { readFully } from '../../common/runtime/files.ts';
import { TAIL_BYTES } from '../../common/wire/chunk.ts';
import { tailOf } from '../../common/wire/digest.ts';
import { type Head, headMatches, HEAD_BYTES, NO_HEAD } from './identity.ts';
import { Comparison, endOfSums, NO_SUMS, type Sums } from './sums.ts';
import { isBroken, packingOf, unpacked } from './unpack.ts';

/** What is known of the bytes of a generation. */
export interface Content {
  readonly head: Head;
  readonly sums: Sums;
  /** Up to here they were shipped, and what stands before it (see tailOf); undefined when nobody knows. */
  readonly position: number;
  readonly tail: string | undefined;
}

/** No more is known of the bytes than this. */
export function contentOf(known: Partial<Content>): Content {
  return { head: NO_HEAD, sums: NO_SUMS, position: 0, tail: undefined, ...known };
}

/** A generation that a file is compared with. */
export interface Asked {
  readonly content: Content;
  /** All its bytes, where a file with them is open. */
  readonly handle?: FileHandle | undefined;
}

/** What a file has of a generation. */
export interface Held {
  /** All that is known of it, and something is. */
  readonly isWhole: boolean;
  /** Up to here at least, 0 for nothing. */
  readonly upTo: number;
  /** Some of its bytes are others. */
  readonly isOther: boolean;
  /** All that the file holds is what the generation begins with, in the file that is open. */
  readonly isBeginning: boolean;
}

export interface Examined {
  /** How many bytes the file holds, unpacked; as many as were read when it was clear before the end. */
  readonly size: number;
  /** A compressed file ends where it should. */
  readonly isComplete: boolean;
  /** In the order in which they were asked for. */
  readonly held: readonly Held[];
}

const STEP_BYTES = 256 * 1024;

/**
 * Reads the file until all questions are answered.
 *
 * @param toEnd reads all of it, for its size
 */
export async function examine(
  {
    handle,
    found: { path: name },
  }: { readonly handle: FileHandle; readonly found: { readonly path: string } },
  asked: readonly Asked[],
  toEnd = false,
): Promise<Examined> {
  const looks = asked.map(({ content }) => new Look(content));
  const wholes = new Map<number, FileHandle>();
  for (const [index, each] of asked.entries()) if (each.handle !== undefined) wholes.set(index, each.handle);
  let size = 0;
  // Not even the beginning of what a compressor writes.
  let isComplete = packingOf(name).packing === undefined || (await handle.stat()).size > 0;
  try {
    for await (const bytes of bytesOf(handle, name)) {
      for (const look of looks) look.feed(size, bytes);
      for (const [index, whole] of wholes) if (!(await standsIn(whole, size, bytes))) wholes.delete(index);
      size += bytes.length;
      if (!toEnd && wholes.size === 0 && looks.every((look) => look.isDecided)) break;
    }
  } catch (error) {
    if (!isBroken(error)) throw error;
    isComplete = false;
  }
  const held = looks.map((look, index) => ({ ...look.result, isBeginning: size > 0 && wholes.has(index) }));
  return { size, isComplete, held };
}

async function* bytesOf(handle: FileHandle, name: string): AsyncGenerator<Buffer> {
  const { packing } = packingOf(name);
  if (packing !== undefined) yield* unpacked(handle, packing);
  else
    for (let at = 0; ;) {
      const buffer = Buffer.allocUnsafe(STEP_BYTES);
      const read = await readFully(handle, buffer, at);
      if (read > 0) yield buffer.subarray(0, read);
      if (read < buffer.length) return;
      at += read;
    }
}

async function standsIn(whole: FileHandle, start: number, bytes: Buffer): Promise<boolean> {
  const other = Buffer.allocUnsafe(bytes.length);
  return (await readFully(whole, other, start)) === bytes.length && other.equals(bytes);
}

/** Compares one generation with bytes that come one after the other. */
class Look {
  readonly #content: Content;
  readonly #sums: Comparison;
  #first = Buffer.alloc(0);
  /** The bytes before the position. */
  #before = Buffer.alloc(0);
  #size = 0;

  constructor(content: Content) {
    this.#content = content;
    this.#sums = new Comparison(content.sums);
  }

  feed(start: number, bytes: Buffer): void {
    const { position } = this.#content;
    this.#size = start + bytes.length;
    if (start < HEAD_BYTES) this.#first = Buffer.concat([this.#first, bytes.subarray(0, HEAD_BYTES - start)]);
    this.#sums.feed(start, bytes);
    const from = Math.max(start, position - TAIL_BYTES);
    const to = Math.min(this.#size, position);
    if (to > from) this.#before = Buffer.concat([this.#before, bytes.subarray(from - start, to - start)]);
  }

  get #isOther(): boolean {
    const { head } = this.#content;
    const isHeadRead = this.#size >= head.length;
    if (isHeadRead && !headMatches(head, this.#first)) return true;
    if (this.#size >= this.#content.position && !this.#hasTail) return true;
    return this.#sums.isDecided && !this.#sums.isWhole;
  }

  get #hasTail(): boolean {
    const { position, tail } = this.#content;
    return tail === undefined || position === 0 || tailOf(this.#before) === tail;
  }

  get isDecided(): boolean {
    const { position, sums } = this.#content;
    return this.#isOther || this.#size >= Math.max(position, endOfSums(sums), this.#content.head.length);
  }

  get result(): Omit<Held, 'isBeginning'> {
    const { head, position, tail, sums } = this.#content;
    const isKnown = sums.marks.length > 0 || (tail !== undefined && position > 0);
    // A head may have been taken when more was there than was read.
    const isLong = this.#size >= Math.max(position, head.length);
    const isWhole = isKnown && isLong && !this.#isOther && this.#sums.isWhole;
    // A kill may come before the last bytes that were shipped are kept: then what stands before the position tells.
    const isTold = isWhole && tail !== undefined;
    return {
      isWhole,
      isOther: this.#isOther,
      upTo: isTold ? Math.max(position, this.#sums.upTo) : this.#sums.upTo,
    };
  }
}
