// The flags of rotation, compression, retention and access: what they mean, what is refused, and that `local` passes
// them on whole.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { z } from 'zod';

import { LogferryError } from '../../../common/runtime/errors.ts';
import { segmentArgs, segmentFlags, segmentOptions } from '../../../cli/flags/segment.ts';

const schema = z.strictObject(segmentFlags);

const DEFAULTS = {
  rotateSize: '100MiB',
  rotateInterval: '1d',
  format: 'plain',
  compress: 'off',
  keepAge: 'off',
  keepCount: 'off',
  keepSize: 'off',
  keepTotal: 'off',
};

/** `--keep-age 30d` as the key and the value of a flag. */
function keyed(args: readonly string[]): Record<string, string> {
  const values: Record<string, string> = {};
  for (let index = 0; index < args.length; index += 2) {
    const key = args[index]!.slice(2).replaceAll(/-[a-z]/g, (pair) => pair.slice(1).toUpperCase());
    values[key] = args[index + 1]!;
  }
  return values;
}

test('everything is off unless asked for', () => {
  const { upkeep, rotate } = segmentOptions(schema.parse(DEFAULTS));
  const off = { ageMs: undefined, count: undefined, sizeBytes: undefined, totalBytes: undefined };
  assert.deepEqual(upkeep, { compress: undefined, keep: off });
  assert.deepEqual(rotate.access, { mode: undefined, owner: undefined });
});

test('what is asked for, and the same again as arguments', () => {
  const given = {
    rotateSize: '1.5GiB',
    rotateInterval: 'off',
    format: 'plain',
    compress: 'zstd',
    keepAge: '30d',
    keepCount: '0',
    keepSize: '10GiB',
    keepTotal: '500GiB',
    fileMode: '0604',
    fileOwner: 'root:0',
  };
  const flags = schema.parse(given);
  const { upkeep, rotate } = segmentOptions(flags);
  const keep = { ageMs: 30 * 86_400_000, count: 0, sizeBytes: 10 * 1024 ** 3, totalBytes: 500 * 1024 ** 3 };
  assert.deepEqual(upkeep, { compress: 'zstd', keep });
  assert.deepEqual(rotate.access, { mode: 0o604, owner: { uid: 0, gid: 0 } });
  for (const one of [flags, schema.parse(DEFAULTS), schema.parse({ ...DEFAULTS, format: 'zstd' })])
    assert.deepEqual(segmentOptions(schema.parse(keyed(segmentArgs(one)))), segmentOptions(one));
});

test('what makes no sense is refused with what would', () => {
  for (const [key, value, expected] of [
    ['format', 'gzip', /^--format is "gzip", expected plain or zstd/],
    ['compress', 'lzma', /^--compress is "lzma", expected gzip or zstd/],
    ['keepAge', '30', /^--keep-age: "30" is not a duration/],
    ['keepCount', '-1', /^--keep-count is "-1", expected a whole number/],
    ['keepSize', 'big', /^--keep-size: "big" is not a size/],
    ['keepTotal', '0', /^--keep-total is "0", expected a size of at least/],
    ['fileMode', '888', /^--file-mode is "888", expected an octal mode like 0640/],
    ['fileMode', '0440', /^--file-mode is "0440", expected .* reading and writing for the owner/],
    ['fileMode', '4755', /^--file-mode is "4755"/],
    ['fileOwner', 'root', /^--file-owner is "root", expected user:group or uid:gid/],
    ['fileOwner', 'no such user:0', /^--file-owner: \/etc\/passwd has no "no such user"/],
    ['fileOwner', '0:no such group', /^--file-owner: \/etc\/group has no "no such group"/],
  ] as const)
    assert.throws(
      () => schema.parse({ ...DEFAULTS, [key]: value }),
      (error) => error instanceof LogferryError && error.code === 'usage' && expected.test(error.message),
      value,
    );
});

test('frames are compressed already: --compress beside --format zstd is refused', () => {
  const flags = schema.parse({ ...DEFAULTS, format: 'zstd', compress: 'gzip' });
  assert.throws(() => segmentOptions(flags), {
    code: 'usage',
    message: /^--compress gzip and --format zstd contradict each other/,
  });
  assert.equal(segmentOptions(schema.parse({ ...DEFAULTS, format: 'zstd' })).rotate.format, 'zstd');
});
