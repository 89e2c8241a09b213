// Compressed rotated files are read as gzip and zstd read them; what ends too early is noticed.

import assert from 'node:assert/strict';
import { mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';

import { readFully } from '../../../common/runtime/files.ts';
import { firstUnpacked, type Packing, packingOf, unpack } from '../../../shipper/files/unpack.ts';

const TEXT = Buffer.alloc(3_000_000, 'a line of some length\n');
const MORE = Buffer.from('and one that follows\n');

const packers: Record<Packing, (data: Buffer) => Buffer> = { gzip: gzipSync, zstd: zstdCompressSync };

async function inDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'logferry-unpack-'));
  try {
    await work(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

for (const packing of ['gzip', 'zstd'] as const) {
  const pack = packers[packing];
  test(`${packing}: one or several members, from any offset on`, async () => {
    await inDirectory(async (directory) => {
      const want = Buffer.concat([TEXT, MORE]);
      for (const packed of [pack(want), Buffer.concat([pack(TEXT), pack(MORE)])])
        for (const from of [0, 5, 300_000, TEXT.length - 1, want.length]) {
          const file = path.join(directory, 'packed');
          await writeFile(file, packed);
          const handle = await open(file);
          const unpacked = await unpack(handle, packing, directory, from);
          assert.deepEqual([unpacked.size, unpacked.isWhole], [want.length, true]);
          const got = Buffer.alloc(want.length);
          assert.equal(await readFully(unpacked.handle, got, from), want.length - from);
          assert.ok(got.subarray(0, want.length - from).equals(want.subarray(from)));
          const head = Buffer.alloc(1024);
          if (from < want.length) await readFully(unpacked.handle, head, 0);
          if (from < want.length) assert.ok(head.equals(want.subarray(0, 1024)));
          assert.ok((await firstUnpacked(handle, packing, 1024)).equals(want.subarray(0, 1024)));
          assert.deepEqual(await readdir(directory), ['packed'], 'unpacked bytes have no name');
          await unpacked.handle.close();
          await handle.close();
        }
    });
  });

  test(`${packing}: cut short, or nothing of the kind`, async () => {
    await inDirectory(async (directory) => {
      const whole = pack(TEXT);
      for (const packed of [whole.subarray(0, -1), whole.subarray(0, 40), MORE, Buffer.alloc(0)]) {
        const file = path.join(directory, 'packed');
        await writeFile(file, packed);
        const handle = await open(file);
        const unpacked = await unpack(handle, packing, directory, 0);
        assert.equal(unpacked.isWhole, false);
        const got = Buffer.alloc(unpacked.size);
        await readFully(unpacked.handle, got, 0);
        assert.ok(got.equals(TEXT.subarray(0, got.length)), 'what was unpacked is what it began with');
        await unpacked.handle.close();
        await handle.close();
      }
    });
  });
}

test('the name tells how it is compressed', () => {
  assert.deepEqual(packingOf('app.log.1.gz'), { packing: 'gzip', plain: 'app.log.1' });
  assert.deepEqual(packingOf('app.log-20261121.zst'), { packing: 'zstd', plain: 'app.log-20261121' });
  assert.deepEqual(packingOf('app.log.1'), { packing: undefined, plain: 'app.log.1' });
});
