// Central files of zstd frames: what arrives is what was written, zstdcat reads every file at any moment, and a
// directory goes on in the other format without losing a byte.

import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { constants, zstdCompressSync } from 'node:zlib';

import { headers } from '@nats-io/transport-node';

import { BUNDLE_HEADER } from '../../common/wire/bundle.ts';
import { tailOf } from '../../common/wire/digest.ts';
import { until } from '../../common/runtime/run.ts';
import { publishSubject } from '../../common/wire/subjects.ts';
import { framesIn } from '../../receiver/disk/frame-file.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { ended, stops } from '../support/said.ts';
import { assertIdentical, assertShared } from '../support/compare.ts';
import { central, centralFiles, unzstd } from '../support/central-files.ts';
import { made, rows } from '../support/made-up.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

const ZSTD = ['--format', 'zstd'];

test('shipped, received as zstd frames: zstdcat and cat give the file', { timeout: TEST_MS }, async () => {
  await World.run('format', async (world) => {
    const file = new Written(world, 'a.log');
    const noise = randomFillSync(Buffer.alloc(200_000)).toString('base64');
    for (let count = 0; count < 20_000; count += 1) file.line(150);
    file.append(`${noise}\n`);
    const receiver = world.receive([...ZSTD, '--rotate-size', '100KiB']);
    const shipper = world.ship();
    await assertIdentical(world, [file]);
    for (let count = 0; count < 15; count += 1) {
      file.line(40);
      await assertIdentical(world, [file]);
    }
    file.rotate();
    file.append(`${noise}\n`);
    for (let count = 0; count < 1_000; count += 1) file.line(300);
    await assertIdentical(world, [file]);
    const files = await centralFiles(world.out, world.host, file.file);
    assert.ok(files.length > 1 && files.every((name) => name.endsWith('.zst')), files.join('\n'));
    let onDisk = 0;
    for (const name of files) onDisk += (await stat(name)).size;
    assert.ok(onDisk < file.bytes / 3, `${onDisk} bytes on disk for ${file.bytes}`);
    const cat = world.start('cat', ['cat', world.host, file.file, '--out', world.out]);
    assert.equal(await ended(cat), 0, cat.stderr);
    assert.equal(cat.stdout, (await file.truth()).toString());
    await stops(shipper);
    await stops(receiver);
  });
});

test('one format after the other, killed and stopped in between', { timeout: TEST_MS }, async () => {
  await World.run('formats', async (world) => {
    // The second one, in plain, is called as the first one's file in zstd.
    const files = ['a.log', 'a.log.zst'].map((name) => new Written(world, name));
    const globs = path.join(world.source, 'a.*');
    world.ship(['--no-default-excludes'], globs);
    for (const format of ['plain', 'zstd', 'zstd', 'plain', 'zstd']) {
      const receiver = world.receive(['--format', format]);
      for (let count = 0; count < 3; count += 1) {
        for (const file of files) for (let line = 0; line < 200; line += 1) file.line();
        await assertShared(files, [world.out]);
      }
      if (format === 'plain') await receiver.kill();
      else await stops(receiver);
    }
    for (const name of await centralFiles(world.out, world.host, files[0]!.file))
      if (name.includes('.log.2') && name.endsWith('.zst')) unzstd(await readFile(name));
  });
});

interface Sent {
  readonly name: string;
  readonly payload: Buffer;
}

/** A chunk in forms that a shipper would not send, and which hold it all the same. */
function oddForms(data: Buffer): Sent[] {
  const frame = zstdCompressSync(data, { pledgedSrcSize: data.length });
  const half = data.length >> 1;
  const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
  const checksum = zstdCompressSync(data, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });
  const noSize = zstdCompressSync(data, { params: { [constants.ZSTD_c_contentSizeFlag]: 0 } });
  const halves = [data.subarray(0, half), data.subarray(half)].map((part) => zstdCompressSync(part));
  return [
    { name: 'as it should be', payload: frame },
    { name: 'not compressed', payload: data },
    { name: 'with a checksum', payload: checksum },
    { name: 'of no said size', payload: noSize },
    { name: 'with something behind it', payload: Buffer.concat([frame, Buffer.from('more')]) },
    { name: 'with another frame behind it', payload: Buffer.concat([frame, ...halves]) },
    { name: 'with a skippable frame behind it', payload: Buffer.concat([frame, skippable]) },
  ];
}

/** What says that it is the chunk, with the right checksum of its payload, and is not. */
function damagedForms(data: Buffer): Sent[] {
  const frame = zstdCompressSync(data, { pledgedSrcSize: data.length });
  const reserved = Buffer.from(frame);
  // The type of the first block, behind a header of 4, 1 and 2 bytes.
  reserved[7]! |= 0x06;
  const half = data.subarray(0, data.length >> 1);
  return [
    { name: 'a block of no known type', payload: reserved },
    { name: 'half of a frame', payload: frame.subarray(0, frame.length >> 1) },
    { name: 'no frame', payload: data.subarray(1) },
    { name: 'a frame of less', payload: zstdCompressSync(half) },
    { name: 'a frame of more', payload: zstdCompressSync(Buffer.concat([data, half])) },
    {
      name: 'first a frame of less',
      payload: Buffer.concat([half, half].map((part) => zstdCompressSync(part))),
    },
  ];
}

test('whatever is sent, the file is whole frames of what was accepted', { timeout: TEST_MS }, async () => {
  await World.run('format-hostile', async (world) => {
    const receiver = world.receive(ZSTD);
    const { nc, jsm } = await world.connection();
    await until(
      async () =>
        await jsm.streams.info('LOGS').then(
          () => true,
          () => false,
        ),
      { timeoutMs: WAIT_MS },
    );
    const source = '/var/log/hostile.log';
    const subject = publishSubject('logs', world.host, 0);
    let expected = Buffer.alloc(0);
    const publish = async (data: Buffer, { payload }: Sent, isOwn: boolean): Promise<void> => {
      const tail = tailOf(Buffer.concat([expected, data]));
      const row = ['d', source, 'f0', expected.length, data.length, 0, tail, isOwn ? payload.length : 0];
      const parts = isOwn ? { own: payload } : { shared: payload, says: { bytes: data.length } };
      const message = made(rows(row), parts);
      const sent = headers();
      sent.set(BUNDLE_HEADER, message.header);
      nc.publish(subject, message.payload, { headers: sent });
      await nc.flush();
    };
    const arrived = async (): Promise<boolean> => {
      const got = await central(world.out, world.host, source);
      return got.equals(expected);
    };
    // Alone, and as small ones of which several come at once; large enough to be kept as they come, and not; with bytes of
    // their own, and as what small chunks share.
    for (const size of [300, 70_000])
      for (const isAlone of [true, false])
        for (const isOwn of [true, false])
          for (let form = 0; form < oddForms(Buffer.alloc(size)).length; form += 1) {
            const line = `${size} ${form} ${isAlone} ${isOwn} a line\n`;
            const data = Buffer.from(line.repeat(size / 10)).subarray(0, size);
            for (const damaged of damagedForms(data)) await publish(data, damaged, isOwn);
            const odd = oddForms(data)[form]!;
            const what = `${odd.name}, ${size} bytes, ${isOwn ? 'its own' : 'shared'}`;
            if (isAlone) assert.ok(await until(arrived, { timeoutMs: WAIT_MS }), `before ${what}`);
            await publish(data, odd, isOwn);
            expected = Buffer.concat([expected, data]);
            if (isAlone) assert.ok(await until(arrived, { timeoutMs: WAIT_MS }), what);
          }
    assert.ok(await until(arrived, { timeoutMs: WAIT_MS }));
    await stops(receiver);
    const cat = world.start('cat', ['cat', world.host, source, '--out', world.out]);
    assert.equal(await ended(cat), 0, cat.stderr);
    assert.equal(cat.stdout, expected.toString());
    const [name] = await centralFiles(world.out, world.host, source);
    const handle = await open(name!, 'r');
    let [frames, end] = [0, 0];
    for await (const frame of framesIn(handle, 0, (await handle.stat()).size))
      [frames, end] = [frames + 1, frame.to];
    assert.equal(end, (await handle.stat()).size);
    assert.ok(frames > 14, `${frames} frames`);
    await handle.close();
  });
});
