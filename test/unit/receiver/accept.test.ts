// The law of acceptance: whatever arrives, in whatever pieces and order, what is written is the file.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import type { After, Chunk } from '../../../common/wire/chunk.ts';
import { accept } from '../../../receiver/term/accept.ts';

const SIZE = 60;

/** A source file in which every byte differs from its neighbours. */
const source = Buffer.from(Array.from({ length: SIZE }, (_, index) => index));

const range = fc
  .tuple(fc.nat(SIZE - 1), fc.integer({ min: 1, max: 25 }))
  .map(([start, length]) => ({ start, end: Math.min(SIZE, start + length) }));

function data(start: number, end: number, options: { begin?: number; after?: After } = {}): Chunk {
  const { begin = 0, after } = options;
  return { kind: 'data', start, end, begin, after, tail: '0'.repeat(12) };
}

function gap(start: number, end: number): Chunk {
  return { kind: 'gap', start, end, begin: 0, after: undefined, reason: 'source gone' };
}

function end(size: number, begin = 0): Chunk {
  return { kind: 'end', start: size, end: size, begin, after: undefined, reason: 'rotated' };
}

/** A receiver of one file that does what it is told: what it has written, and its offset. */
class Writer {
  offset: number | undefined;
  bytes = Buffer.alloc(0);

  take(chunk: Chunk, afterOffset?: number): ReturnType<typeof accept> {
    const verdict = accept(chunk, this.offset, afterOffset);
    if (verdict.kind === 'write') {
      this.bytes = Buffer.concat([this.bytes, source.subarray(verdict.from, chunk.end)]);
      this.offset = chunk.end;
    } else if (verdict.kind === 'gap') this.offset = verdict.to;
    return verdict;
  }
}

test('whatever the boundaries, overlaps, repeats and order, the accepted bytes are a prefix of the file', () => {
  fc.assert(
    fc.property(fc.array(range, { maxLength: 60 }), (ranges) => {
      const writer = new Writer();
      for (const { start, end } of ranges) {
        writer.take(data(start, end));
        assert.deepEqual(writer.bytes, source.subarray(0, writer.offset ?? 0));
      }
    }),
    { numRuns: 500 },
  );
});

test('shipping again from the offset always completes the file, nothing twice', () => {
  fc.assert(
    fc.property(
      fc.array(range, { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1 }),
      fc.integer({ min: 0, max: 5 }),
      (noise, lengths, backwards) => {
        const writer = new Writer();
        for (const { start, end } of noise) writer.take(data(start, end));
        let position = Math.max(0, (writer.offset ?? 0) - backwards);
        for (let turn = 0; position < SIZE; turn += 1) {
          const end = Math.min(SIZE, position + lengths[turn % lengths.length]!);
          assert.notEqual(writer.take(data(position, end)).kind, 'missing');
          position = end;
        }
        assert.deepEqual(writer.bytes, source);
      },
    ),
  );
});

test('a chunk is judged by its bytes alone: taking it twice in a row changes nothing', () => {
  fc.assert(
    fc.property(fc.option(fc.nat(SIZE), { nil: undefined }), range, (offset, { start, end }) => {
      const writer = new Writer();
      writer.offset = offset;
      const first = writer.take(data(start, end));
      const bytes = writer.bytes;
      const second = writer.take(data(start, end));
      assert.equal(second.kind, first.kind === 'missing' ? 'missing' : 'duplicate');
      assert.equal(writer.bytes, bytes);
    }),
  );
});

test('nothing of a generation is written before the one it follows is complete', () => {
  const message = fc.record({ generation: fc.nat(2), range });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 150 }), (messages) => {
      const writers = [new Writer(), new Writer(), new Writer()];
      for (const { generation, range } of messages) {
        const before = writers[generation - 1];
        const after = before && { file: `f0-${generation - 1}`, size: SIZE };
        const verdict = writers[generation]!.take(
          data(range.start, range.end, after && { after }),
          before?.offset,
        );
        if (before !== undefined && (before.offset ?? 0) < SIZE) assert.notEqual(verdict.kind, 'write');
      }
    }),
  );
});

test('a generation that follows an incomplete one waits, and goes on as soon as it is complete', () => {
  const after = { file: 'f0-0', size: 40 };
  assert.equal(accept(data(0, 10, { after }), undefined, undefined).kind, 'missing');
  assert.equal(accept(data(0, 10, { after }), undefined, 39).kind, 'missing');
  assert.deepEqual(accept(data(0, 10, { after }), undefined, 40), { kind: 'write', from: 0 });
  const empty = { file: 'f0-0', size: 0 };
  assert.deepEqual(accept(data(0, 10, { after: empty }), undefined, undefined), { kind: 'write', from: 0 });
});

test('Begin counts only for a file that nothing is known of', () => {
  fc.assert(
    fc.property(fc.nat(SIZE), fc.nat(SIZE), range, (begin, offset, { start, end }) => {
      assert.deepEqual(
        accept(data(start, end, { begin }), offset, undefined),
        accept(data(start, end), offset, undefined),
      );
      assert.deepEqual(
        accept(data(start, end, { begin }), undefined, undefined),
        accept(data(start, end), begin, undefined),
      );
    }),
  );
});

test('a gap jumps over exactly the bytes that are not there yet, and only from the offset on', () => {
  fc.assert(
    fc.property(fc.nat(SIZE), range, (offset, { start, end }) => {
      const verdict = accept(gap(start, end), offset, undefined);
      if (start > offset) assert.deepEqual(verdict, { kind: 'missing' });
      else if (end <= offset) assert.deepEqual(verdict, { kind: 'duplicate' });
      else assert.deepEqual(verdict, { kind: 'gap', from: offset, to: end });
    }),
  );
});

test('an end is taken only when every byte before it is there, also of a generation without bytes', () => {
  assert.deepEqual(accept(end(10), 10, undefined), { kind: 'end' });
  assert.deepEqual(accept(end(0), undefined, undefined), { kind: 'end' });
  assert.deepEqual(accept(end(7, 7), undefined, undefined), { kind: 'end' });
  assert.deepEqual(accept(end(10), 9, undefined), { kind: 'missing' });
  assert.deepEqual(accept(end(10), 11, undefined), { kind: 'duplicate' });
});
