// The laws of checksums in a ledger: joined without reading, they are those of the bytes, before and after a
// compaction; of what was cut within nothing is said.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 as zlibCrc32 } from 'node:zlib';

import fc from 'fast-check';

import { combineCrc32, crc32, hex32, parse32 } from '../../../common/wire/digest.ts';
import {
  allRuns,
  applyLine,
  emptyLedger,
  type Ledger,
  type LedgerLine,
} from '../../../receiver/ledger/ledger.ts';
import { compactLines, decodeLine, encodeLine } from '../../../receiver/ledger/lines.ts';
import { addSum, stretchesOf, SUM_BYTES, type Sum } from '../../../receiver/ledger/sums.ts';

const bytes = fc.uint8Array({ maxLength: 3_000 });

test('the CRC-32 of two stretches is combined as zlib computes it over both', () => {
  fc.assert(
    fc.property(bytes, bytes, (first, second) => {
      const whole = zlibCrc32(second, zlibCrc32(first));
      assert.equal(combineCrc32(zlibCrc32(first), zlibCrc32(second), second.length), whole);
    }),
    { numRuns: 2_000 },
  );
});

test('of long stretches too', () => {
  for (const length of [1, 4_095, 1 << 20, (64 << 20) + 7]) {
    const zeros = Buffer.alloc(length);
    const first = zlibCrc32('something');
    assert.equal(combineCrc32(first, zlibCrc32(zeros), length), zlibCrc32(zeros, first));
  }
  // Joined from halves: nobody makes so many bytes.
  const [a, half] = [zlibCrc32('a'), 2 ** 40];
  let zeros = zlibCrc32(Buffer.alloc(1));
  for (let length = 1; length < half; length *= 2) zeros = combineCrc32(zeros, zeros, length);
  const whole = combineCrc32(zeros, zeros, half);
  assert.equal(combineCrc32(combineCrc32(a, zeros, half), zeros, half), combineCrc32(a, whole, half * 2));
});

test('what names no checksum is none', () => {
  for (const text of ['', '1', 'ABCDEF01', '123456789', 'zzzzzzzz']) assert.equal(parse32(text), undefined);
  fc.assert(fc.property(bytes, (data) => assert.equal(parse32(hex32(crc32(data))), crc32(data))));
});

type Step = { readonly append: Uint8Array; readonly known: boolean } | { readonly cutTo: number };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({ append: fc.uint8Array({ minLength: 1, maxLength: 40 }), known: fc.boolean() }),
    },
    { weight: 1, arbitrary: fc.record({ cutTo: fc.double({ min: 0, max: 1, noNaN: true }) }) },
  ),
  { maxLength: 25 },
);

const DESTINATION = 'web1/x.log';

/** The lines of one growing file, and what it holds. */
function written(all: readonly Step[]): { lines: LedgerLine[]; disk: Buffer } {
  const lines: LedgerLine[] = [{ version: 1, directory: 'here', partition: 7 }];
  let disk = Buffer.alloc(0);
  for (const step of all) {
    if ('cutTo' in step) {
      const to = Math.floor(disk.length * step.cutTo);
      disk = disk.subarray(0, to);
      lines.push({ cut: DESTINATION, inode: 'i', to });
      continue;
    }
    const [start, end] = [disk.length, disk.length + step.append.length];
    const checksum = step.known ? hex32(crc32(step.append)) : '';
    const place = { start, end, from: start, to: end, destination: DESTINATION, inode: 'i' };
    lines.push({ term: 'here.1', file: 'web1/f-0', path: '/x.log', ...place, tail: `${end}`, checksum });
    disk = Buffer.concat([disk, step.append]);
  }
  return { lines, disk };
}

function ledgerOf(lines: readonly LedgerLine[]): Ledger {
  const ledger = emptyLedger('here', 7);
  for (const line of lines) applyLine(ledger, line);
  return ledger;
}

test('whatever was written, cut and compacted, a checksum that is known is that of the bytes on disk', () => {
  let checked = 0;
  fc.assert(
    fc.property(steps, fc.nat(25), (all, at) => {
      const { lines, disk } = written(all);
      const head = [...compactLines(ledgerOf(lines.slice(0, at)))].map((line) =>
        decodeLine(encodeLine(line).trimEnd()),
      );
      const plain = ledgerOf(lines);
      const compacted = ledgerOf([...head, ...lines.slice(at)]);
      assert.deepEqual([...allRuns(compacted)], [...allRuns(plain)]);
      assert.deepEqual([...allRuns(ledgerOf([...compactLines(plain)]))], [...allRuns(plain)]);
      let next = 0;
      for (const run of allRuns(plain))
        for (const { start, end, from, to, crc } of stretchesOf(run)) {
          assert.deepEqual([start, from], [next, next]);
          assert.ok(to > from && end > start);
          next = to;
          if (crc === undefined) continue;
          checked += 1;
          assert.equal(crc, crc32(disk.subarray(from, to)));
        }
      assert.equal(next, disk.length);
    }),
    { numRuns: 2_000 },
  );
  assert.ok(checked > 100, 'nothing was compared');
});

test('a run of known checksums has as few as their length allows', () => {
  const sums: Sum[] = [];
  const [piece, pieces] = [SUM_BYTES / 4, 10];
  const zeros = crc32(Buffer.alloc(piece));
  for (let at = 1; at <= pieces; at += 1) addSum(sums, 0, { end: at * piece, to: at * piece, crc: zeros });
  assert.deepEqual(
    sums.map(({ to }) => to / piece),
    [4, 8, 10],
  );
  assert.equal(sums[0]?.crc, crc32(Buffer.alloc(SUM_BYTES)));
});
