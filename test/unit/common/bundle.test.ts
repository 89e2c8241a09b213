// The laws of a message: what was packed is read, whatever happens to it is noticed, and nothing that anybody makes up gets
// past the reader or makes it need more room than it says.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';

import fc from 'fast-check';

import {
  BUNDLE_HEADER,
  Bundle,
  bundleIn,
  MAX_CHUNKS,
  packBundle,
  type Packed,
  type Sent,
  SHARED_BYTES,
} from '../../../common/wire/bundle.ts';
import { type Chunk, MAX_CHUNK_BYTES } from '../../../common/wire/chunk.ts';
import { tailOf } from '../../../common/wire/digest.ts';
import { contentsOf, someBytes, tryRead } from '../../support/made-up.ts';

const STAMP = '0123abcd.7';
const ENDED: Chunk = { kind: 'end', start: 5, end: 5, begin: 0, after: undefined, reason: 'rotated' };

/** A chunk, and its source bytes where it has some. */
interface Given {
  readonly sent: Sent;
  readonly bytes: Buffer | undefined;
}

const path = fc.oneof(
  fc.constantFrom(
    '/var/log/a.log',
    '__proto__',
    'constructor',
    '/nul\0/new\nline',
    '/é/🚢',
    '/x'.repeat(2_048),
  ),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }),
);
const file = fc.stringMatching(/^[a-z0-9-]{1,20}$/);
const offset = fc.oneof(fc.nat(1000), fc.integer({ min: 0, max: 2 ** 52 }));
const after = fc.option(
  fc.record({ file, size: offset }).map(({ file, size }) => ({ file, size })),
  { nil: undefined },
);
/** Small ones, and those around the size from which a chunk has a frame of its own. */
const size = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 200 }) },
  { weight: 1, arbitrary: fc.integer({ min: SHARED_BYTES - 1, max: SHARED_BYTES + 1 }) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 200_000 }) },
);
const FORMS = ['plain', 'frame'] as const;

const data: fc.Arbitrary<Given> = fc
  .tuple(path, file, offset, offset, after, size, fc.nat(1_000), fc.boolean(), fc.constantFrom(...FORMS))
  .map(([path, file, start, begin, after, size, seed, isNoise, form]) => {
    const bytes = someBytes(size, seed, isNoise);
    const frame = zstdCompressSync(bytes);
    const payload = form === 'frame' && frame.length < bytes.length ? frame : bytes;
    const chunk: Chunk = { kind: 'data', start, end: start + size, begin, after, tail: tailOf(bytes) };
    return { sent: { path, file, chunk, payload }, bytes };
  });
const none = new Uint8Array();
const end: fc.Arbitrary<Given> = fc
  .tuple(path, file, offset, after, fc.constantFrom('rotated', 'truncated', 'deleted'))
  .map(([path, file, start, after, reason]) => {
    const chunk: Chunk = { kind: 'end', start, end: start, begin: 0, after, reason };
    return { sent: { path, file, chunk, payload: none }, bytes: undefined };
  });
const gap: fc.Arbitrary<Given> = fc
  .tuple(path, file, offset, fc.integer({ min: 1, max: 1_000 }), after, fc.string({ maxLength: 100 }))
  .map(([path, file, start, length, after, reason]) => {
    const chunk: Chunk = { kind: 'gap', start, end: start + length, begin: 0, after, reason };
    return { sent: { path, file, chunk, payload: none }, bytes: undefined };
  });
const mixed = fc.array(fc.oneof({ weight: 4, arbitrary: data }, end, gap), { minLength: 1, maxLength: 8 });

function packed(given: readonly Given[], compress: boolean): Packed {
  return packBundle(
    STAMP,
    given.map(({ sent }) => sent),
    compress,
  );
}

describe('a message that was packed', () => {
  test('is read as what it was made from, compressed or not', async () => {
    await fc.assert(
      fc.asyncProperty(mixed, fc.boolean(), async (given, compress) => {
        const { header, payload } = packed(given, compress);
        const bundle = new Bundle(header, payload);
        assert.equal(bundle.stamp, STAMP);
        assert.deepEqual(
          bundle.listed,
          given.map(({ sent: { path, file, chunk } }) => ({ path, file, chunk })),
        );
        assert.equal(
          bundle.bytes,
          given.reduce((sum, { bytes }) => sum + (bytes?.length ?? 0), 0),
        );
        for (const [index, { bytes, sent }] of given.entries()) {
          if (bytes === undefined) {
            assert.equal(bundle.frameOf(index), undefined);
            continue;
          }
          const read = await bundle.bytesOf(index);
          assert.ok(read !== undefined && bytes.equals(read), `chunk ${index}`);
          const isFrame = sent.payload.length < bytes.length;
          const frame = bundle.frameOf(index);
          assert.equal(frame !== undefined, isFrame);
          if (frame !== undefined) assert.ok(Buffer.from(sent.payload).equals(frame));
        }
      }),
    );
  });

  test('has a header of printable ASCII, and is never much larger than what it holds', () => {
    fc.assert(
      fc.property(mixed, fc.boolean(), (given, compress) => {
        const { header, payload } = packed(given, compress);
        assert.match(header, /^[!-~]+( [!-~]+)+$/);
        assert.ok(header.length < 100);
        const content = given.reduce((sum, { sent }) => sum + sent.payload.length, 0);
        const table = given.reduce((sum, { sent }) => sum + JSON.stringify(sent).length, 0);
        const withoutPayloads =
          table - given.reduce((sum, { sent }) => sum + JSON.stringify(sent.payload).length, 0);
        assert.ok(payload.length <= content + withoutPayloads + 100);
      }),
    );
  });

  test('holds as many chunks as a table may have, and as many bytes', async () => {
    const small = (index: number): Sent => ({
      ...{ path: `/${index}`, file: `f${index}`, payload: Buffer.from([index]) },
      chunk: { kind: 'data', start: 0, end: 1, begin: 0, after: undefined, tail: '0123456789ab' },
    });
    const many = Array.from({ length: MAX_CHUNKS }, (_, index) => small(index));
    const all = packBundle(STAMP, many, true);
    const bundle = new Bundle(all.header, all.payload);
    assert.deepEqual(await bundle.bytesOf(MAX_CHUNKS - 1), Buffer.from([(MAX_CHUNKS - 1) % 256]));
    const large = someBytes(MAX_CHUNK_BYTES, 3, false);
    for (const payload of [large, zstdCompressSync(large)]) {
      const chunk: Chunk = {
        ...{ kind: 'data', start: 5, end: 5 + large.length, begin: 0, after: undefined },
        tail: tailOf(large),
      };
      const one = packBundle(STAMP, [{ path: '/a', file: 'f', chunk, payload }], true);
      const read = await new Bundle(one.header, one.payload).bytesOf(0);
      assert.ok(read !== undefined && large.equals(read));
    }
  });

  test('is read from the stream with the host that its subject names', () => {
    const { header, payload } = packed(
      [{ sent: { path: '/a', file: 'f', payload: none, chunk: ENDED }, bytes: undefined }],
      false,
    );
    const get = (name: string): string => (name === BUNDLE_HEADER ? header : '');
    const { host, bundle } = bundleIn('logs', {
      subject: 'logs.7.web%2E1.3',
      header: get,
      data: payload,
    });
    assert.deepEqual([host, bundle.listed.length], ['web.1', 1]);
    for (const subject of ['logs.web1.3', 'logs.7.web1.%2Fa.f', 'other.7.web1.3', 'logs.7.web~1.3'])
      assert.throws(() => bundleIn('logs', { subject, header: get, data: payload }), { code: 'corrupt' });
    assert.throws(() => bundleIn('logs', { subject: 'logs.7.web1.3', header: () => '', data: payload }), {
      code: 'corrupt',
    });
  });
});

describe('a message that was damaged', () => {
  /** One of each kind, each of them short: all flips can be tried. */
  const examples = (): Given[][] => {
    const one = (size: number, isFrame: boolean, path = '/a'): Given => {
      const bytes = someBytes(size, size, false);
      const chunk: Chunk = {
        kind: 'data',
        start: 7,
        end: 7 + size,
        begin: 0,
        after: undefined,
        tail: tailOf(bytes),
      };
      const payload = isFrame ? zstdCompressSync(bytes) : bytes;
      return { sent: { path, file: 'f-0', chunk, payload }, bytes };
    };
    const marker: Given = {
      sent: { path: '/a', file: 'f-0', chunk: ENDED, payload: none },
      bytes: undefined,
    };
    return [
      [one(3, false)],
      [one(300, true)],
      [one(20, false), one(30, false, '/b'), one(300, true, '/c')],
      [
        one(100, false),
        one(100, false, '/b'),
        one(300, true, '/c'),
        one(301, true, '/d'),
        one(400, true, '/e'),
      ],
      [marker],
      [one(20, false), marker, one(300, true)],
    ];
  };

  /** It is refused, or gives nothing for each chunk; what it still gives is what was sent for the very same chunk. */
  const assertHarmless = async (
    given: readonly Given[],
    header: string,
    payload: Uint8Array,
  ): Promise<void> => {
    const bundle = tryRead(header, payload);
    if (bundle === undefined) return;
    const contents = await contentsOf(bundle);
    for (const [index, { path, file, chunk }] of bundle.listed.entries()) {
      if (chunk.kind === 'data' && contents[index] === undefined) {
        assert.equal(bundle.frameOf(index), undefined);
        continue;
      }
      const { sent, bytes } = given[index] ?? assert.fail('a chunk too many');
      assert.deepEqual({ path, file, chunk }, { path: sent.path, file: sent.file, chunk: sent.chunk });
      if (bytes !== undefined) assert.ok(bytes.equals(contents[index] ?? none));
    }
  };

  for (const [number, given] of examples().entries())
    for (const compress of [false, true])
      test(`example ${number}, ${compress ? 'compressed' : 'as it is'}: no flip of a byte gives other bytes`, async () => {
        const { header, payload } = packed(given, compress);
        await assertHarmless(given, header, payload);
        for (let at = 0; at < payload.length; at += 1)
          for (const flip of [1, 2, 4, 8, 16, 32, 64, 128, 255]) {
            const damaged = Buffer.from(payload);
            damaged[at] = (damaged[at] ?? 0) ^ flip;
            const bundle = tryRead(header, damaged);
            for (const read of bundle === undefined ? [] : await contentsOf(bundle))
              assert.equal(read, undefined);
            assert.ok(
              bundle?.listed.every(({ chunk }) => chunk.kind === 'data') ?? true,
              'a marker is believed',
            );
          }
        for (let at = 0; at < header.length; at += 1)
          for (let byte = 0; byte < 128; byte += 1) {
            const damaged = Buffer.from(header, 'latin1');
            damaged[at] = byte;
            await assertHarmless(given, damaged.toString('latin1'), payload);
          }
      });

  test('is cut off, or has more behind it: it is refused, or gives nothing', async () => {
    await fc.assert(
      fc.asyncProperty(
        mixed,
        fc.boolean(),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (given, compress, part) => {
          const { header, payload } = packed(given, compress);
          const cut = payload.subarray(0, Math.floor((payload.length - 1) * part));
          assert.equal(tryRead(header, cut), undefined);
          assert.equal(tryRead(header, Buffer.concat([payload, Buffer.alloc(1)])), undefined);
          await assertHarmless(given, header, Buffer.concat([payload.subarray(1), payload.subarray(0, 1)]));
        },
      ),
    );
  });

  test('any bytes behind any header are refused, or are what the checksum says', async () => {
    const number = fc.oneof(fc.nat(20), fc.nat(999_999_999));
    const header = fc.oneof(
      fc.string(),
      fc.tuple(number, number, number, number).map((lengths) => `1 ${STAMP} ${lengths.join(' ')} 00000000`),
    );
    await fc.assert(
      fc.asyncProperty(header, fc.uint8Array({ maxLength: 200 }), async (header, payload) => {
        await assertHarmless([], header, payload);
      }),
      { numRuns: 2_000 },
    );
  });
});
