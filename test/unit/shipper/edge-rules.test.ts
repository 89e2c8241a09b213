// The laws of repair at an edge: local sequences for central ones, and what never arrived at the central side is shipped
// again.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import fc from 'fast-check';

import { Forwarded } from '../../../shipper/host/forwarded.ts';
import { afterLook, decideRepair, type Observed, type Published } from '../../../shipper/lane/repair.ts';

const LOCAL = { created: 'l1', lastSeq: 1_000 };

function central(lastSeq: number, seq: number, origin: number | undefined, created = 'c1') {
  return { created, lastSeq, newest: { seq, origin }, isCaughtUp: true };
}

describe('how far receivers have come, in local sequences', () => {
  test('never says more than was forwarded up to there, and all of it once what was seen is passed', () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(steps, fc.array(fc.nat(400), { maxLength: 20 }), (steps, positions) => {
        const forwarded = new Forwarded();
        const seen: { seq: number; origin: number }[] = [];
        let seq = 0;
        let origin = 0;
        for (const [more, between] of steps) {
          seq += more;
          origin += between;
          seen.push({ seq, origin });
          forwarded.saw(central(seq, seq, origin), LOCAL);
        }
        let most = 0;
        for (const position of positions) {
          most = Math.max(most, position);
          const truth = seen.findLast((each) => each.seq <= most)?.origin ?? 0;
          assert.equal(forwarded.processed({ created: 'c1', seq: position }), truth);
        }
      }),
    );
  });

  test('thousands of sightings are thinned out, and the newest still counts', () => {
    const forwarded = new Forwarded();
    const local = { created: 'l1', lastSeq: 1_000_000 };
    for (let seq = 1; seq <= 5_000; seq += 1) forwarded.saw(central(seq, seq, seq * 10), local);
    assert.ok(forwarded.processed({ created: 'c1', seq: 4_000 }) <= 40_000);
    assert.equal(forwarded.processed({ created: 'c1', seq: 5_000 }), 50_000);
  });

  test('what belongs to another stream, or to a time before a stream was rolled back, says nothing', () => {
    const forwarded = new Forwarded();
    forwarded.saw(central(50, 50, 20), LOCAL);
    assert.equal(forwarded.processed({ created: 'c0', seq: 99 }), 0);
    assert.equal(forwarded.processed(undefined), 0);
    assert.equal(forwarded.processed({ created: 'c1', seq: 49 }), 0);
    forwarded.saw(central(40, 40, undefined), LOCAL);
    assert.equal(forwarded.processed({ created: 'c1', seq: 99 }), 0);
    forwarded.saw(central(60, 60, 30), LOCAL);
    assert.equal(forwarded.processed({ created: 'c1', seq: 60 }), 30);
    forwarded.saw(central(60, 60, 30), { created: 'l1', lastSeq: 25 });
    assert.equal(forwarded.processed({ created: 'c1', seq: 60 }), 0);
    forwarded.saw(central(70, 70, 24), { created: 'l1', lastSeq: 25 });
    assert.equal(forwarded.processed({ created: 'c1', seq: 70 }), 24);
    forwarded.saw(central(80, 80, 25), { created: 'l2', lastSeq: 25 });
    forwarded.saw(central(1, 1, 25, 'c2'), { created: 'l2', lastSeq: 25 });
    assert.equal(forwarded.processed({ created: 'c1', seq: 80 }), 0);
  });

  test('a sequence that is not in the local stream yet is of one that it replaced', () => {
    const forwarded = new Forwarded();
    forwarded.saw(central(50, 50, LOCAL.lastSeq + 1), LOCAL);
    assert.equal(forwarded.processed({ created: 'c1', seq: 50 }), 0);
  });
});

describe('what is not committed', () => {
  const state: Published = {
    position: 100,
    ended: false,
    lastSeq: 8,
    created: 'l1',
    begin: 0,
    quietMs: 9_000,
  };
  const observed: Observed = { offset: 50, processed: undefined, stream: { created: 'l1', lastSeq: 9 } };

  test('is shipped again when all was forwarded, and what came of it was processed', () => {
    const decision = afterLook(state, observed, true, true);
    assert.ok(decision.kind === 'rewind' && decision.to === 50 && !decision.isLost);
    assert.deepEqual(afterLook(state, observed, true, false), { kind: 'none' });
  });

  test('is judged by an earlier look where the file never pauses', () => {
    const now = { ...state, quietMs: 0 };
    const seen = { ...observed, processed: { created: 'l1', seq: 5 } };
    const earlier = { ...now, lastSeq: 5, position: 60 };
    assert.deepEqual(decideRepair(now, seen), { kind: 'none' });
    const decision = decideRepair(now, seen, earlier);
    assert.ok(decision.kind === 'rewind' && decision.to === 50);
    assert.deepEqual(decideRepair(now, { ...seen, offset: 60 }, earlier), { kind: 'none' });
    assert.deepEqual(decideRepair(now, seen, { ...earlier, lastSeq: 6 }), { kind: 'none' });
    assert.deepEqual(decideRepair(now, seen, { ...earlier, created: 'l0' }), { kind: 'none' });
  });
});
