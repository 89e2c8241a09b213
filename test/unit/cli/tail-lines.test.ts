// The laws of lines out of chunks: whatever the boundaries, repeats, holes and order, each byte comes once, no line is
// taken apart that came whole, and none of another generation is in it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { LastLines, linesBack } from '../../../cli/tail/last-lines.ts';
import { type Block, LineKeeper } from '../../../cli/tail/lines.ts';
import type { SourceName } from '../../../common/wire/subjects.ts';

const source = (file: string): SourceName => ({ host: 'web1', path: '/a.log', file });
const A = source('a-0');
const bytes = (text: string): Uint8Array => Buffer.from(text);
const textOf = (blocks: readonly Block[]): string =>
  Buffer.concat(blocks.map((block) => block.bytes)).toString();

/** Files with empty, short and longer lines, with a newline at the end or without. */
const file = fc.stringMatching(/^[ab\n]{1,60}$/);
/** Where it is cut; any order, any number. */
const cuts = fc.array(fc.nat(60), { maxLength: 12 });

function chunksOf(text: string, at: readonly number[]): { start: number; data: Uint8Array }[] {
  const ends = [...new Set([...at.filter((one) => one > 0 && one < text.length), text.length])].toSorted(
    (a, b) => a - b,
  );
  return ends.map((end, index) => {
    const start = ends[index - 1] ?? 0;
    return { start, data: bytes(text.slice(start, end)) };
  });
}

/** Takes it all; every block is complete lines of one generation. */
function takeAll(
  keeper: LineKeeper,
  name: SourceName,
  chunks: readonly { readonly start: number; readonly data: Uint8Array }[],
): Block[] {
  return chunks.flatMap(({ start, data }) => keeper.take(name, { start, begin: 0 }, data, 1));
}

test('whatever the boundaries, the lines are those of the file', () => {
  fc.assert(
    fc.property(file, cuts, (text, at) => {
      const keeper = new LineKeeper();
      const blocks = takeAll(keeper, A, chunksOf(text, at));
      const whole = text.slice(0, text.lastIndexOf('\n') + 1);
      assert.equal(textOf(blocks), whole, 'only whole lines, until it ends');
      for (const block of blocks) {
        assert.ok(block.isComplete && block.begins === 'line');
        assert.equal(text.slice(block.offset, block.offset + block.bytes.length), textOf([block]));
        assert.ok(block.offset === 0 || text[block.offset - 1] === '\n');
      }
      const rest = keeper.end(A);
      assert.equal(textOf(rest), text.slice(whole.length));
      assert.deepEqual(keeper.flush(), []);
      assert.deepEqual(keeper.end(A), []);
    }),
  );
});

test('what comes again, in whatever cut, is not handed out again', () => {
  fc.assert(
    fc.property(file, cuts, cuts, fc.nat(12), (text, at, other, count) => {
      const keeper = new LineKeeper();
      const chunks = chunksOf(text, at);
      const blocks = takeAll(keeper, A, chunks.slice(0, count));
      const again = chunksOf(text, other);
      blocks.push(...takeAll(keeper, A, again), ...takeAll(keeper, A, chunks));
      assert.equal(textOf([...blocks, ...keeper.flush()]), text);
      for (const { start, data } of [...chunks, ...again])
        assert.ok(!keeper.wants(A, { start, end: start + data.length }));
    }),
  );
});

test('whatever the order and the holes, every byte from the first one that came on comes once', () => {
  const shuffled = fc.tuple(file, cuts).chain(([text, at]) => {
    const chunks = chunksOf(text, at);
    return fc.record({
      text: fc.constant(text),
      order: fc.array(fc.constantFrom(...chunks), { minLength: 1, maxLength: 30 }),
    });
  });
  fc.assert(
    fc.property(shuffled, ({ text, order }) => {
      const keeper = new LineKeeper();
      const blocks = [...takeAll(keeper, A, order), ...keeper.flush()];
      const times = Array.from({ length: text.length }, () => 0);
      for (const block of blocks) {
        assert.equal(text.slice(block.offset, block.offset + block.bytes.length), textOf([block]));
        for (let at = 0; at < block.bytes.length; at += 1) times[block.offset + at]! += 1;
      }
      const first = order[0]?.start ?? 0;
      const came = new Set(order.flatMap(({ start, data }) => [...data.keys()].map((at) => start + at)));
      for (const [at, count] of times.entries())
        assert.equal(count, at >= first && came.has(at) ? 1 : 0, `byte ${at}`);
    }),
  );
});

test('generations do not meet in a line, however they are mixed', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(file, cuts), { minLength: 2, maxLength: 4 }),
      fc.infiniteStream(fc.nat(3)),
      (files, draws) => {
        const keeper = new LineKeeper();
        const left = files.map(([text, at]) => chunksOf(text, at));
        const blocks: Block[] = [];
        while (left.some((chunks) => chunks.length > 0)) {
          const index = draws.next().value ?? 0;
          const one = left[index % left.length]?.shift();
          if (one !== undefined) blocks.push(...takeAll(keeper, source(`g-${index % left.length}`), [one]));
        }
        for (const block of blocks) assert.ok(block.isComplete, 'a line of one is never cut by another');
        blocks.push(...keeper.flush());
        for (const [index, [text]] of files.entries())
          assert.equal(textOf(blocks.filter((block) => block.source.file === `g-${index}`)), text);
      },
    ),
  );
});

test('a first chunk in the middle of a file may begin within a line', () => {
  const keeper = new LineKeeper();
  const [one, ...more] = keeper.take(A, { start: 10, begin: 0 }, bytes('c\nd\n'), 5);
  assert.deepEqual(more, []);
  assert.deepEqual([one?.begins, one?.offset, one?.atMs], ['unknown', 10, 5]);
  const [known] = new LineKeeper().take(A, { start: 10, begin: 10 }, bytes('c\n'), 5);
  assert.equal(known?.begins, 'line', 'the shipping began there');
});

test('a gap ends the line before it, and is known once', () => {
  const keeper = new LineKeeper();
  keeper.take(A, { start: 0, begin: 0 }, bytes('abc'), 1);
  assert.equal(textOf(keeper.skip(A, { start: 3, end: 9 }) ?? []), 'abc');
  assert.equal(keeper.skip(A, { start: 3, end: 9 }), undefined);
  const [after] = keeper.take(A, { start: 9, begin: 0 }, bytes('x\n'), 1);
  assert.deepEqual([after?.begins, after?.offset], ['unknown', 9]);
  assert.ok(!keeper.wants(A, { start: 3, end: 9 }), 'those bytes do not exist');
});

test('what is held is given after a time of quiet, and the rest goes on behind it', () => {
  const keeper = new LineKeeper();
  keeper.take(A, { start: 0, begin: 0 }, bytes('ab'), 1, 1_000);
  assert.deepEqual(keeper.quiet(999), []);
  const [held] = keeper.quiet(1_000);
  assert.deepEqual([held?.begins, held?.isComplete, textOf(held ? [held] : [])], ['line', false, 'ab']);
  const [rest, next] = keeper.take(A, { start: 2, begin: 0 }, bytes('c\nd\n'), 1, 2_000);
  assert.deepEqual([rest?.begins, rest?.offset], ['inside', 2]);
  assert.equal(next, undefined);
});

test('held lines are bounded: the one that exceeds it is given as it is', () => {
  const keeper = new LineKeeper({ heldBytes: 10, generations: 100 });
  assert.deepEqual(keeper.take(A, { start: 0, begin: 0 }, bytes('x'.repeat(9)), 1), []);
  const [given] = keeper.take(source('b-0'), { start: 0, begin: 0 }, bytes('yy'), 1);
  assert.deepEqual([given?.source.file, given?.isComplete], ['b-0', false]);
  assert.deepEqual(
    keeper.take(source('c-0'), { start: 0, begin: 0 }, bytes('z'), 1),
    [],
    'there is room again',
  );
});

test('generations are bounded: of the one that nothing came of for longest, the rest is given', () => {
  const keeper = new LineKeeper({ heldBytes: 100, generations: 2 });
  keeper.take(source('a-0'), { start: 0, begin: 0 }, bytes('a'), 1);
  keeper.take(source('b-0'), { start: 0, begin: 0 }, bytes('b'), 1);
  keeper.take(source('a-0'), { start: 1, begin: 0 }, bytes('a'), 1);
  const [given] = keeper.take(source('c-0'), { start: 0, begin: 0 }, bytes('c'), 1);
  assert.deepEqual([given?.source.file, textOf(given ? [given] : [])], ['b-0', 'b']);
  assert.equal(textOf(keeper.flush()), 'aac');
});

test('the last lines of a block, one by one', () => {
  fc.assert(
    fc.property(file, fc.integer({ min: 1, max: 10 }), (text, most) => {
      const block: Block = {
        source: A,
        offset: 100,
        bytes: bytes(text),
        begins: 'unknown',
        isComplete: text.endsWith('\n'),
        atMs: 1,
      };
      const all = text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
      const lines = linesBack(block, most).toReversed();
      assert.deepEqual(
        lines.map((line) => textOf([line])),
        all.slice(-most),
      );
      for (const line of lines) {
        assert.equal(textOf([line]), text.slice(line.offset - 100, line.offset - 100 + line.bytes.length));
        assert.equal(line.begins, line.offset === 100 ? 'unknown' : 'line');
        assert.equal(line.isComplete, textOf([line]).endsWith('\n'));
      }
    }),
  );
});

test('rings keep the last lines of each file, in the order of the stream', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(2), fc.integer({ min: 1, max: 5 })), { maxLength: 20 }), (adds) => {
      const rings = new LastLines(3);
      const all: { file: number; text: string }[] = [];
      for (const [seq, [name, count]] of adds.entries()) {
        const lines = Array.from({ length: count }, (_, at) => `${name}-${seq}-${at}\n`);
        all.push(...lines.map((text) => ({ file: name, text })));
        const block = { source: A, offset: 0, bytes: bytes(lines.join('')), isComplete: true, atMs: 1 };
        rings.add(String(name), { ...block, begins: 'line' }, seq);
      }
      const wanted = all.filter(
        (one, at) => all.slice(at + 1).filter((other) => other.file === one.file).length < 3,
      );
      assert.equal(textOf(rings.sorted()), wanted.map(({ text }) => text).join(''));
      for (const name of [0, 1, 2])
        assert.equal(rings.isFull(String(name)), all.filter((one) => one.file === name).length >= 3);
    }),
  );
});

test('rings are bounded together, and say so', () => {
  const rings = new LastLines(10, 50);
  const block = { source: A, offset: 0, isComplete: true, atMs: 1, begins: 'line' } as const;
  for (let seq = 0; seq < 20; seq += 1)
    rings.add(String(seq % 2), { ...block, bytes: bytes(`${'x'.repeat(9)}\n`) }, seq);
  assert.ok(rings.isCut);
  assert.equal(rings.sorted().length, 5);
});
