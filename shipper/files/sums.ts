// What is known of the bytes of a generation: checksums of all of them, up to a few marks. A file that begins with other
// bytes is another one, and how far one that was cut is still the same can be told. Pure.

import { crc32 } from '../../common/wire/digest.ts';

/** The CRC-32 of the bytes from `from` on, up to (not including) each mark: the ends of what was read, in order. */
export interface Sums {
  readonly from: number;
  readonly marks: readonly Mark[];
}

/** An offset, and the CRC-32 of the bytes before it. */
export type Mark = readonly [end: number, crc: number];

/** Kept of each generation: the newest ones, and a few far apart. */
const MOST_MARKS = 6;
const NEWEST_MARKS = 3;
/** One is always here: a short copy that was made when the file was that short is not taken for another file. */
const FIRST_MARK = 512;

export const NO_SUMS: Sums = { from: 0, marks: [] };

/** Up to where the bytes are known. */
export function endOfSums({ from, marks }: Sums): number {
  return marks.at(-1)?.[0] ?? from;
}

/** With bytes that were read at `start`; the same where they are known, or do not go on where the known ones end. */
export function withBytes(sums: Sums, start: number, bytes: Uint8Array): Sums {
  const end = start + bytes.length;
  const from = sums.marks.length === 0 ? start : sums.from;
  const known = sums.marks.length === 0 ? start : endOfSums(sums);
  if (start > known || end <= known) return sums;
  const first = from + FIRST_MARK;
  if (known < first && end > first) {
    const upTo = withBytes(sums, start, bytes.subarray(0, first - start));
    return withBytes(upTo, first, bytes.subarray(first - start));
  }
  const [, crc] = sums.marks.at(-1) ?? [0, 0];
  return {
    from,
    marks: thinned(from, [...sums.marks, [end, crc32(bytes.subarray(known - start), crc)]]),
  };
}

/** Without the older mark that stands closest to its neighbours, when there are too many. */
function thinned(from: number, marks: readonly Mark[]): readonly Mark[] {
  if (marks.length <= MOST_MARKS) return marks;
  const gap = (index: number): number => (marks[index + 1]?.[0] ?? 0) - (marks[index - 1]?.[0] ?? from);
  let least = marks[0]?.[0] === from + FIRST_MARK ? 1 : 0;
  for (let index = least + 1; index < marks.length - NEWEST_MARKS; index += 1)
    if (marks[index]?.[0] !== from + FIRST_MARK && gap(index) < gap(least)) least = index;
  return marks.toSpliced(least, 1);
}

/** Compares bytes that come one after the other, from the first one of a file on, with what is known. */
export class Comparison {
  readonly #sums: Sums;
  #crc = 0;
  #at = 0;
  #next = 0;
  #upTo = 0;
  #isOther = false;

  constructor(sums: Sums) {
    this.#sums = sums;
    this.#at = sums.from;
  }

  /** The bytes up to here are the same: the last mark that was reached and matches, 0 for none. */
  get upTo(): number {
    return this.#upTo;
  }

  /** All that is known is the same. */
  get isWhole(): boolean {
    return !this.#isOther && this.#next === this.#sums.marks.length;
  }

  /** More bytes would tell nothing. */
  get isDecided(): boolean {
    return this.#isOther || this.isWhole;
  }

  /** @param start where they stand in the file */
  feed(start: number, bytes: Uint8Array): void {
    const end = start + bytes.length;
    while (!this.isDecided) {
      const [mark, crc] = this.#sums.marks[this.#next] ?? [0, 0];
      const until = Math.min(mark, end);
      if (until > this.#at) {
        this.#crc = crc32(bytes.subarray(this.#at - start, until - start), this.#crc);
        this.#at = until;
      }
      if (this.#at < mark) return;
      if (this.#crc !== crc) this.#isOther = true;
      else {
        this.#upTo = mark;
        this.#next += 1;
      }
    }
  }
}
