// The laws of telling a copy from a file that nobody has seen, on real files of random lines: what is there once more is a
// copy, what begins alike for a header's length is new, and bytes that nobody has seen are never a copy.

import assert from 'node:assert/strict';
import { type FileHandle, open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import fc from 'fast-check';

import { tailOf } from '../../../common/wire/digest.ts';
import type { Seen } from '../../../shipper/files/candidate.ts';
import { examine } from '../../../shipper/files/examine.ts';
import { HEAD_BYTES, headOf } from '../../../shipper/files/identity.ts';
import { NO_SUMS } from '../../../shipper/files/sums.ts';
import { judge, LEAST_PROOF_BYTES } from '../../../shipper/sources/copies.ts';
import { linesOf, share, sumsOf } from '../../support/known-bytes.ts';
import { inDirectory } from '../../support/temporary.ts';

const BORN = 1_000_000n;

/** A generation of random lines that was read to its end, in pieces. */
const generation = fc.record({
  seed: fc.nat(),
  size: fc.oneof(fc.integer({ min: 1, max: 600 }), fc.noBias(fc.integer({ min: 1, max: 6_000 }))),
  cuts: fc.array(share, { maxLength: 9 }),
});
type Generation = typeof generation extends fc.Arbitrary<infer T> ? T : never;

function bytesOf({ seed, size }: Generation): Buffer {
  return linesOf(seed, size);
}

/** As a shipper knows it that has closed its file. */
function finished(one: Generation): Seen {
  const bytes = bytesOf(one);
  const head = headOf(bytes.subarray(0, HEAD_BYTES));
  const sums = sumsOf(bytes, 0, bytes.length, one.cuts);
  return {
    content: { head, sums, position: bytes.length, tail: tailOf(bytes) },
    size: bytes.length,
    isFound: true,
  };
}

/** As one knows it that has the file open, and perhaps nothing else of it. */
function opened(one: Generation, handle: FileHandle, isRead: boolean): Seen {
  const known = finished(one);
  if (isRead) return { ...known, handle };
  return { ...known, handle, content: { ...known.content, sums: NO_SUMS, position: 0, tail: undefined } };
}

type Judged = ReturnType<typeof judge>;
type Ask = (file: Uint8Array, known: readonly Seen[], least?: number) => Promise<Judged>;

/** Asks about files in a directory, of which `hold` opens others. */
async function asking(
  work: (ask: Ask, hold: (bytes: Uint8Array) => Promise<FileHandle>) => Promise<void>,
): Promise<void> {
  await inDirectory(async (directory) => {
    const held: FileHandle[] = [];
    const hold = async (name: string, bytes: Uint8Array): Promise<FileHandle> => {
      await writeFile(path.join(directory, name), bytes);
      const handle = await open(path.join(directory, name));
      held.push(handle);
      return handle;
    };
    const ask: Ask = async (file, known, least = LEAST_PROOF_BYTES) => {
      const handle = await hold('app.log.1', file);
      const got = await examine({ handle, found: { path: 'app.log.1' } }, known);
      for (const each of held.splice(0)) await each.close();
      return judge(file.length, got.held, known, least, BORN);
    };
    await work(ask, async (bytes) => await hold('app.log', bytes));
  });
}

const others = fc.array(generation, { maxLength: 3 });

test('all of a generation once more is a copy, whatever else is known', async () => {
  await asking(async (ask) => {
    await fc.assert(
      fc.asyncProperty(generation, others, fc.nat(3), async (one, all, at) => {
        const known = all.map(finished).toSpliced(at, 0, finished(one));
        assert.equal(await ask(bytesOf(one), known), 'copy');
      }),
      { numRuns: 200 },
    );
  });
});

test('what an open file begins with is a copy, but for a header, which counts only where the file is older', async () => {
  const [asked, ends] = [fc.noBias(fc.integer({ min: 1, max: 2_000 })), new Set<string>()];
  await asking(async (ask, hold) => {
    await fc.assert(
      fc.asyncProperty(
        ...([generation, asked, fc.boolean(), fc.constantFrom(undefined, -1n, 0n, 1n)] as const),
        async (one, length, isRead, later) => {
          const bytes = bytesOf(one);
          const beginning = bytes.subarray(0, length);
          const modified = later === undefined ? undefined : BORN + later;
          const known = { ...opened(one, await hold(bytes), isRead), modified };
          const isAll = isRead && beginning.length === bytes.length;
          const isProven = beginning.length >= LEAST_PROOF_BYTES || later === 1n || isAll;
          const got = await ask(beginning, [known]);
          assert.equal(got, isProven ? 'copy' : 'new');
          ends.add(got);
        },
      ),
      { numRuns: 300 },
    );
  });
  assert.equal(ends.size, 2);
});

test('a header alone, which a closed generation begins with too, is new', async () => {
  await asking(async (ask) => {
    await fc.assert(
      fc.asyncProperty(
        generation,
        fc.integer({ min: 1, max: LEAST_PROOF_BYTES - 1 }),
        async (one, length) => {
          fc.pre(length < one.size);
          assert.equal(await ask(bytesOf(one).subarray(0, length), [finished(one)]), 'new');
        },
      ),
      { numRuns: 200 },
    );
  });
});

test('a generation and more is none of both, or a copy where nobody knows its end', async () => {
  await asking(async (ask) => {
    await fc.assert(
      fc.asyncProperty(generation, fc.integer({ min: 1, max: 900 }), async (one, more) => {
        const file = Buffer.concat([bytesOf(one), linesOf(one.seed + 1, more)]);
        assert.equal(await ask(file, [finished(one)]), one.size < LEAST_PROOF_BYTES ? 'new' : 'grown');
        assert.equal(await ask(file, [{ ...finished(one), isFound: false }]), 'copy');
      }),
      { numRuns: 200 },
    );
  });
});

/** Begins as a generation does, for so many bytes, and goes on with others; with as many in all, or fewer, or more. */
const begun = fc.record({ alike: share, size: fc.noBias(fc.integer({ min: 1, max: 8_000 })) });

function beginsAlike(one: Generation, { alike, size }: { alike: number; size: number }): Buffer {
  const bytes = bytesOf(one);
  const same = bytes.subarray(0, Math.floor(alike * Math.min(bytes.length, size - 1)));
  const rest = linesOf(one.seed + 1, size - same.length);
  // The first of the other bytes is another one.
  const [first = 0] = bytes.subarray(same.length);
  if (rest[0] === first) rest[0] = first ^ 1;
  return Buffer.concat([same, rest]);
}

/** Whether it was closed or is still open, and whatever else is known: not a copy. */
async function neverCopied(isHeader: boolean): Promise<void> {
  await asking(async (ask, hold) => {
    await fc.assert(
      fc.asyncProperty(generation, begun, fc.boolean(), others, async (one, how, isOpen, all) => {
        const alike = Math.floor(how.alike * Math.min(one.size, how.size - 1));
        fc.pre(!isHeader || alike < LEAST_PROOF_BYTES);
        const known = isOpen ? opened(one, await hold(bytesOf(one)), true) : finished(one);
        assert.notEqual(await ask(beginsAlike(one, how), [known, ...all.map(finished)]), 'copy');
      }),
      { numRuns: 300, endOnFailure: true },
    );
  });
}

test('what begins alike for the length of a header, and goes on with other bytes, is never a copy', async () => {
  await neverCopied(true);
});

test('what begins alike for however long is never a copy either', async () => {
  await neverCopied(false);
});
