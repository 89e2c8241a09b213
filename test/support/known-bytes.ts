// Files of random lines, and what a shipper knows of them when it has read them in some pieces.

import fc from 'fast-check';

import { NO_SUMS, type Sums, withBytes } from '../../shipper/files/sums.ts';
import { random } from './seed.ts';

/** So many bytes of lines that no other file has, the last one perhaps not ended. The same from the same seed. */
export function linesOf(seed: number, size: number): Buffer {
  const next = random(seed);
  const lines: string[] = [];
  for (let length = 0; length < size;) {
    const line = `${Math.floor(next() * 2 ** 32).toString(36)} ${'x'.repeat(next() * 40)}\n`;
    lines.push(line);
    length += line.length;
  }
  return Buffer.from(lines.join('')).subarray(0, size);
}

/** Somewhere in a file: as a share of it, so that it fits files of any size. */
export const share: fc.Arbitrary<number> = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom(0, 1) },
  { weight: 6, arbitrary: fc.noBias(fc.nat(1_000)).map((thousandths) => thousandths / 1_000) },
);

/** Mostly small; a few of more than is read at once. */
export const size: fc.Arbitrary<number> = fc.oneof(
  { weight: 2, arbitrary: fc.nat(10) },
  { weight: 20, arbitrary: fc.noBias(fc.nat(4_000)) },
  { weight: 1, arbitrary: fc.noBias(fc.nat(600_000)) },
);

export function placeIn(size: number, at: number): number {
  return Math.floor(at * size);
}

/** What is known of the bytes between two offsets, read in pieces that end at these shares of them. */
export function sumsOf(file: Uint8Array, from: number, to: number, cuts: readonly number[]): Sums {
  const ends = [...cuts.map((cut) => from + placeIn(to - from, cut)), to].toSorted((a, b) => a - b);
  let sums = NO_SUMS;
  let at = from;
  for (const end of ends) {
    sums = withBytes(sums, at, file.subarray(at, end));
    at = end;
  }
  return sums;
}

/** Where two files differ first; the length of the shorter one where that is all. */
export function firstDifference(one: Uint8Array, other: Uint8Array, from = 0): number {
  const most = Math.min(one.length, other.length);
  let at = from;
  while (at < most && one[at] === other[at]) at += 1;
  return at;
}

/** What became of a file. */
export type Change =
  | { readonly kind: 'none' }
  | { readonly kind: 'byte' | 'cut'; readonly at: number }
  | { readonly kind: 'more'; readonly length: number };

export const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constant('none' as const) }),
  fc.record({ kind: fc.constantFrom('byte' as const, 'cut' as const), at: share }),
  fc.record({ kind: fc.constant('more' as const), length: fc.integer({ min: 1, max: 2_000 }) }),
);

/** The same but for a byte, or an end, or what comes behind it. */
export function changed(file: Uint8Array, how: Change): Buffer {
  if (how.kind === 'none') return Buffer.from(file);
  if (how.kind === 'more') return Buffer.concat([file, linesOf(how.length, how.length)]);
  const at = Math.min(placeIn(file.length, how.at), file.length - 1);
  const other = Buffer.from(file);
  if (how.kind === 'cut') return other.subarray(0, Math.max(0, at));
  if (at >= 0) other[at] = (other[at] ?? 0) ^ 1;
  return other;
}
