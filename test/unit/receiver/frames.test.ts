// Frames on disk: found by their headers whatever compressed them, cut behind, read from any byte on, and anything else
// is refused, also when it is nearly a frame.

import assert from 'node:assert/strict';
import { appendFile, open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { constants, zstdCompressSync } from 'node:zlib';

import fc from 'fast-check';

import { LogferryError } from '../../../common/runtime/errors.ts';
import { type Frame, frameEndBehind, framesIn, lastFrameEnd } from '../../../receiver/disk/frame-file.ts';
import { isOneFrame } from '../../../receiver/disk/frames.ts';
import type { Run } from '../../../receiver/ledger/ledger.ts';
import { openSegment } from '../../../receiver/disk/open-segment.ts';
import { type Piece, storedFrames } from '../../../receiver/disk/stored.ts';
import { scratch } from '../../support/central.ts';
import { unzstd } from '../../support/central-files.ts';

const bytes = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 3_000 }),
  fc
    .tuple(fc.stringMatching(/^[a-z ]{1,40}$/), fc.integer({ min: 1, max: 9_000 }))
    .map(([line, times]) => Buffer.from(`${line}\n`.repeat(times))),
);
const level = fc.integer({ min: -5, max: 5 });

function frame(data: Uint8Array, level = 1, params = {}): Buffer {
  return zstdCompressSync(data, {
    params: { [constants.ZSTD_c_compressionLevel]: level, ...params },
    pledgedSrcSize: data.length,
  });
}

test('one frame is one, and two, a part of one, or another size are not', () => {
  fc.assert(
    fc.property(bytes, level, fc.boolean(), fc.nat(), (data, level, hasChecksum, at) => {
      const one = frame(data, level, { [constants.ZSTD_c_checksumFlag]: Number(hasChecksum) });
      assert.ok(isOneFrame(one, data.length));
      assert.ok(!isOneFrame(one, data.length + 1));
      assert.ok(!isOneFrame(one.subarray(0, at % one.length), data.length));
      assert.ok(!isOneFrame(Buffer.concat([one, one]), data.length));
      assert.ok(!isOneFrame(Buffer.concat([one, Buffer.from([at & 255])]), data.length));
      const broken = Buffer.from(one);
      broken[at % 4]! ^= 1;
      assert.ok(!isOneFrame(broken, data.length));
    }),
    { numRuns: 300 },
  );
});

test('a frame that does not say how much it holds, or needs a dictionary, is not kept', () => {
  const data = Buffer.from('line\n'.repeat(1_000));
  assert.ok(
    !isOneFrame(zstdCompressSync(data, { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } }), data.length),
  );
  const withDictionary = frame(data);
  withDictionary[4]! |= 1;
  assert.ok(!isOneFrame(withDictionary, data.length));
});

/** Pieces that follow each other, in one generation or several. */
const pieces = fc
  .array(
    fc.tuple(bytes, fc.constantFrom('as it came', 'plain', 'two frames', 'with more behind'), fc.boolean()),
    {
      minLength: 1,
      maxLength: 12,
    },
  )
  .map((all) => {
    let [generation, at] = [0, 0];
    return all.map(([data, came, isNext]): Piece => {
      if (isNext) [generation, at] = [generation + 1, 0];
      const start = at;
      at += data.length;
      const half = data.length >> 1;
      const payload = {
        'as it came': frame(data),
        plain: undefined,
        'two frames': Buffer.concat([frame(data.subarray(0, half)), frame(data.subarray(half))]),
        'with more behind': Buffer.concat([frame(data), Buffer.from('garbage')]),
      }[came];
      const range = { file: `web1/g-${generation}`, start, end: at, tail: `${at}`, after: undefined };
      return { ...range, data, decoded: undefined, payload };
    });
  });

test('what is stored are frames that hold the pieces, each of one generation, and small ones together', async () => {
  await fc.assert(
    fc.asyncProperty(pieces, async (pieces) => {
      const stored = await storedFrames(pieces);
      for (const { bytes, start, end } of stored) assert.ok(isOneFrame(bytes, end - start));
      assert.deepEqual(
        unzstd(Buffer.concat(stored.map((one) => one.bytes))),
        Buffer.concat(pieces.map(({ data }) => data)),
      );
      for (const file of new Set(pieces.map((piece) => piece.file))) {
        const own = pieces.filter((one) => one.file === file);
        const theirs = stored.filter((one) => one.file === file);
        assert.deepEqual([theirs[0]!.start, theirs.at(-1)!.end], [own[0]!.start, own.at(-1)!.end]);
        if (own.every(({ data }) => data.length < 10_000)) assert.equal(theirs.length, 1);
      }
      const [only] = pieces;
      if (pieces.length === 1 && only!.payload !== undefined && isOneFrame(only!.payload, only!.data.length))
        assert.equal(
          stored[0]!.bytes,
          only!.payload.length <= only!.data.length ? only!.payload : stored[0]!.bytes,
        );
    }),
    { numRuns: 150 },
  );
});

async function all<T>(many: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of many) found.push(one);
  return found;
}

/** A file of frames behind another run, and the run of them. */
async function fileOf(
  t: TestContext,
  parts: readonly Uint8Array[],
): Promise<{ file: string; run: Run; frames: Frame[] }> {
  const file = path.join(await scratch(t), 'a.log.zst');
  const first = frame(Buffer.from('of another run\n'));
  await writeFile(file, first);
  const frames: Frame[] = [];
  let at = first.length;
  for (const part of parts) {
    const data = frame(part);
    await appendFile(file, data);
    frames.push({ from: at, to: (at += data.length), content: part.length });
  }
  const end = 100 + parts.reduce((sum, part) => sum + part.length, 0);
  const run = {
    ...{ term: 'here.1', file: 'web1/g-0', path: '/a.log', destination: 'web1/a.log', inode: 'i', tail: '' },
    ...{ format: 'zstd' as const, start: 100, end, from: first.length, to: at, sums: [] },
  };
  return { file, run, frames };
}

test('frames are found, cut behind, and read from any byte to any other', async (t) => {
  const parts = [1, 70_000, 300, 900_000, 5, 64].map((size, index) =>
    Buffer.from(`${index} a line of a log\n`.repeat(1 + size / 15)).subarray(0, size),
  );
  const whole = Buffer.concat(parts);
  const { file, run, frames } = await fileOf(t, parts);
  const handle = await open(file, 'r');
  const segment = openSegment(handle, run, file);
  t.after(() => segment.close());
  assert.deepEqual(await all(framesIn(handle, run.from, run.to)), frames);
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length), fc.nat(whole.length), fc.nat(run.to + 10), async (a, b, size) => {
      const [start, end] = [Math.min(a, b), Math.max(a, b)];
      const read = end === start ? [] : await all(segment.read(run, 100 + start, 100 + end));
      assert.ok(Buffer.concat(read).equals(whole.subarray(start, end)));
      // A frame ends where it was cut, and nothing that must stay lies behind it.
      if (end > 0) {
        const cut = await frameEndBehind(handle, run, 100 + end);
        const at = frames.findIndex(({ to }) => to === cut?.to);
        const sum = (upTo: number): number =>
          frames.slice(0, upTo).reduce((so, { content }) => so + content, 0);
        assert.ok(at >= 0 && cut?.end === 100 + sum(at + 1) && sum(at) < end && end <= sum(at + 1));
      }
      const last = await lastFrameEnd(handle, run, size);
      const fit = frames.filter(({ to }) => to <= size);
      assert.equal(last.to, fit.at(-1)?.to ?? run.from);
      assert.equal(last.end, 100 + fit.reduce((so, { content }) => so + content, 0));
    }),
    { numRuns: 100 },
  );
});

test('a damaged frame is named, and what is before it is read', async (t) => {
  const parts = ['one\n', 'two\n', 'three\n'].map((text) => Buffer.from(text.repeat(1_000)));
  const { file, run, frames } = await fileOf(t, parts);
  for (const at of [frames[1]!.from, frames[1]!.from + 5, frames[1]!.to - 3]) {
    const handle = await open(file, 'r+');
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, at);
    await handle.write(Buffer.from([byte[0]! ^ 0xff]), 0, 1, at);
    const segment = openSegment(handle, run, file);
    const read: Uint8Array[] = [];
    await assert.rejects(
      async () => {
        for await (const piece of segment.read(run, run.start, run.end)) read.push(piece);
      },
      (error) =>
        error instanceof LogferryError &&
        /a\.log\.zst does not decompress \(.*put it back/s.test(`${error.message}${error.hint}`),
      `at ${at}`,
    );
    assert.ok(Buffer.concat(read).subarray(0, parts[0]!.length).equals(parts[0]!));
    await handle.write(byte, 0, 1, at);
    await segment.close();
  }
});
