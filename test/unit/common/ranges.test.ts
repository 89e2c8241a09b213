// The laws of ranges, and of the blocks that two sides cut the same range into.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import {
  bothRanges,
  bytesOf,
  type ByteRange,
  joinRanges,
  withoutRanges,
} from '../../../common/wire/ranges.ts';
import {
  blocksIn,
  countBlocks,
  LARGEST_BLOCK,
  MOST_BYTES,
  partsOf,
  SMALLEST_BLOCK,
} from '../../../common/fleet/verify.ts';

const MAX = 40;
const range: fc.Arbitrary<ByteRange> = fc.tuple(fc.nat(MAX), fc.nat(MAX));
const ranges = fc.array(range, { maxLength: 6 });

function setOf(all: readonly ByteRange[]): Set<number> {
  return new Set(
    all.flatMap(([start, end]) => Array.from({ length: Math.max(0, end - start) }, (_, at) => start + at)),
  );
}

/** In order, none empty, none touching the next. */
function assertSame(made: readonly ByteRange[], bytes: ReadonlySet<number>): void {
  assert.deepEqual(setOf(made), new Set([...bytes].toSorted((a, b) => a - b)));
  for (const [index, [start, end]] of made.entries())
    assert.ok(start < end && end < (made[index + 1]?.[0] ?? Number.POSITIVE_INFINITY));
  assert.equal(bytesOf(made), bytes.size);
}

test('ranges are joined, cut and taken away as the sets of their bytes are', () => {
  fc.assert(
    fc.property(ranges, ranges, (one, other) => {
      const [some, others] = [setOf(one), setOf(other)];
      assertSame(joinRanges([...one, ...other]), new Set([...some, ...others]));
      assertSame(bothRanges(one, other), new Set([...some].filter((at) => others.has(at))));
      assertSame(withoutRanges(one, other), new Set([...some].filter((at) => !others.has(at))));
    }),
    { numRuns: 2_000 },
  );
});

test('blocks cover the range, end at multiples of their size, and are the same wherever the range is cut at one', () => {
  const block = fc
    .integer({ min: Math.log2(SMALLEST_BLOCK), max: Math.log2(LARGEST_BLOCK) })
    .map((power) => 2 ** power);
  const far = fc.nat(8 * LARGEST_BLOCK);
  fc.assert(
    fc.property(block, far, far, (size, a, b) => {
      const [start, end] = [Math.min(a, b), Math.max(a, b)];
      const all = [...blocksIn(start, end, size)];
      assert.equal(all.length, start === end ? 0 : countBlocks({ start, end, block: size }));
      let at = start;
      for (const [from, to] of all) {
        assert.equal(from, at);
        assert.ok(to > from && to - from <= size);
        assert.ok(to === end || to % size === 0);
        at = to;
      }
      assert.equal(at, end);
      const cut = Math.min(end, Math.max(start, Math.ceil((start + end) / 2 / size) * size));
      assert.deepEqual([...blocksIn(start, cut, size), ...blocksIn(cut, end, size)], all);
    }),
  );
});

test('parts are what one question may ask for', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 40), fc.nat(2 ** 30), (start, length) => {
      const parts = partsOf([start, start + length]);
      assert.equal(bytesOf(parts), length);
      for (const [from, to] of parts) assert.ok(to > from && to - from <= MOST_BYTES);
    }),
  );
});
