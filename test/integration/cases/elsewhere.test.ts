// Rotated away while nobody looked: compressed, or moved to another directory. Each time with bytes that were not shipped.

import assert from 'node:assert/strict';
import {
  createReadStream,
  createWriteStream,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  utimesSync,
} from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { createGzip, createZstdCompress, gzipSync } from 'node:zlib';

import { sleep, until } from '../../../common/runtime/run.ts';
import { TEST_MS, WAIT_MS } from '../../support/timeouts.ts';
import { assertIdentical } from '../../support/compare.ts';
import { World } from '../../support/world.ts';
import { Written } from '../../support/log-files.ts';

/** As gzip and zstd do it: the compressed file gets the time of the original, which goes. */
async function compress(file: string, kind: 'gz' | 'zst' = 'gz'): Promise<void> {
  const packed = `${file}.${kind}`;
  const { atime, mtime } = statSync(file);
  const packer = kind === 'gz' ? createGzip() : createZstdCompress();
  await pipeline(createReadStream(file), packer, createWriteStream(packed));
  utimesSync(packed, atime, mtime);
  unlinkSync(file);
}

/** A file of which some lines were shipped, and more were written while the shipper was down. */
async function whileDown(
  steps: (file: Written, world: World) => Promise<void>,
  then: (world: World, file: Written) => Promise<void> = async () => {},
): Promise<void> {
  await World.run('elsewhere', async (world) => {
    const file = new Written(world, 'app.log');
    for (let line = 0; line < 50; line += 1) file.line();
    const receiver = world.receive();
    let shipper = world.ship();
    await assertIdentical(world, [file]);
    await shipper.kill();
    for (let line = 0; line < 50; line += 1) file.line();
    await steps(file, world);
    shipper = world.ship();
    await then(world, file);
    await assertIdentical(world, [file]);
    assert.equal(/ are lost|"level":50/.test(shipper.stderr), false, shipper.stderr);
    file.close();
    await shipper.stop();
    await receiver.stop();
  });
}

for (const kind of ['gz', 'zst'] as const)
  test(`case 20: rotated to .${kind} while down`, { timeout: TEST_MS }, async () => {
    await whileDown(async (file) => {
      file.rotate();
      file.line();
      await compress(`${file.file}.1`, kind);
    });
  });

test('case 20: rotated twice while down, both compressed', { timeout: TEST_MS }, async () => {
  await whileDown(async (file) => {
    file.rotate();
    for (let line = 0; line < 30; line += 1) file.line();
    await compress(`${file.file}.1`);
    await sleep(20);
    renameSync(`${file.file}.1.gz`, `${file.file}.2.gz`);
    file.rotateTo(`${file.file}.1`);
    file.line();
    await compress(`${file.file}.1`);
  });
});

test('case 20: copied, truncated and compressed while down', { timeout: TEST_MS }, async () => {
  await whileDown(async (file) => {
    await file.copyTruncate();
    await compress(`${file.file}.1`);
    file.line();
  });
});

test('case 20: compressed after it was shipped: nothing twice', { timeout: TEST_MS }, async () => {
  await World.run('elsewhere', async (world) => {
    const file = new Written(world, 'app.log');
    for (let line = 0; line < 50; line += 1) file.line();
    const receiver = world.receive();
    let shipper = world.ship();
    await assertIdentical(world, [file]);
    for (let rotation = 1; rotation <= 3; rotation += 1) {
      file.rotate();
      for (let line = 0; line < 50; line += 1) file.line();
      await assertIdentical(world, [file]);
    }
    await shipper.stop();
    for (const number of [1, 2, 3]) await compress(`${file.file}.${number}`);
    shipper = world.ship();
    file.line();
    await assertIdentical(world, [file]);
    await sleep(500);
    await assertIdentical(world, [file]);
    file.close();
    await shipper.stop();
    await receiver.stop();
  });
});

test('case 21: the .gz is still being written when the shipper starts', { timeout: TEST_MS }, async () => {
  let whole = Buffer.alloc(0);
  await whileDown(
    async (file) => {
      file.rotate();
      file.line();
      whole = gzipSync(readFileSync(`${file.file}.1`));
      await writeFile(`${file.file}.1.gz`, whole.subarray(0, whole.length / 2));
      unlinkSync(`${file.file}.1`);
    },
    async (world, file) => {
      await until(
        () => readFileSync(path.join(world.dir, 'ship.log'), 'utf8').includes('still being written'),
        {
          timeoutMs: WAIT_MS,
        },
      );
      await writeFile(`${file.file}.1.gz`, whole);
    },
  );
});

test(
  'case 16: moved to another directory while down, and followed by another',
  { timeout: TEST_MS },
  async () => {
    await whileDown(async (file, world) => {
      await mkdir(path.join(world.source, 'old'));
      file.rotateTo(path.join(world.source, 'old', 'app.log-1'));
      for (let line = 0; line < 30; line += 1) file.line();
      await sleep(20);
      file.rotateTo(path.join(world.source, 'old', 'app.log-2'));
      file.line();
    });
  },
);

test('case 16: moved out of the directory while down, under another name', { timeout: TEST_MS }, async () => {
  await whileDown(async (file, world) => {
    await mkdir(path.join(world.dir, 'archive'));
    file.rotateTo(path.join(world.dir, 'archive', 'what.was.shipped'));
    file.line();
  });
});
