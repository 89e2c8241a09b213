// The laws of a table's rows: what was sent is read, and nothing hostile gets past the reader.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { type Chunk, chunkOf, MAX_CHUNK_BYTES, type Row, rowOf } from '../../../common/wire/chunk.ts';
import { LogferryError } from '../../../common/runtime/errors.ts';

const offset = fc.oneof(fc.nat(1000), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER - MAX_CHUNK_BYTES }));
const length = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: MAX_CHUNK_BYTES }));
const after = fc.option(
  fc.tuple(fc.stringMatching(/^[a-z0-9-]{1,80}$/), offset).map(([file, size]) => ({ file, size })),
  { nil: undefined },
);
const tail = fc.stringMatching(/^[0-9a-f]{12}$/);

const data: fc.Arbitrary<Chunk> = fc
  .tuple(offset, length, offset, after, tail)
  .map(([start, length, begin, after, tail]) => ({
    kind: 'data',
    start,
    end: start + length,
    begin,
    after,
    tail,
  }));
const end: fc.Arbitrary<Chunk> = fc
  .tuple(offset, offset, after, fc.constantFrom('rotated', 'truncated', 'deleted'))
  .map(([start, begin, after, reason]) => ({ kind: 'end', start, end: start, begin, after, reason }));
const gap: fc.Arbitrary<Chunk> = fc
  .tuple(offset, length, offset, after, fc.string({ unit: 'grapheme', maxLength: 20 }))
  .map(([start, length, begin, after, reason]) => ({
    kind: 'gap',
    start,
    end: start + length,
    begin,
    after,
    reason,
  }));
const chunk = fc.oneof(data, end, gap);

/** What a receiver gets of a row: it was JSON meanwhile. */
function sent(row: unknown): unknown {
  return JSON.parse(JSON.stringify(row));
}

type Read = ReturnType<typeof chunkOf>;

/** Parses, or says undefined; anything but `corrupt` is thrown on. */
function tryRead(row: unknown): Read | undefined {
  try {
    return chunkOf(row);
  } catch (error) {
    if (error instanceof LogferryError && error.code === 'corrupt') return undefined;
    throw error;
  }
}

function assertWithinBounds({ chunk, own, path, file }: Read): void {
  const { start, end, begin, after, kind } = chunk;
  for (const number of [start, end, begin, own, after?.size ?? 0]) {
    assert.ok(Number.isSafeInteger(number) && number >= 0);
    assert.ok(!Object.is(number, -0));
  }
  assert.ok(start <= end);
  assert.equal(kind === 'end', start === end);
  if (kind === 'data') assert.ok(end - start <= MAX_CHUNK_BYTES);
  else assert.equal(own, 0);
  if (kind === 'gap') assert.ok(chunk.reason.length <= 200);
  if (after !== undefined) assert.match(after.file, /^[a-z0-9-]{1,80}$/);
  assert.deepEqual([typeof path, typeof file], ['string', 'string']);
}

test('a row is read as the chunk that it was made from, and as nothing else', () => {
  fc.assert(
    fc.property(chunk, fc.string(), fc.string(), fc.nat(), (chunk, path, file, bytes) => {
      const own = chunk.kind === 'data' ? bytes : 0;
      assert.deepEqual(chunkOf(sent(rowOf(path, file, chunk, own))), { path, file, chunk, own });
    }),
    { numRuns: 500 },
  );
});

const value = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.double(),
  fc.constantFrom(
    -0,
    -1,
    0.5,
    1e300,
    2 ** 53,
    null,
    true,
    '',
    '0',
    '__proto__',
    'constructor',
    'd',
    'e',
    'g',
  ),
  offset,
);

test('whatever one field is changed to, the rest parses within bounds or is refused as corrupt', () => {
  fc.assert(
    fc.property(chunk, fc.nat(10), value, (chunk, at, value) => {
      const row: unknown[] = [...rowOf('/a', 'f0-0', chunk, 0)];
      row[at] = value;
      const read = tryRead(row);
      if (read !== undefined) assertWithinBounds(read);
    }),
    { numRuns: 3000 },
  );
});

test('whatever is in the place of a row parses within bounds or is refused as corrupt', () => {
  const row = fc.oneof(fc.array(value, { maxLength: 12 }), fc.jsonValue(), fc.anything());
  fc.assert(
    fc.property(row, (row) => {
      const read = tryRead(row);
      if (read !== undefined) assertWithinBounds(read);
    }),
    { numRuns: 3000 },
  );
});

const plain: Row = ['d', '/a', 'f0-0', 10, 10, 0, '0123456789ab', 0, 'f1-0', 5];
const marker: Row = ['e', '/a', 'f0-0', 10, 0, 0, 'rotated', 0];
const gone: Row = ['g', '/a', 'f0-0', 10, 5, 0, 'gone', 0];

const refused: [row: Row, at: number, value: unknown, why: string][] = [
  [plain, 0, 'x', 'another kind'],
  [plain, 0, '__proto__', 'a kind that is the name of something'],
  [plain, 1, 7, 'a path that is a number'],
  [plain, 2, null, 'no file id'],
  [plain, 3, -1, 'a negative offset'],
  [plain, 3, -0, 'a negative zero'],
  [plain, 3, 1.5, 'half a byte'],
  [plain, 3, '10', 'an offset as text'],
  [plain, 3, 2 ** 53, 'an offset that no number holds'],
  [plain, 3, 1e300, 'an offset without end'],
  [plain, 3, Number.MAX_SAFE_INTEGER, 'a range that ends where no number is'],
  [plain, 4, 0, 'a range without bytes'],
  [plain, 4, -5, 'a range that goes backwards'],
  [plain, 4, MAX_CHUNK_BYTES + 1, 'more bytes than a chunk may claim'],
  [plain, 5, -0, 'a beginning at negative zero'],
  [plain, 5, [0], 'a beginning that is a list'],
  [plain, 6, '0123456789AB', 'a tail in capitals'],
  [plain, 6, '../../../etc', 'a tail that is a path'],
  [plain, 6, '0123456789ab\n', 'a tail with a line break'],
  [plain, 7, -1, 'less than no bytes of its own'],
  [plain, 8, '../../etc', 'a file id before that is none'],
  [plain, 8, '', 'an empty file id before'],
  [plain, 9, null, 'a generation without its size'],
  [plain, 10, 0, 'a field too many'],
  [marker, 4, 5, 'an end with bytes'],
  [marker, 6, 'exploded', 'an end for no known reason'],
  [marker, 6, 'toString', 'a reason that is the name of something'],
  [marker, 7, 5, 'an end with a payload'],
  [marker, 8, 'f1-0', 'a row of nine fields'],
  [gone, 4, 0, 'a gap of no bytes'],
  [gone, 7, 5, 'a gap with a payload'],
  [gone, 6, 7, 'a reason that is a number'],
];

for (const [row, at, value, why] of refused)
  test(`${why} is refused as corrupt, in one short line`, () => {
    chunkOf(row);
    const wrong: unknown[] = [...row];
    wrong[at] = value;
    assert.throws(
      () => chunkOf(wrong),
      (error) =>
        error instanceof LogferryError &&
        error.code === 'corrupt' &&
        error.message.startsWith('the table of a message has [') &&
        error.message.length < 250,
    );
  });

test('what is nested deeper than the stack is refused as corrupt too', () => {
  const depth = 100_000;
  const nested: unknown = JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`);
  for (const row of [nested, [nested], plain.with(3, nested as never), { length: 8, 0: nested }])
    assert.throws(() => chunkOf(row), { code: 'corrupt' });
});

test('a long reason is cut off', () => {
  const { chunk } = chunkOf(gone.with(6, 'x'.repeat(10_000)));
  assert.equal(chunk.kind === 'gap' ? chunk.reason.length : 0, 200);
});
