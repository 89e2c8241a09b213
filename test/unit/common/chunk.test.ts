// The laws of message headers: what was sent is read, and nothing hostile gets past the reader.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { type Chunk, chunkHeaders, HEADER, MAX_CHUNK_BYTES, parseChunk } from '../../../common/wire/chunk.ts';
import { LogferryError } from '../../../common/runtime/errors.ts';

const offset = fc.oneof(fc.nat(1000), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER - MAX_CHUNK_BYTES }));
const length = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: MAX_CHUNK_BYTES }));
const after = fc.option(
  fc.tuple(fc.stringMatching(/^[a-z0-9-]{1,80}$/), offset).map(([file, size]) => ({ file, size })),
  { nil: undefined },
);
const hex = (digits: number): fc.Arbitrary<string> => fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`));

const data: fc.Arbitrary<Chunk> = fc
  .tuple(offset, length, offset, after, hex(12), fc.constantFrom('none', 'zstd'), fc.nat(0xffffffff))
  .map(([start, length, begin, after, tail, encoding, crc32]) => ({
    kind: 'data',
    start,
    end: start + length,
    begin,
    after,
    tail,
    encoding,
    crc32,
  }));
const end: fc.Arbitrary<Chunk> = fc
  .tuple(offset, offset, after, fc.constantFrom('rotated', 'truncated', 'deleted'))
  .map(([start, begin, after, reason]) => ({ kind: 'end', start, end: start, begin, after, reason }));
const gap: fc.Arbitrary<Chunk> = fc
  .tuple(offset, length, offset, after, fc.stringMatching(/^[ -~]{0,100}$/))
  .map(([start, length, begin, after, reason]) => ({
    kind: 'gap',
    start,
    end: start + length,
    begin,
    after,
    reason,
  }));
const chunk = fc.oneof(data, end, gap);

/** What the payload of a chunk weighs; compressed, it may be anything. */
function payloadOf(chunk: Chunk): number {
  if (chunk.kind !== 'data') return 0;
  return chunk.encoding === 'zstd' ? 17 : chunk.end - chunk.start;
}

function read(headers: ReadonlyMap<string, string>, payloadBytes: number): Chunk {
  return parseChunk((name) => headers.get(name), payloadBytes);
}

/** Parses, or says undefined; anything but `corrupt` is thrown on. */
function tryRead(headers: ReadonlyMap<string, string>, payloadBytes: number): Chunk | undefined {
  try {
    return read(headers, payloadBytes);
  } catch (error) {
    if (error instanceof LogferryError && error.code === 'corrupt') return undefined;
    throw error;
  }
}

function assertWithinBounds(chunk: Chunk, payloadBytes: number): void {
  const { start, end, begin, after, kind } = chunk;
  for (const number of [start, end, begin, after?.size ?? 0])
    assert.ok(Number.isSafeInteger(number) && number >= 0);
  assert.ok(start <= end);
  assert.equal(kind === 'end', start === end);
  if (kind !== 'data') assert.equal(payloadBytes, 0);
  else if (chunk.encoding === 'none') assert.equal(payloadBytes, end - start);
  if (kind === 'data') assert.ok(end - start <= MAX_CHUNK_BYTES);
  if (after !== undefined) assert.match(after.file, /^[a-z0-9-]{1,80}$/);
}

test('headers parse back to the chunk that they were made from', () => {
  fc.assert(
    fc.property(chunk, (chunk) => {
      assert.deepEqual(read(new Map(chunkHeaders(chunk)), payloadOf(chunk)), chunk);
    }),
    { numRuns: 500 },
  );
});

test('a header is one line of printable ASCII, without blanks around its value', () => {
  fc.assert(
    fc.property(fc.oneof(data, end), (chunk) => {
      for (const [, value] of chunkHeaders(chunk)) assert.match(value, /^[!-~]([ -~]*[!-~])?$/);
    }),
  );
});

test('whatever one header is changed to, the rest parses within bounds or is refused as corrupt', () => {
  const value = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^[0-9a-fx+. -]{0,20}$/),
    fc.constantFrom(
      '',
      '0-0',
      '5-4',
      '0-99999999999999999',
      '-1-5',
      '1e3-2e3',
      '0x1-0x2',
      '0-1 ',
      'gzip',
      'ended',
      '٣-٤',
    ),
    fc.tuple(offset, offset).map(([start, end]) => `${start}-${end}`),
  );
  fc.assert(
    fc.property(
      chunk,
      fc.constantFrom(...Object.values(HEADER)),
      fc.option(value, { nil: undefined }),
      fc.option(fc.nat(MAX_CHUNK_BYTES), { nil: undefined }),
      (chunk, name, value, bytes) => {
        const headers = new Map(chunkHeaders(chunk));
        if (value === undefined) headers.delete(name);
        else headers.set(name, value);
        const payloadBytes = bytes ?? payloadOf(chunk);
        const parsed = tryRead(headers, payloadBytes);
        if (parsed !== undefined) assertWithinBounds(parsed, payloadBytes);
      },
    ),
    { numRuns: 3000 },
  );
});

test('headers of any kind, in any number, parse within bounds or are refused as corrupt', () => {
  const any = fc.dictionary(fc.constantFrom(...Object.values(HEADER)), fc.string());
  fc.assert(
    fc.property(any, fc.nat(100), (headers, payloadBytes) => {
      const parsed = tryRead(new Map(Object.entries(headers)), payloadBytes);
      if (parsed !== undefined) assertWithinBounds(parsed, payloadBytes);
    }),
    { numRuns: 1000 },
  );
});

const plain: Chunk = {
  kind: 'data',
  start: 10,
  end: 20,
  begin: 0,
  after: { file: 'f0-0', size: 5 },
  tail: '0123456789ab',
  encoding: 'none',
  crc32: 0xbeef,
};

const refused: [name: string, value: string, why: string][] = [
  [HEADER.range, '20-10', 'a range that goes backwards'],
  [HEADER.range, '10-10', 'a range without bytes'],
  [HEADER.range, '10-21', 'a range that the payload does not fill'],
  [HEADER.range, '', 'no range'],
  [HEADER.begin, '-1', 'a negative offset'],
  [HEADER.begin, '9007199254740993', 'an offset that no number holds'],
  [HEADER.after, '../../etc 5', 'a file id that is none'],
  [HEADER.after, 'f0-0', 'a generation without its size'],
  [HEADER.tail, '0123456789AB', 'a tail in capitals'],
  [HEADER.crc32, 'beef', 'a short checksum'],
  [HEADER.encoding, 'gzip', 'another compression'],
  [HEADER.end, 'rotated', 'an end with bytes'],
  [HEADER.gap, '10-20 gone', 'a gap with bytes'],
];

for (const [name, value, why] of refused)
  test(`${why} is refused as corrupt, and the header is named`, () => {
    assert.deepEqual(read(new Map(chunkHeaders(plain)), 10), plain);
    const headers = new Map(chunkHeaders(plain)).set(name, value);
    assert.throws(
      () => read(headers, 10),
      (error) => error instanceof LogferryError && error.code === 'corrupt' && error.message.includes(name),
    );
  });

test('more bytes than a chunk may claim are refused, compressed too', () => {
  const large: Chunk = {
    ...plain,
    kind: 'data',
    start: 0,
    end: MAX_CHUNK_BYTES + 1,
    encoding: 'zstd',
  } as Chunk;
  assert.throws(() => read(new Map(chunkHeaders(large)), 100), { code: 'corrupt' });
});
