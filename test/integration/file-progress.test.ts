// What a shipper knows of each of its files: sizes, and how far behind each is.

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { isRemotePath, isRemoteType } from '../../shipper/files/file-systems.ts';
import { ship } from '../../shipper/ship.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import type { FileProgress } from '../../shipper/report/reading.ts';
import { descriptorLimit } from '../../common/runtime/descriptors.ts';
import { assertIdentical } from '../support/compare.ts';
import { shipOptions } from '../support/in-process.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

void test('each file says how far behind it is, and for how long', async () => {
  await World.run('file-progress', async (world) => {
    const files = [new Written(world, 'a.log'), new Written(world, 'b.log')];
    for (const file of files) file.line();
    let each: readonly FileProgress[] = [];
    const stop = new AbortController();
    const done = ship(
      {
        ...shipOptions(world, world.host, path.join(world.source, '*.log')),
        onProgress: (progress) => {
          each = progress.each();
        },
      },
      stop.signal,
    );
    try {
      const of = (file: Written): FileProgress | undefined =>
        each.find(({ path: name }) => name === file.file);
      const isBehind = (file: Written): boolean => {
        const { size, published, committed, lagBytes, lagMs } = of(file) ?? assert.fail();
        return size === 100 && published === 100 && committed === 0 && lagBytes === 100 && lagMs > 500;
      };
      // Nobody receives yet.
      const waiting = async (): Promise<boolean> =>
        await Promise.resolve(each.length === 2 && files.every(isBehind));
      assert.ok(await until(waiting, { timeoutMs: WAIT_MS }), JSON.stringify(each));
      world.receive();
      const isThere = (file: Written): boolean => {
        const { committed, lagBytes, lagMs, error } = of(file) ?? assert.fail();
        return committed === 100 && lagBytes === 0 && lagMs === 0 && error === undefined;
      };
      assert.ok(await until(() => files.every(isThere), { timeoutMs: WAIT_MS }), JSON.stringify(each));
      await assertIdentical(world, files);
    } finally {
      stop.abort();
      await done;
    }
  });
});

void test('file systems that are somewhere else are not watched', async () => {
  const remote = [0x6969, 0xff534d42, 0xfe534d42, -0x1acb2be, 0x01021997, 0x65735546];
  for (const type of remote) assert.equal(isRemoteType(type), true, type.toString(16));
  // ext4, xfs, btrfs, tmpfs, overlayfs, zfs
  const local = [0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1];
  for (const type of local) assert.equal(isRemoteType(type), false, type.toString(16));
  assert.equal(await isRemotePath('/proc'), false);
  assert.equal(await isRemotePath('/nowhere/at/all'), false);
});

void test('the limit of descriptors is the soft one', () => {
  const limits =
    'Limit  Soft Limit  Hard Limit  Units\nMax open files            256                  4096                 files\n';
  assert.equal(descriptorLimit(limits), 256);
  assert.equal(descriptorLimit(''), Number.POSITIVE_INFINITY);
  assert.equal(
    descriptorLimit('Max open files            unlimited            unlimited            files\n'),
    Number.POSITIVE_INFINITY,
  );
});
