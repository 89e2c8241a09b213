// The laws of when record and stream are read: seldom while notices come, soon while they do not, at once when something is odd.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { ViewPace } from '../../../shipper/host/view-pace.ts';

const LIMIT = 1_000_000;
const quiet = { isBehind: () => false, isHeld: false, epoch: 1, published: 0 };
const behind = { ...quiet, isBehind: () => true };

function viewedAt(ms: number): ViewPace {
  const pace = new ViewPace();
  assert.ok(pace.isDue({ ...quiet, ms }), 'before the first look');
  pace.viewed({ ...behind, ms }, LIMIT);
  return pace;
}

test('every ten seconds while all is committed, or notices come', () => {
  const pace = viewedAt(0);
  for (let ms = 500; ms < 10_000; ms += 500) {
    pace.noticed(ms);
    assert.ok(!pace.isDue({ ...behind, ms }) && !pace.isDue({ ...quiet, ms }), String(ms));
  }
  assert.ok(pace.isDue({ ...quiet, ms: 10_000 }) && pace.isDue({ ...behind, ms: 10_000 }));
});

test('each second while something is not committed, and no notice has come for six', () => {
  const pace = viewedAt(0);
  pace.noticed(500);
  assert.ok(!pace.isDue({ ...behind, ms: 6_000 }));
  assert.ok(pace.isDue({ ...behind, ms: 6_500 }));
  pace.viewed({ ...behind, ms: 6_500 }, LIMIT);
  assert.ok(!pace.isDue({ ...behind, ms: 7_000 }));
  assert.ok(pace.isDue({ ...behind, ms: 7_500 }));
  assert.ok(!viewedAt(0).isDue({ ...quiet, ms: 7_500 }));
});

test('each second while it is held back, also while notices come', () => {
  const pace = viewedAt(0);
  pace.noticed(900);
  assert.ok(!pace.isDue({ ...behind, isHeld: true, ms: 999 }));
  assert.ok(pace.isDue({ ...behind, isHeld: true, ms: 1_000 }));
});

test('at once when it is wanted, or the connection is another; then no more', () => {
  const pace = viewedAt(0);
  pace.noticed(0);
  pace.want();
  assert.ok(pace.isDue({ ...behind, ms: 1 }));
  pace.viewed({ ...behind, ms: 1 }, LIMIT);
  assert.ok(!pace.isDue({ ...behind, ms: 2 }));
  assert.ok(pace.isDue({ ...behind, ms: 2, epoch: 2 }));
});

test('sooner when so much was published that a stream of this size may be full', () => {
  const pace = viewedAt(0);
  pace.noticed(900);
  assert.ok(!pace.isDue({ ...behind, ms: 1_000, published: LIMIT / 100 }));
  assert.ok(pace.isDue({ ...behind, ms: 1_000, published: LIMIT / 100 + 1 }));
  const unlimited = new ViewPace();
  unlimited.viewed({ ...behind, ms: 0 }, -1);
  unlimited.noticed(900);
  assert.ok(!unlimited.isDue({ ...behind, ms: 1_000, published: LIMIT }));
});

test('whatever happens, never more than ten seconds pass', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9_999), { maxLength: 20 }), fc.boolean(), (notices, isBehind) => {
      const pace = viewedAt(0);
      for (const ms of notices.toSorted((a, b) => a - b)) pace.noticed(ms);
      assert.ok(pace.isDue({ ...quiet, isBehind: () => isBehind, ms: 10_000 }));
    }),
  );
});

test('while all is committed and nothing is published the files are not looked at', () => {
  const pace = new ViewPace();
  pace.viewed({ ...quiet, ms: 0 }, LIMIT);
  const isBehind = (): boolean => assert.fail('looked at the files');
  for (let ms = 500; ms < 10_000; ms += 500) assert.ok(!pace.isDue({ ...quiet, isBehind, ms }));
  assert.ok(pace.isDue({ ...behind, published: 1, ms: 7_000 }));
});
