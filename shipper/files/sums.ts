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

/** Kept of each generation: the newest ones, and others the farther apart the longer ago. */
const MOST_MARKS = 8;
const NEWEST_MARKS = 3;
/** Of more than this that is read at once some of the last bytes may be cut. */
const STEP_BYTES = 64 * 1024;
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
  const half = known + Math.floor((end - known) / 2);
  const between = known < first && end > first ? first : end - known > STEP_BYTES ? half : end;
  if (between < end) {
    const upTo = withBytes(sums, start, bytes.subarray(0, between - start));
    return withBytes(upTo, between, bytes.subarray(between - start));
  }
  const [, crc] = sums.marks.at(-1) ?? [0, 0];
  return {
    from,
    marks: thinned(from, [...sums.marks, [end, crc32(bytes.subarray(known - start), crc)]]),
  };
}

/**
 * Without one of the older marks, when there are too many: the one that is missed least, as its neighbours are close to
 * each other for how far it is from the end. A power cut takes the last bytes, mostly few.
 */
function thinned(from: number, marks: readonly Mark[]): readonly Mark[] {
  if (marks.length <= MOST_MARKS) return marks;
  const endOf = (index: number): number => marks[index]?.[0] ?? from;
  const end = endOf(marks.length - 1);
  let [least, leastShare] = [0, Number.POSITIVE_INFINITY];
  for (let index = 0; index < marks.length - NEWEST_MARKS; index += 1) {
    const at = endOf(index);
    const share = (endOf(index + 1) - endOf(index - 1)) / Math.sqrt(end - at);
    if (at !== from + FIRST_MARK && share < leastShare) [least, leastShare] = [index, share];
  }
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
