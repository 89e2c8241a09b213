// The laws of what a lane tells of a generation: where a shipper goes on is where a receiver will be.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import type { Chunk } from '../../../common/wire/chunk.ts';
import { accept } from '../../../receiver/term/accept.ts';
import { afterDoubt } from '../../../shipper/host/doubt.ts';
import { type Reached, Trail } from '../../../shipper/host/trail.ts';

const chunk: fc.Arbitrary<Chunk> = fc
  .tuple(fc.nat(20), fc.nat(8), fc.boolean())
  .map(([start, length, isGap]) => {
    const base = { start, end: start + length, begin: 0, after: undefined };
    if (length === 0) return { ...base, kind: 'end', reason: 'rotated' };
    if (isGap) return { ...base, kind: 'gap', reason: 'gone' };
    return { ...base, kind: 'data', tail: `tail ${base.end}` };
  });

/** What a receiver has after these, and which of them was the last that it took or had already. */
function received(offset: number, chunks: readonly Chunk[]): number {
  let known = offset;
  for (const each of chunks) {
    const verdict = accept(each, known, undefined);
    if (verdict.kind === 'write' || verdict.kind === 'gap') known = each.end;
  }
  return known;
}

function from(position: number): Reached {
  return { position, ended: false, tail: undefined, seq: 0 };
}

function trailOf(chunks: readonly Chunk[]): Trail | undefined {
  const [first] = chunks;
  if (first === undefined) return undefined;
  const trail = new Trail('/a.log', first);
  for (const [index, each] of chunks.entries()) trail.add(each, index + 1, 0);
  return trail;
}

test('it goes on where a receiver is when it has taken the messages', () => {
  fc.assert(
    fc.property(fc.nat(20), fc.array(chunk, { maxLength: 30 }), (offset, chunks) => {
      const reached = trailOf(chunks)?.follow(from(offset), 0) ?? from(offset);
      assert.equal(reached.position, received(offset, chunks));
    }),
  );
});

test('a tail is that of the position, and the sequence that of a message which ends there', () => {
  fc.assert(
    fc.property(fc.nat(20), fc.array(chunk, { maxLength: 30 }), (offset, chunks) => {
      const { position, tail, seq } = trailOf(chunks)?.follow(from(offset), 0) ?? from(offset);
      if (tail !== undefined) assert.equal(tail, `tail ${position}`);
      if (seq > 0) assert.equal(chunks[seq - 1]?.end, position);
      else assert.equal(position, offset);
    }),
  );
});

test('followed once more from where it led, it leads there', () => {
  fc.assert(
    fc.property(fc.nat(20), fc.array(chunk, { minLength: 1, maxLength: 30 }), (offset, chunks) => {
      const trail = trailOf(chunks);
      const reached = trail?.follow(from(offset), 0) ?? from(offset);
      assert.deepEqual(trail?.follow(reached, reached.seq), reached);
    }),
  );
});

test('it has ended where the end marker is at its end, and nothing was sent behind it', () => {
  const data = (start: number, end: number): Chunk => {
    return { kind: 'data', start, end, begin: 0, after: undefined, tail: `tail ${end}` };
  };
  const end = (size: number): Chunk => {
    return { kind: 'end', start: size, end: size, begin: 0, after: undefined, reason: 'rotated' };
  };
  const followed = (...chunks: Chunk[]): boolean | undefined => trailOf(chunks)?.follow(from(0), 0).ended;
  assert.equal(followed(data(0, 10), end(10)), true);
  assert.equal(followed(data(0, 10), end(10), data(10, 20)), false);
  assert.equal(followed(data(0, 10), end(12)), false);
  assert.equal(followed(data(5, 10), end(10)), false);
  assert.equal(followed(data(0, 10), data(0, 10), end(10)), true);
});

test('a message in doubt is stored only when the last one has its stamp', () => {
  const stamp = '0a1b2c3d.7';
  assert.deepEqual(afterDoubt(stamp, undefined), { kind: 'again', expected: 0 });
  assert.deepEqual(afterDoubt(stamp, { seq: 9, stamp }), { kind: 'stored', seq: 9 });
  for (const other of ['0a1b2c3d.8', '0a1b2c3e.7', undefined])
    assert.deepEqual(afterDoubt(stamp, { seq: 9, stamp: other }), { kind: 'again', expected: 9 });
});
