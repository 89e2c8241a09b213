// The laws of names on disk: two sources never share a file, and no segment's name, compressed or not, is ever a
// destination's.

import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';

import fc from 'fast-check';

import {
  baseOfSegment,
  bySegmentTime,
  compressedName,
  destinationOf,
  type Encoding,
  flatDestinationOf,
  isSegmentOf,
  segmentName,
} from '../../../receiver/ledger/names.ts';

const time = fc.date({ min: new Date('2000-01-01'), max: new Date('2100-01-01'), noInvalidDate: true });
const encoding = fc.constantFrom<(Encoding | undefined)[]>(undefined, 'gzip', 'zstd');
const index = fc.integer({ min: 1, max: 999 });

/** What a segment of this name is called. */
function named(base: string, at: Date, number: number, as: Encoding | undefined): string {
  const name = segmentName(base, at, number);
  return as === undefined ? name : compressedName(name, as);
}

/** Names as they are trouble here: of dots, of percent signs, of segments of segments. */
const plain = fc.oneof(
  fc.stringMatching(/^[a-z.%~]{1,8}$/),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 300 }),
  fc.constantFrom('.', '..', '.logferry', '.logferry.x', 'a.log', '%2E', '%2Elogferry'),
);
const name = fc
  .tuple(plain, fc.array(fc.tuple(time, index, encoding), { maxLength: 2 }))
  .map(([base, suffixes]) =>
    suffixes.reduce((so, [at, number, as]) => named(so, at, number, as), base).replaceAll('/', '_'),
  );

test('whatever a host and a path are called, no destination leaves the output directory or is in its state', () => {
  const part = fc.oneof(name, fc.constantFrom('', '.', '..', '.logferry', '\0', '%2F..'));
  const source = fc.array(part, { maxLength: 5 }).map((parts) => parts.join('/'));
  const anyHost = fc.oneof(part, source);
  fc.assert(
    fc.property(
      anyHost,
      fc.oneof(
        source,
        source.map((each) => `/${each}`),
      ),
      (host, file) => {
        fc.pre(host !== '');
        for (const destination of [destinationOf(host, file), flatDestinationOf(host, file)]) {
          const names = destination.split('/');
          assert.ok(names.length >= 2, destination);
          for (const one of names) {
            assert.ok(!['', '.', '..'].includes(one) && !one.startsWith('.logferry'), destination);
            for (const char of one) assert.ok(char >= ' ' && char !== '\u007F', JSON.stringify(one));
          }
        }
      },
    ),
    { numRuns: 5_000 },
  );
});

test('two names of a directory never share a destination, nor is one a segment of the other', () => {
  fc.assert(
    fc.property(name, name, time, index, encoding, (a, other, at, number, as) => {
      for (const b of [other, named(a, at, number, as)]) {
        const [one = '', two = ''] = [a, b].map((each) =>
          path.basename(destinationOf('web1', `/var/${each}`)),
        );
        if (a.isWellFormed() && b.isWellFormed() && a !== b) assert.notEqual(one, two);
        assert.ok(!isSegmentOf(one, two), `${two} would be a segment of ${one}`);
        assert.ok(!isSegmentOf(two, one), `${one} would be a segment of ${two}`);
        const flat = path.basename(flatDestinationOf('web1', `/var/${b}`));
        assert.ok(!isSegmentOf(one, flat) && !isSegmentOf(flat, one));
      }
    }),
    { numRuns: 5_000 },
  );
});

test('a segment of a destination is one, compressed or not, and its name fits', () => {
  fc.assert(
    fc.property(name, time, index, encoding, (source, at, number, as) => {
      const base = path.basename(destinationOf('web1', `/var/${source}`));
      const segment = named(base, at, number, as);
      assert.equal(baseOfSegment(segment), base);
      assert.ok(Buffer.byteLength(segment) <= 255, `${Buffer.byteLength(segment)} bytes`);
    }),
  );
});

test('the segments of a destination sort by time, then by number, compressed or not', () => {
  const one = fc.tuple(time, index, encoding);
  fc.assert(
    fc.property(one, one, ([timeA, indexA, asA], [timeB, indexB, asB]) => {
      const expected = Math.sign(timeA.getTime() - timeB.getTime()) || Math.sign(indexA - indexB);
      const order = bySegmentTime(named('a.log', timeA, indexA, asA), named('a.log', timeB, indexB, asB));
      assert.equal(Math.sign(order), expected);
    }),
  );
  const sorted = ['', '-2', '-10'].flatMap((number) => `a.log.20260101T000000000Z${number}`);
  assert.deepEqual(sorted.toReversed().toSorted(bySegmentTime), sorted);
});
