// The laws of what is known of a generation's bytes: its marks are checksums of what was read, however it was read, and
// comparing a file with them finds all that differs, in whatever pieces it comes.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { crc32 } from '../../../common/wire/digest.ts';
import { random } from '../../support/seed.ts';
import { Comparison, endOfSums, NO_SUMS, type Sums, withBytes } from '../../../shipper/files/sums.ts';

/** What a state may hold of each generation. */
const MOST_MARKS = 8;
const NEWEST = 3;
/** There is always a mark there, and it counts as the end of a read. */
const FIRST_MARK = 512;

/** A file, and where it is read: pieces that go on, others that were read before, and some behind a gap. */
const bytes = fc.tuple(fc.nat(), fc.integer({ min: 1, max: 900 })).map(([seed, length]) => {
  const next = random(seed);
  return Uint8Array.from({ length }, () => next() * 256);
});
const read = fc.record({
  step: fc.constantFrom('on', 'on', 'on', 'on', 'again', 'gap'),
  length: fc.oneof(fc.nat(9), fc.nat(120)),
  by: fc.nat(60),
});
const reads = fc.array(read, { maxLength: 40, size: 'max' });

interface Taken {
  readonly sums: Sums;
  /** Where what is known must end, as somebody counts who sees nothing but the reads. */
  readonly end: number;
  /** The ends of the reads that brought something, in order. */
  readonly ends: readonly number[];
}

/** Reads from `from` on, asking after each read. */
function taken(
  file: Uint8Array,
  from: number,
  all: readonly { readonly step: string; readonly length: number; readonly by: number }[],
  ask: (taken: Taken) => void = () => {},
): Taken {
  let sums = NO_SUMS;
  let end = from;
  const ends: number[] = [];
  for (const { step, length, by } of all) {
    const hasBegun = ends.length > 0;
    const start = hasBegun && step === 'again' ? Math.max(from, end - by) : end;
    const at = hasBegun && step === 'gap' ? end + 1 + by : start;
    const piece = file.subarray(at, at + length);
    sums = withBytes(sums, at, piece);
    if (at <= end && at + piece.length > end) {
      const first = from + FIRST_MARK;
      if (end < first && at + piece.length > first) ends.push(first);
      end = at + piece.length;
      ends.push(end);
    }
    ask({ sums, end: hasBegun || ends.length > 0 ? end : 0, ends });
  }
  return { sums, end, ends };
}

function checkMarks(file: Uint8Array, from: number, { sums, end, ends }: Taken): void {
  const { marks } = sums;
  assert.ok(marks.length <= MOST_MARKS, `${marks.length} marks`);
  assert.equal(endOfSums(sums), end);
  for (const [at, crc] of marks) {
    assert.ok(ends.includes(at), `nothing was read up to ${at}`);
    assert.equal(crc, crc32(file.subarray(from, at)), `the bytes up to ${at}`);
  }
  assert.deepEqual(
    marks.map(([at]) => at),
    [...new Set(marks.map(([at]) => at))].toSorted((one, other) => one - other),
  );
  assert.deepEqual(
    marks.slice(-NEWEST).map(([at]) => at),
    ends.slice(-NEWEST),
  );
  if (marks.length > 0) assert.equal(sums.from, from);
  assert.equal(marks.length, Math.min(ends.length, MOST_MARKS));
  if (end >= from + FIRST_MARK) assert.ok(marks.some(([at]) => at === from + FIRST_MARK));
}

test('whatever is read, again, and behind a gap: few marks, the newest kept, each a checksum of what was read', () => {
  fc.assert(
    fc.property(bytes, fc.nat(50), reads, (file, from, all) => {
      taken(file, from, all, (each) => {
        checkMarks(file, from, each);
      });
    }),
    { numRuns: 3_000 },
  );
});

test('a file that is read evenly for long keeps marks far apart besides the newest', () => {
  let sums = NO_SUMS;
  const piece = new Uint8Array(10).fill(7);
  for (let at = 0; at < 10_000; at += piece.length) sums = withBytes(sums, at, piece);
  const ends = sums.marks.map(([at]) => at);
  assert.deepEqual(ends.slice(-NEWEST), [9_980, 9_990, 10_000]);
  const steps = [0, ...ends.slice(0, -NEWEST)].map((at, index, all) => (all[index + 1] ?? 9_980) - at);
  assert.ok(Math.max(...steps) <= 5_000, `nothing is known in between: ${ends.join(' ')}`);
});

test('of a file that is read evenly three quarters are known to be the same when 2 % are cut off', () => {
  let sums = NO_SUMS;
  const piece = new Uint8Array(10).fill(7);
  for (let at = 0; at < 30_000; at += piece.length) {
    sums = withBytes(sums, at, piece);
    const end = at + piece.length;
    if (end < 3_000) continue;
    const left = sums.marks.filter(([mark]) => mark <= 0.98 * end).map(([mark]) => mark);
    assert.ok(Math.max(0, ...left) >= 0.75 * end, `of ${end} only ${left.join(' ')}`);
  }
});

/** A file cut into pieces at these places, one after the other. */
function inPieces(
  file: Uint8Array,
  cuts: readonly number[],
  feed: (start: number, piece: Uint8Array) => void,
): void {
  const at = [...new Set(cuts.filter((cut) => cut < file.length))].toSorted((one, other) => one - other);
  for (const [index, start] of [0, ...at].entries())
    feed(start, file.subarray(start, at[index] ?? file.length));
}

type Change =
  | { readonly kind: 'none' }
  | { readonly kind: 'byte' | 'cut'; readonly at: number }
  | { readonly kind: 'more'; readonly bytes: Uint8Array };

const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constant('none' as const) }),
  fc.record({ kind: fc.constantFrom('byte' as const, 'cut' as const), at: place }),
  fc.record({ kind: fc.constant('more' as const), bytes: fc.uint8Array({ maxLength: 100 }) }),
);

/** The same but for a byte, or an end, or what comes behind it. */
function changed(file: Uint8Array, how: Change): Uint8Array {
  if (how.kind === 'none') return file;
  if (how.kind === 'more') return Buffer.concat([file, how.bytes]);
  const at = Math.floor(how.at * file.length);
  return how.kind === 'cut' ? file.slice(0, at) : file.map((byte, index) => (index === at ? byte ^ 1 : byte));
}

/** The first byte from `from` on that is not the same, or not there. */
function firstDifference(file: Uint8Array, other: Uint8Array, from: number): number {
  let at = from;
  while (at < file.length && at < other.length && file[at] === other[at]) at += 1;
  return at;
}

test('in whatever pieces: whole is what has the known bytes, and what is the same ends before the difference', () => {
  const cuts = fc.array(fc.nat(700), { maxLength: 12 });
  let whole = 0;
  let other = 0;
  fc.assert(
    fc.property(
      bytes,
      fc.nat(50),
      reads,
      change,
      cuts,
      fc.uint8Array({ maxLength: 50 }),
      (file, begin, all, how, at, first) => {
        const from = Math.min(begin, file.length);
        const { sums } = taken(file, from, all);
        const end = endOfSums(sums);
        // Nothing is known of the bytes before the first one that was read: they may be any.
        const before = Buffer.from(file.subarray(0, from));
        before.set(first.subarray(0, from));
        const asked = changed(Buffer.concat([before, file.subarray(from)]), how);
        const comparison = new Comparison(sums);
        const difference = firstDifference(file, asked, from);
        inPieces(asked, at, (start, piece) => {
          comparison.feed(start, piece);
          const got = Math.min(difference, start + piece.length);
          const known = sums.marks.findLast(([mark]) => mark <= got)?.[0] ?? 0;
          assert.equal(comparison.upTo, known, `the same up to ${difference}`);
          if (comparison.isDecided) assert.ok(comparison.isWhole || comparison.upTo < end);
        });
        const isThere = sums.marks.length === 0 || difference >= end;
        assert.equal(comparison.isWhole, isThere, `known up to ${end}, the same up to ${difference}`);
        if (sums.marks.length > 0 && isThere) whole += 1;
        if (!isThere) other += 1;
      },
    ),
    { numRuns: 5_000 },
  );
  assert.ok(whole > 200 && other > 200, `${whole} whole, ${other} others`);
});

test('what is known of one file in other pieces is the same knowledge of its end', () => {
  fc.assert(
    fc.property(bytes, reads, reads, (file, one, two) => {
      const [a, b] = [taken(file, 0, one).sums, taken(file, 0, two).sums];
      const end = Math.min(endOfSums(a), endOfSums(b));
      const rest = [a, b].map((sums) => withBytes(sums, 0, file).marks.at(-1));
      if (end > 0) assert.deepEqual(rest[0], rest[1]);
    }),
  );
});
