// The laws of comparing a file with what is known of a generation, on real files, plain and compressed: it has all of that
// exactly when all of it is there, and nothing of what is read is kept.

import assert from 'node:assert/strict';
import { open, readdir, readFile, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';

import fc from 'fast-check';

import { TAIL_BYTES } from '../../../common/wire/chunk.ts';
import { tailOf } from '../../../common/wire/digest.ts';
import { type Content, examine, type Examined } from '../../../shipper/files/examine.ts';
import { HEAD_BYTES, headOf } from '../../../shipper/files/identity.ts';
import { endOfSums, NO_SUMS } from '../../../shipper/files/sums.ts';
import {
  change,
  changed,
  firstDifference,
  linesOf,
  placeIn,
  share,
  size,
  sumsOf,
} from '../../support/known-bytes.ts';
import { inDirectory } from '../../support/temporary.ts';

const PACKERS: Readonly<Record<string, (data: Uint8Array) => Buffer>> = {
  '': (data) => Buffer.from(data),
  '.gz': gzipSync,
  '.zst': zstdCompressSync,
};
const extension = fc.constantFrom(...Object.keys(PACKERS));

/** Compressed in one go, or in two as one after the other. */
function packed(data: Uint8Array, as: string, cut: number): Buffer {
  const pack = PACKERS[as] ?? gzipSync;
  const at = placeIn(data.length, cut);
  return at === 0 ? pack(data) : Buffer.concat([pack(data.subarray(0, at)), pack(data.subarray(at))]);
}

/** What the file in a directory has of a generation, of which all bytes may be open. */
async function examined(
  directory: string,
  { name, data }: { readonly name: string; readonly data: Uint8Array },
  { content, whole }: { readonly content: Content; readonly whole?: Uint8Array | undefined },
  toEnd: boolean,
): Promise<Examined> {
  const file = path.join(directory, name);
  await writeFile(file, data);
  if (whole !== undefined) await writeFile(path.join(directory, 'whole'), whole);
  const handle = await open(file);
  const wholeHandle = whole && (await open(path.join(directory, 'whole')));
  try {
    const got = await examine({ handle, found: { path: file } }, [{ content, handle: wholeHandle }], toEnd);
    // Both are still open, and as they were.
    assert.ok((await readFile(handle)).equals(data));
    if (whole !== undefined) assert.ok((await wholeHandle?.readFile())?.equals(whole));
    const names = whole === undefined ? [name] : [name, 'whole'];
    assert.deepEqual((await readdir(directory)).toSorted(), names.toSorted());
    return got;
  } finally {
    await unlink(file);
    await handle.close();
    await wholeHandle?.close();
  }
}

const NOTHING: Content = { head: headOf(new Uint8Array()), sums: NO_SUMS, position: 0, tail: undefined };

/** What may be known of a file: of its head, of what was read, and up to where it was shipped. */
const knowledge = fc.record({
  head: share,
  from: fc.oneof(fc.constant(0), share),
  to: share,
  cuts: fc.array(share, { maxLength: 9 }),
  isRead: fc.constantFrom(true, true, true, false),
  position: share,
  isTailKnown: fc.boolean(),
});

interface Known {
  readonly content: Content;
  /** The stretches of which something is known. */
  readonly stretches: readonly (readonly [from: number, to: number])[];
}

function knownOf(file: Uint8Array, how: typeof knowledge extends fc.Arbitrary<infer T> ? T : never): Known {
  const head = headOf(file.subarray(0, placeIn(Math.min(HEAD_BYTES, file.length), how.head)));
  const from = placeIn(file.length, how.from);
  const sums = how.isRead
    ? sumsOf(file, from, from + placeIn(file.length - from, how.to), how.cuts)
    : NO_SUMS;
  const position = placeIn(file.length, how.position);
  const before = Math.max(0, position - TAIL_BYTES);
  const tail = how.isTailKnown ? tailOf(file.subarray(before, position)) : undefined;
  const stretches: [number, number][] = [[0, head.length]];
  if (sums.marks.length > 0) stretches.push([from, endOfSums(sums)]);
  stretches.push([how.isTailKnown ? before : position, position]);
  return { content: { head, sums, position, tail }, stretches };
}

test('a file has all of a generation exactly when it has all that is known of it', async () => {
  let [whole, other] = [0, 0];
  await inDirectory(async (directory) => {
    await fc.assert(
      fc.asyncProperty(
        ...([fc.nat(), size, knowledge, change, extension, share, fc.boolean()] as const),
        async (seed, length, how, as, extension, cut, toEnd) => {
          const file = linesOf(seed, length);
          const { content, stretches } = knownOf(file, how);
          const asked = changed(file, as);
          const data = packed(asked, extension, cut);
          const got = await examined(directory, { name: `a.1${extension}`, data }, { content }, toEnd);
          const isThere = stretches.every(
            ([from, to]) => to <= asked.length && firstDifference(file, asked, from) >= to,
          );
          const { marks } = content.sums;
          const isKnown = marks.length > 0 || (content.tail !== undefined && content.position > 0);
          const [held] = got.held;
          assert.equal(held?.isWhole, isKnown && isThere);
          assert.equal(held.isBeginning, false);
          // Of what lies between the last mark and the position only what stands before the position can tell.
          const told = content.tail === undefined ? 0 : content.position;
          if (held.isWhole) assert.equal(held.upTo, Math.max(told, marks.at(-1)?.[0] ?? 0));
          else {
            // The last mark that is reached before the first difference, if it was read as far.
            const difference = firstDifference(file, asked, content.sums.from);
            const most = marks.findLast(([end]) => end <= difference)?.[0] ?? 0;
            assert.ok(held.upTo <= most, `${held.upTo} > ${most}`);
            if (toEnd) assert.equal(held.upTo, most);
          }
          assert.ok(got.isComplete);
          assert.ok(toEnd ? got.size === asked.length : got.size <= asked.length);
          if (isKnown && isThere) whole += 1;
          if (isKnown && !isThere) other += 1;
        },
      ),
      { numRuns: 600 },
    );
  });
  assert.ok(whole > 50 && other > 50, `${whole} whole, ${other} others`);
});

test('it is a beginning of the open file exactly when that one begins with all that it holds', async () => {
  let [beginnings, others] = [0, 0];
  await inDirectory(async (directory) => {
    await fc.assert(
      fc.asyncProperty(
        ...([fc.nat(), size, share, change, extension, share, fc.boolean()] as const),
        async (seed, length, end, as, extension, cut, toEnd) => {
          const whole = linesOf(seed, length);
          const asked = changed(whole.subarray(0, placeIn(length, end)), as);
          const data = packed(asked, extension, cut);
          const got = await examined(
            directory,
            { name: `a.1${extension}`, data },
            { content: NOTHING, whole },
            toEnd,
          );
          const isBeginning = asked.length > 0 && whole.subarray(0, asked.length).equals(asked);
          assert.deepEqual(got.held, [{ isWhole: false, isOther: false, upTo: 0, isBeginning }]);
          if (isBeginning) assert.equal(got.size, asked.length);
          if (isBeginning) beginnings += 1;
          else others += 1;
        },
      ),
      { numRuns: 300 },
    );
  });
  assert.ok(beginnings > 50 && others > 50, `${beginnings} beginnings, ${others} others`);
});

for (const as of ['.gz', '.zst'])
  test(`a ${as} that was cut, or is none, is not complete, and has what it begins with`, async () => {
    await inDirectory(async (directory) => {
      await fc.assert(
        fc.asyncProperty(fc.nat(), size, share, fc.boolean(), async (seed, length, cut, isNone) => {
          const whole = linesOf(seed, Math.max(1, length));
          const data = isNone ? whole : packed(whole, as, 0);
          const end = isNone ? data.length : Math.min(placeIn(data.length, cut), data.length - 1);
          const asked = { content: { ...NOTHING, sums: sumsOf(whole, 0, whole.length, []) }, whole };
          const got = await examined(
            directory,
            { name: `a.1${as}`, data: data.subarray(0, end) },
            asked,
            true,
          );
          assert.equal(got.isComplete, false, `${end} of ${data.length} bytes`);
          assert.ok(got.size <= whole.length);
          // The last bytes of it are only those that say that it ends there.
          assert.equal(got.held[0]?.isWhole, got.size === whole.length);
          assert.equal(got.held[0]?.isBeginning, got.size > 0);
        }),
        { numRuns: 150 },
      );
    });
  });

test('nothing of it is written, however much it holds', async (t) => {
  const written = async (): Promise<number> =>
    Number(/^wchar: (\d+)$/m.exec(await readFile('/proc/self/io', 'latin1'))?.[1]);
  if (!Number.isFinite(await written().catch(() => Number.NaN))) {
    t.skip('nobody counts here what a process writes');
    return;
  }
  const data = Buffer.alloc(8 * 1024 * 1024, 'one line of some length\n');
  const content = { ...NOTHING, sums: sumsOf(data, 0, data.length, [0.3, 0.6]) };
  await inDirectory(async (directory) => {
    for (const [as, pack] of Object.entries(PACKERS)) {
      const file = path.join(directory, `a.1${as}`);
      await writeFile(file, pack(data));
      const handle = await open(file);
      const before = await written();
      const { held } = await examine({ handle, found: { path: file } }, [{ content }], true);
      const more = (await written()) - before;
      await handle.close();
      assert.equal(held[0]?.isWhole, true);
      assert.ok(more < data.length / 16, `${more} bytes were written of ${file}`);
    }
  });
});
