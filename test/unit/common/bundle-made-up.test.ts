// What somebody makes up as a message is refused, or gives nothing; and it never needs more room than it says.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';

import { Bundle } from '../../../common/wire/bundle.ts';
import { MAX_CHUNK_BYTES, type Row } from '../../../common/wire/chunk.ts';
import { GARBAGE, ROW, TEXT } from '../../support/garbage.ts';
import { contentsOf, made, type MadeUp, rows, someBytes, tryRead } from '../../support/made-up.ts';

const [, , , , , , TAIL] = ROW;

test('what is made up rightly is read', async () => {
  const { header, payload } = made(rows(ROW), { shared: TEXT });
  assert.deepEqual(await contentsOf(new Bundle(header, payload)), [TEXT]);
  const own = made(rows(ROW.with(7, TEXT.length)), { own: TEXT });
  assert.deepEqual(await contentsOf(new Bundle(own.header, own.payload)), [TEXT]);
});

for (const [name, { header, payload }] of GARBAGE)
  test(`${name} is refused as corrupt`, () => {
    assert.ok(tryRead(header, payload) === undefined);
  });

describe('bytes that are not what the table says, with the right checksum', () => {
  const gives = async ({ header, payload }: MadeUp): Promise<(Uint8Array | undefined)[]> =>
    await contentsOf(new Bundle(header, payload));
  const noise = someBytes(TEXT.length, 1, true);

  test('give nothing, and so does the frame where it is of another size', async () => {
    const size = 1_000;
    const row: Row = ['d', '/a', 'f', 0, size, 0, TAIL, 0];
    const good = someBytes(size, 5, false);
    const wrong = [
      zstdCompressSync(good.subarray(1)),
      zstdCompressSync(Buffer.concat([good, TEXT])),
      zstdCompressSync(good).subarray(0, -3),
      zstdCompressSync(Buffer.alloc(64 * 1024 ** 2)).subarray(0, size - 1),
      noise,
      Buffer.alloc(10),
      Buffer.from([0x28]),
    ];
    for (const bytes of wrong) {
      const [name, half] = [String(wrong.indexOf(bytes)), size / 2];
      const halves = [row.with(4, half), row.with(3, half).with(4, half)];
      assert.deepEqual(await gives(made(rows(row.with(7, bytes.length)), { own: bytes })), [undefined], name);
      const says = { bytes: size };
      assert.deepEqual(await gives(made(rows(row), { shared: bytes, says })), [undefined], name);
      assert.deepEqual(
        await gives(made(rows(...halves), { shared: bytes, says })),
        [undefined, undefined],
        name,
      );
    }
    assert.deepEqual(await gives(made(rows(row), { says: { bytes: size } })), [undefined]);
    assert.deepEqual(await gives(made(rows(row.with(7, size)), { own: good })), [good]);
  });

  test('a bomb needs no more room than it says', async () => {
    // zstd says 64 MiB in 6 KiB; the range says 8 MiB.
    const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 ** 2));
    const row: Row = ['d', '/a', 'f', 0, MAX_CHUNK_BYTES, 0, TAIL, 0];
    const before = process.memoryUsage().arrayBuffers;
    const own = made(rows(row.with(7, bomb.length)), { own: bomb });
    const shared = made(rows(row), { shared: bomb, says: { bytes: MAX_CHUNK_BYTES } });
    for (const each of [own, shared]) assert.deepEqual(await gives(each), [undefined]);
    assert.ok(process.memoryUsage().arrayBuffers - before < 48 * 1024 ** 2);
  });

  test('one damaged frame takes no other chunk along', async () => {
    const data = someBytes(1_000, 5, false);
    const frame = zstdCompressSync(data);
    const row: Row = ['d', '/a', 'f', 0, 1_000, 0, TAIL, frame.length];
    const bad = Buffer.alloc(frame.length, 7);
    const read = await gives(made(rows(row, row, ROW), { shared: TEXT, own: Buffer.concat([bad, frame]) }));
    assert.deepEqual(read, [undefined, data, TEXT]);
  });
});
