// The last lines of many files, a ring for each. Pure. Never keeps more than it has to: lines are copied out of their
// blocks, and all rings together are bounded.

import type { Block } from './lines.ts';

/** A line, and where it stands among all others. */
export interface RingLine {
  readonly block: Block;
  readonly seq: number;
}

const NEWLINE = 10;
/** All rings together. */
const MOST_BYTES = 128 * 1024 * 1024;

export class LastLines {
  readonly #most: number;
  readonly #mostBytes: number;
  readonly #rings = new Map<string, RingLine[]>();
  #bytes = 0;
  /** Whether lines were left out because they are too long together. */
  isCut = false;

  /** @param most lines of each file */
  constructor(most: number, mostBytes = MOST_BYTES) {
    this.#most = most;
    this.#mostBytes = mostBytes;
  }

  /** @param file what the ring is called */
  add(file: string, block: Block, seq: number): void {
    const ring = this.#rings.get(file) ?? [];
    this.#rings.set(file, ring);
    for (const line of linesBack(block, this.#most).toReversed()) {
      ring.push({ block: { ...line, bytes: Uint8Array.from(line.bytes) }, seq });
      this.#bytes += line.bytes.length;
      while (ring.length > this.#most) this.#shift(ring);
    }
    while (this.#bytes > this.#mostBytes && ring.length > 0) {
      this.isCut = true;
      this.#shift(ring);
    }
  }

  /** Whether it has all the lines that are wanted, each from its beginning. */
  isFull(file: string): boolean {
    const ring = this.#rings.get(file) ?? [];
    return ring.length === this.#most && ring.every(({ block }) => block.begins === 'line');
  }

  /** Takes the rings of another one in place of its own of the same name. */
  adopt(other: LastLines): void {
    for (const [file, ring] of other.#rings) {
      for (const { block } of this.#rings.get(file) ?? []) this.#bytes -= block.bytes.length;
      for (const { block } of ring) this.#bytes += block.bytes.length;
      this.#rings.set(file, ring);
    }
    this.isCut ||= other.isCut;
  }

  /** All lines in the order of the stream. */
  sorted(): Block[] {
    const all = [...this.#rings.values()].flat();
    return all.toSorted((one, other) => one.seq - other.seq).map(({ block }) => block);
  }

  #shift(ring: RingLine[]): void {
    this.#bytes -= ring.shift()?.block.bytes.length ?? 0;
  }
}

/** The last lines of a block as blocks of their own, at most so many, the last one first. */
export function linesBack(block: Block, most: number): Block[] {
  const { bytes, offset, begins, isComplete } = block;
  const lines: Block[] = [];
  for (let end = bytes.length; end > 0 && lines.length < most;) {
    const start = end < 2 ? 0 : bytes.lastIndexOf(NEWLINE, end - 2) + 1;
    lines.push({
      ...block,
      offset: offset + start,
      bytes: bytes.subarray(start, end),
      begins: start === 0 ? begins : 'line',
      isComplete: end < bytes.length || isComplete,
    });
    end = start;
  }
  return lines;
}
