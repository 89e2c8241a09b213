// Chunks compressed in contexts that are used again: each is one frame that says how much it holds, whatever came before.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';

import fc from 'fast-check';

import { isOneFrame } from '../../../receiver/disk/frames.ts';
import { Packers } from '../../../shipper/cursor/packers.ts';

const MIB = 1024 * 1024;

/** Text that compresses, bytes that do not, and all the same. */
const data = fc
  .tuple(fc.constantFrom('text', 'random', 'same'), fc.integer({ min: 1, max: MIB }))
  .map(([kind, length]) => {
    if (kind === 'random') return randomBytes(length);
    if (kind === 'same') return Buffer.alloc(length, 'x');
    return Buffer.from(`${length} the same words again and again\n`.repeat(length / 30 + 1)).subarray(
      0,
      length,
    );
  });

test('what is packed at once and one after the other comes back, each as one frame', async () => {
  const packers = new Packers();
  await fc.assert(
    fc.asyncProperty(fc.array(data, { minLength: 1, maxLength: 8 }), async (chunks) => {
      const packed = await Promise.all(chunks.map(async (chunk) => await packers.pack(chunk)));
      for (const [index, chunk] of chunks.entries()) {
        const frame = packed[index] ?? Buffer.alloc(0);
        assert.ok(isOneFrame(frame, chunk.length), `${chunk.length} bytes are not one frame`);
        assert.ok(zstdDecompressSync(frame).equals(chunk), 'it comes back as it was');
      }
    }),
    { numRuns: 40 },
  );
});
