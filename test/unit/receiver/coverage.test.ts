// The law of coverage: whatever is added in whichever order, it knows of each byte whether it is there.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { Coverage } from '../../../receiver/replay/coverage.ts';

const MOST = 40;

test('a byte is there when it was added, and the next one behind a hole is found', () => {
  const range = fc.tuple(fc.nat(MOST), fc.nat(8)).map(([start, length]) => [start, start + length] as const);
  fc.assert(
    fc.property(fc.array(range, { maxLength: 12 }), (ranges) => {
      const coverage = new Coverage();
      for (const [start, end] of ranges) coverage.add(start, end);
      const isThere = (at: number): boolean => ranges.some(([start, end]) => start <= at && at < end);
      const all = Array.from({ length: MOST + 10 }, (_, at) => at);
      assert.equal(coverage.isEmpty, !all.some(isThere));
      for (const at of all) {
        assert.equal(coverage.has(at), isThere(at));
        if (!isThere(at))
          assert.equal(
            coverage.next(at),
            all.find((one) => one > at && isThere(one)),
          );
      }
    }),
    { numRuns: 2_000 },
  );
});
