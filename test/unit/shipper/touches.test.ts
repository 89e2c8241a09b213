// What the time of a file's last change tells: two changes of one tick have one time.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Touches } from '../../../shipper/cursor/touches.ts';

test('a change is one until it was looked into', () => {
  const touches = new Touches();
  const touch = touches.since(5_004, 5_100);
  assert(touch !== undefined);
  // The look that it asks for fails: it is asked for again.
  assert.deepEqual(touches.since(5_004, 5_200), touch);
  touches.lookedInto(touch);
  assert.equal(touches.since(5_004, 5_300), undefined);
  assert.equal(touches.isKnown(5_004), true);
});

for (const [what, at, soon, later] of [
  ['in the same tick', 5_004, 5_006, 5_020],
  ['in the same second, where times are counted in two', 6_000, 6_900, 8_100],
] as const)
  test(`another change ${what} is seen`, () => {
    const touches = new Touches();
    const first = touches.since(at, soon);
    assert(first !== undefined);
    touches.lookedInto(first);
    assert.equal(touches.mayFollow, true);
    const second = touches.since(at, later);
    assert(second !== undefined);
    touches.lookedInto(second);
    assert.equal(touches.mayFollow, false);
    assert.equal(touches.since(at, later), undefined);
  });

test('a time to come says nothing of ticks', () => {
  const touches = new Touches();
  const touch = touches.since(9_000, 5_000);
  assert(touch !== undefined);
  touches.lookedInto(touch);
  assert.equal(touches.since(9_000, 5_001), undefined);
});
