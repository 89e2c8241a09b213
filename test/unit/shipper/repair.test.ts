// The laws of repair: what is not committed is shipped again when nothing else will bring it, and never without need.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import {
  afterLook,
  committedOffset,
  decideRepair,
  Rewinds,
  STALLED_MS,
} from '../../../shipper/lane/repair.ts';
import type { Observed, Published } from '../../../shipper/lane/repair.ts';

const created = fc.constantFrom('s1', 's2');
const offset = fc.nat(20);
const seq = fc.nat(10);
const published: fc.Arbitrary<Published> = fc.record({
  position: offset,
  ended: fc.boolean(),
  lastSeq: seq,
  created,
  begin: fc.nat(5),
  quietMs: fc.constantFrom(0, STALLED_MS - 1, STALLED_MS, 10 * STALLED_MS),
});
const observed: fc.Arbitrary<Observed> = fc.record({
  offset: fc.option(offset, { nil: undefined }),
  processed: fc.option(fc.record({ created, seq }), { nil: undefined }),
  stream: fc.record({ created, lastSeq: seq }),
});

/** All is as it should be: half of what was published is committed, the rest is on its way. */
const state: Published = { position: 100, ended: false, lastSeq: 8, created: 's1', begin: 0, quietMs: 0 };
const underWay: Observed = {
  offset: 50,
  processed: { created: 's1', seq: 4 },
  stream: { created: 's1', lastSeq: 9 },
};

test('a rewind goes to what is committed now, and to where shipping began when nothing is', () => {
  fc.assert(
    fc.property(published, observed, fc.boolean(), fc.boolean(), (state, observed, isThere, isAtRest) => {
      const committed = observed.offset ?? state.begin;
      assert.equal(committedOffset(state, observed), committed);
      for (const decision of [decideRepair(state, observed), afterLook(state, observed, isThere, isAtRest)])
        if (decision.kind === 'rewind') assert.equal(decision.to, committed);
    }),
  );
});

test('while the stream is the same and whole, nothing that is committed is shipped again', () => {
  fc.assert(
    fc.property(published, observed, (state, seen) => {
      const committed = Math.max(state.position, seen.offset ?? 0);
      const lastSeq = Math.max(state.lastSeq, seen.stream.lastSeq);
      const stream = { created: state.created, lastSeq };
      assert.deepEqual(decideRepair(state, { ...seen, offset: committed, stream }), { kind: 'none' });
    }),
  );
});

test('bytes that are on their way are waited for', () => {
  assert.deepEqual(decideRepair(state, underWay), { kind: 'none' });
  const otherStream = { created: 's0', seq: 99 };
  assert.deepEqual(decideRepair(state, { ...underWay, processed: otherStream }), { kind: 'none' });
  assert.deepEqual(decideRepair(state, { ...underWay, processed: undefined }), { kind: 'none' });
});

test('a hole is shipped again as soon as the receiver is past it', () => {
  const past = { ...underWay, processed: { created: 's1', seq: 8 } };
  const decision = decideRepair(state, past);
  assert.ok(decision.kind === 'rewind' && decision.to === 50 && !decision.isLost);
});

test('in a recreated stream everything uncommitted is shipped again, and nothing of it is there', () => {
  fc.assert(
    fc.property(published, observed, (state, seen) => {
      const stream = { ...seen.stream, created: 'another' };
      const committed = seen.offset ?? state.begin;
      const decision = decideRepair(state, { ...seen, stream });
      if (committed >= state.position && state.ended) assert.deepEqual(decision, { kind: 'forget' });
      else assert.ok(decision.kind === 'rewind' && decision.to === committed && decision.isLost);
    }),
  );
});

test('a stream that ends before my last message has lost it: all that is not committed is shipped again', () => {
  const shorter = { ...underWay, stream: { created: 's1', lastSeq: 7 } };
  const decision = decideRepair(state, shorter);
  assert.ok(decision.kind === 'rewind' && decision.to === 50 && decision.isLost);
  // Its end marker may have been among them.
  const ended = decideRepair({ ...state, ended: true }, { ...shorter, offset: 100 });
  assert.ok(ended.kind === 'rewind' && ended.to === 100);
});

test('what stays uncommitted is looked for, and shipped again only when the stream no longer has it', () => {
  const stalled = { ...state, quietMs: STALLED_MS };
  assert.deepEqual(decideRepair(stalled, underWay), { kind: 'look' });
  assert.deepEqual(decideRepair({ ...stalled, quietMs: STALLED_MS - 1 }, underWay), { kind: 'none' });
  const gone = afterLook(stalled, underWay, false, false);
  assert.ok(gone.kind === 'rewind' && gone.to === 50 && gone.isLost);
  assert.deepEqual(afterLook(stalled, underWay, true, false), { kind: 'none' });
});

test('whatever is uncommitted and lost is found in the end: a quiet generation never waits for ever', () => {
  fc.assert(
    fc.property(published, observed, (state, seen) => {
      const quiet = { ...state, quietMs: STALLED_MS };
      const committed = seen.offset ?? state.begin;
      const decision = decideRepair(quiet, seen);
      if (committed >= state.position) return;
      if (decision.kind === 'look') assert.equal(afterLook(quiet, seen, false, false).kind, 'rewind');
      else assert.equal(decision.kind, 'rewind');
    }),
  );
});

test('from one place it is shipped again less and less often, but always again; from another one at once', () => {
  const rewinds = new Rewinds();
  const due = Array.from({ length: 3_600 }, (_, second) => second).filter((second) =>
    rewinds.isDue(50, second * 1_000),
  );
  assert.deepEqual(due.slice(0, 8), [0, 1, 2, 3, 5, 9, 17, 33]);
  assert.equal(due.at(-1)! - due.at(-2)!, 30);
  assert.ok(rewinds.isDue(51, 3_600_000));
  assert.ok(rewinds.isDue(50, 3_600_001));
});
