// The laws of the ledger: what it claims it lists, what it lets go another holds, and its short form says the same.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { LogferryError } from '../../../common/runtime/errors.ts';
import {
  allRuns,
  applyLine,
  claimsOf,
  cutsAllowed,
  emptyLedger,
  LEDGER_VERSION,
  listedBytes,
  relabelLines,
  staysWhole,
  type Ledger,
  type LedgerLine,
  type RunLine,
} from '../../../receiver/ledger/ledger.ts';
import { compactLines, decodeLine, encodeLine } from '../../../receiver/ledger/lines.ts';
import { file, FILES, HERE, MAX, mayGo, record } from '../../support/holders.ts';

const DESTINATIONS = ['web1/x.log', 'web1/y.log'];

const destination = fc.constantFrom(...DESTINATIONS);
const myTerm = fc.constantFrom('here.1', 'here.2');
const offset = fc.nat(MAX);

type Step =
  | {
      readonly do: 'write';
      term: string;
      file: string;
      destination: string;
      start: number;
      length: number;
      before: boolean;
    }
  | { readonly do: 'goOn'; term: string | undefined; destination: string; length: number; before: boolean }
  | { readonly do: 'rotate'; destination: string }
  | { readonly do: 'cut'; destination: string; share: number }
  | { readonly do: 'compress'; destination: string }
  | { readonly do: 'drop'; destination: string }
  | { readonly do: 'relabel'; file: string; start: number; term: string };

const length = fc.integer({ min: 1, max: 12 });
const goOn = fc.record({
  do: fc.constant('goOn' as const),
  term: fc.option(myTerm, { nil: undefined, freq: 3 }),
  destination,
  length,
  before: fc.boolean(),
});
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('write' as const),
    term: myTerm,
    file,
    destination,
    start: offset,
    length,
    before: fc.boolean(),
  }),
  goOn,
  goOn,
  fc.record({ do: fc.constant('rotate' as const), destination }),
  fc.record({
    do: fc.constant('cut' as const),
    destination,
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
  fc.record({ do: fc.constant('compress' as const), destination }),
  fc.record({ do: fc.constant('drop' as const), destination }),
  fc.record({ do: fc.constant('relabel' as const), file, start: offset, term: myTerm }),
);

/** The lines that a receiver would have written on the way. */
function linesOf(steps: readonly Step[]): LedgerLine[] {
  const lines: LedgerLine[] = [{ version: LEDGER_VERSION, directory: HERE, partition: 7 }];
  const active = new Map(
    DESTINATIONS.map((name) => [
      name,
      {
        inode: 0,
        size: 0,
        last: undefined as RunLine | undefined,
        finished: [] as { inode: string; compressed: boolean }[],
      },
    ]),
  );
  for (const step of steps) {
    if (step.do === 'relabel') {
      lines.push({ relabel: step.file, start: step.start, term: step.term });
      continue;
    }
    const disk = active.get(step.destination)!;
    if (step.do === 'rotate') {
      if (disk.size > 0) disk.finished.push({ inode: String(disk.inode), compressed: false });
      Object.assign(disk, { inode: disk.inode + 1, size: 0 });
    } else if (step.do === 'compress') {
      const segment = disk.finished.find(({ compressed }) => !compressed);
      if (segment === undefined) continue;
      const { inode } = segment;
      Object.assign(segment, { inode: `${inode}z`, compressed: true });
      lines.push({ compressed: step.destination, inode, as: `${inode}z`, encoding: 'gzip' });
    } else if (step.do === 'drop') {
      const segment = disk.finished.shift();
      if (segment !== undefined) lines.push({ dropped: step.destination, inode: segment.inode });
    } else if (step.do === 'cut') {
      disk.size = Math.floor(disk.size * step.share);
      disk.last = undefined;
      lines.push({ cut: step.destination, inode: String(disk.inode), to: disk.size });
    } else {
      if (step.do === 'goOn' && disk.last === undefined) continue;
      const { file, start } = step.do === 'write' ? step : { ...disk.last!, start: disk.last!.end };
      const term = step.term ?? disk.last!.term;
      const path = '/var/log/x.log';
      if (step.before) lines.push({ known: { file: 'web1/f0-0', path, end: 25, tail: '', removed: [] } });
      disk.last = {
        term,
        file,
        path,
        start,
        end: start + step.length,
        destination: step.destination,
        inode: String(disk.inode),
        from: disk.size,
        to: disk.size + step.length,
        tail: `${file} ${start + step.length}`,
        checksum: '0badcafe',
        ...(file === 'web1/f0-1' && step.do === 'write' && { after: { file: 'f0-0', size: 30 } }),
      };
      disk.size = disk.last.to;
      lines.push(disk.last);
    }
  }
  return lines;
}

function ledgerOf(lines: readonly LedgerLine[]): Ledger {
  const ledger = emptyLedger(HERE, 7);
  for (const line of lines) applyLine(ledger, line);
  return ledger;
}

const lines = fc.array(step, { maxLength: 25 }).map(linesOf);
const manyLines = fc.array(step, { minLength: 20, maxLength: 60 }).map(linesOf);
const ledger = lines.map(ledgerOf);

/** Every listed byte of a destination, in the order in which it lies there. */
function bytesOf(
  ledger: Ledger,
  destination: string,
): { inode: string; at: number; file: string; byte: number; term: string }[] {
  return (ledger.destinations.get(destination) ?? []).flatMap(({ inode, from, file, start, end, term }) =>
    Array.from({ length: end - start }, (_, index) => ({
      inode,
      at: from + index,
      file,
      byte: start + index,
      term,
    })),
  );
}

interface Replayed {
  inode: string;
  readonly at: number;
  readonly file: string;
  readonly byte: number;
  term: string;
  /** The line that listed it. */
  readonly line: RunLine;
  /** Retention removed it. */
  gone: boolean;
}

/** What the lines mean, byte by byte; a relabel is of the whole file here. */
function replay(lines: readonly LedgerLine[]): Map<string, Replayed[]> {
  const all = new Map<string, Replayed[]>();
  for (const line of lines)
    if ('relabel' in line) {
      for (const byte of [...all.values()].flat()) if (byte.file === line.relabel) byte.term = line.term;
    } else if ('cut' in line)
      all.set(
        line.cut,
        (all.get(line.cut) ?? []).filter(({ inode, at }) => inode !== line.inode || at < line.to),
      );
    else if ('compressed' in line) {
      for (const byte of all.get(line.compressed) ?? []) if (byte.inode === line.inode) byte.inode = line.as;
    } else if ('dropped' in line) {
      for (const byte of all.get(line.dropped) ?? []) byte.gone ||= byte.inode === line.inode;
    } else if ('file' in line)
      all.set(line.destination, [
        ...(all.get(line.destination) ?? []),
        ...Array.from({ length: line.end - line.start }, (_, index) => ({
          inode: line.inode,
          at: line.from + index,
          file: line.file,
          byte: line.start + index,
          term: line.term,
          line,
          gone: false,
        })),
      ]);
  return all;
}

test('a line read back is the line', () => {
  const any = fc.string();
  const other: fc.Arbitrary<LedgerLine> = fc.oneof(
    any.map((bucket) => ({ bucket })),
    fc.tuple(any, fc.nat(), any).map(([relabel, start, term]) => ({ relabel, start, term })),
    fc.tuple(any, any, fc.nat()).map(([cut, inode, to]) => ({ cut, inode, to })),
    fc.tuple(any, any).map(([dropped, inode]) => ({ dropped, inode })),
    fc
      .tuple(any, any, any, fc.constantFrom('gzip' as const, 'zstd' as const))
      .map(([compressed, inode, as, encoding]) => ({ compressed, inode, as, encoding })),
    fc.tuple(any, fc.array(fc.tuple(fc.nat(), fc.nat()))).map(([file, removed]) => ({
      known: { file, path: file, end: 7, tail: '', after: 'f', removed },
    })),
    fc
      .tuple(any, fc.nat())
      .map(([directory, partition]) => ({ version: LEDGER_VERSION, directory, partition })),
  );
  fc.assert(
    fc.property(fc.oneof(lines, fc.array(other)), (lines) => {
      for (const line of lines) {
        const text = encodeLine(line);
        assert.match(text, /^[^\n]*\n$/);
        assert.deepEqual(decodeLine(text.slice(0, -1)), line);
      }
    }),
  );
});

test('a torn line is refused, wherever it was torn', () => {
  fc.assert(
    fc.property(lines, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (lines, share) => {
      for (const line of lines) {
        const text = encodeLine(line).slice(0, -1);
        assert.throws(() => decodeLine(text.slice(0, Math.floor(text.length * share))), { code: 'corrupt' });
      }
    }),
  );
});

test('anything else is refused as corrupt, and a newer ledger as newer', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        decodeLine(text);
        assert.fail(`taken for a line: ${text}`);
      } catch (error) {
        assert.ok(error instanceof LogferryError && error.code === 'corrupt', String(error));
      }
    }),
  );
  const newer = JSON.stringify({ version: LEDGER_VERSION + 1, directory: HERE, partition: 7, more: true });
  assert.throws(() => decodeLine(newer), { code: 'newer' });
});

test('the runs of a destination list every byte of its files on disk once, in order', () => {
  fc.assert(
    fc.property(lines, (lines) => {
      const ledger = ledgerOf(lines);
      for (const destination of DESTINATIONS) {
        const next = new Map<string, number>();
        for (const { inode, at } of bytesOf(ledger, destination)) {
          assert.equal(at, next.get(inode) ?? 0);
          next.set(inode, at + 1);
        }
        for (const [inode, size] of next) assert.equal(listedBytes(ledger, destination, inode), size);
      }
      assert.equal(listedBytes(ledger, 'unknown', '0'), 0);
    }),
  );
});

test('a ledger lists every byte where the lines say, under the term that the last line gave it', () => {
  fc.assert(
    fc.property(lines, (any) => {
      const lines = any.map((line) => ('relabel' in line ? { ...line, start: 0 } : line));
      const replayed = replay(lines);
      for (const name of DESTINATIONS)
        assert.deepEqual(
          bytesOf(ledgerOf(lines), name),
          (replayed.get(name) ?? [])
            .filter(({ gone }) => !gone)
            .map(({ inode, at, file, byte, term }) => ({ inode, at, file, byte, term })),
        );
    }),
  );
});

test('a claim is listed whole, reaches the end of its file, and begins where the bytes before it are missing', () => {
  fc.assert(
    fc.property(ledger, (ledger) => {
      const claims = claimsOf(ledger);
      for (const file of FILES) {
        const listed = new Set(
          DESTINATIONS.flatMap((name) => bytesOf(ledger, name))
            .filter((at) => at.file === file)
            .map((at) => at.byte),
        );
        const claim = claims.get(file);
        if (claim === undefined || claim.elsewhere) {
          for (const byte of listed) assert.ok(claim !== undefined && byte < claim.end);
          continue;
        }
        assert.equal(claim.end, Math.max(...listed) + 1);
        for (let byte = claim.start; byte < claim.end; byte += 1) assert.ok(listed.has(byte));
        assert.ok(!listed.has(claim.start - 1));
      }
    }),
  );
});

test('the runs of a file, and of a file on disk, are those of all destinations', () => {
  fc.assert(
    fc.property(ledger, (ledger) => {
      const byFile = Map.groupBy(allRuns(ledger), ({ file }) => file);
      assert.deepEqual([...ledger.files.keys()].toSorted(), [...byFile.keys()].toSorted());
      for (const [file, runs] of byFile) {
        assert.equal(ledger.files.get(file)?.length, runs.length);
        assert.ok(runs.every((run) => ledger.files.get(file)?.includes(run)));
      }
      const places = [...ledger.places.values()];
      assert.equal(places.flat().length, [...allRuns(ledger)].length);
      for (const own of places)
        for (const { destination, inode, to } of own) {
          assert.deepEqual([destination, inode], [own[0]?.destination, own[0]?.inode]);
          assert.ok(to <= listedBytes(ledger, destination, inode));
        }
    }),
    { numRuns: 500 },
  );
});

test('an earlier generation that a line names is claimed as committed, but as lying elsewhere', () => {
  fc.assert(
    fc.property(lines, (lines) => {
      const replayed = [...replay(lines).values()].flat();
      const named = [
        ...replayed.map(({ line }) => line.after?.size ?? 0),
        ...lines.map((line) => ('known' in line ? line.known.end : 0)),
      ];
      const own = replayed.filter(({ file }) => file === 'web1/f0-0');
      const listed = own.filter(({ gone }) => !gone).map(({ byte }) => byte + 1);
      const known = [...named, ...own.map(({ byte }) => byte + 1)];
      const claim = claimsOf(ledgerOf(lines)).get('web1/f0-0');
      assert.equal(claim?.end ?? 0, Math.max(0, ...known));
      if (claim !== undefined) assert.equal(claim.elsewhere, Math.max(...known) > Math.max(0, ...listed));
    }),
    { numRuns: 500 },
  );
});

test('only bytes that a later term of another directory holds, committed, are cut, only from the end, and all of them', () => {
  let cutBytes = 0;
  fc.assert(
    fc.property(ledger, record, (ledger, record) => {
      const before = DESTINATIONS.map((name) => bytesOf(ledger, name));
      const may = before.map((bytes) => bytes.map((at) => mayGo(ledger, record, at)));
      for (const cut of cutsAllowed(ledger, record))
        applyLine(ledger, { cut: cut.destination, inode: cut.inode, to: cut.to });
      DESTINATIONS.forEach((name, index) => {
        const left = bytesOf(ledger, name);
        const place = ({ inode, at, file, byte }: (typeof left)[number]): string =>
          `${inode}:${at} ${file}:${byte}`;
        let mustStay = may[index]!.lastIndexOf(false) + 1;
        // Of a compressed file that must stay in part, all stays.
        const stays = before[index]![mustStay - 1];
        if (stays?.inode.endsWith('z') === true)
          mustStay = before[index]!.findLastIndex(({ inode }) => inode === stays.inode) + 1;
        assert.deepEqual(left.map(place), before[index]!.slice(0, mustStay).map(place));
        cutBytes += before[index]!.length - left.length;
      });
    }),
    { numRuns: 2000 },
  );
  assert.ok(cutBytes > 0, 'no example cut anything');
});

test('what retention removes is still known: no claim goes back, and the compacted ledger has one entry for each file', () => {
  fc.assert(
    fc.property(manyLines, (lines) => {
      const isSaid = lines.some((line) => 'dropped' in line || 'known' in line);
      const kept = ledgerOf(lines.filter((line) => !('dropped' in line)));
      const left = ledgerOf(lines);
      const claims = claimsOf(left);
      assert.deepEqual([...claims.keys()].toSorted(), [...claimsOf(kept).keys()].toSorted());
      for (const [file, { end, after, tail }] of claimsOf(kept)) {
        const now = claims.get(file)!;
        assert.deepEqual([now.end, now.after], [end, after]);
        assert.ok(now.tail === null || tail === null || now.tail === tail);
        const removed = left.known.get(file)?.removed ?? [];
        assert.ok(
          removed.every(([from, to], index) => from < to && to < (removed[index + 1]?.[0] ?? Infinity)),
        );
      }
      const entries = [...compactLines(left)].filter((line) => 'known' in line);
      assert.equal(new Set(entries.map(({ known }) => known.file)).size, entries.length);
      assert.ok(entries.length <= FILES.length && (isSaid || entries.length === 0));
    }),
    { numRuns: 1_000 },
  );
});

test('the ranges that retention removed are those of the runs that it dropped', () => {
  fc.assert(
    fc.property(manyLines, (lines) => {
      const all = [...replay(lines).values()].flat();
      for (const file of FILES) {
        const gone = new Set(all.filter((one) => one.gone && one.file === file).map(({ byte }) => byte));
        const removed = ledgerOf(lines).known.get(file)?.removed ?? [];
        const bytes = removed.flatMap(([from, to]) =>
          Array.from({ length: to - from }, (_, at) => from + at),
        );
        assert.deepEqual(
          bytes,
          [...gone].toSorted((a, b) => a - b),
        );
      }
    }),
  );
});

test('a file that stays whole is never cut, whatever is committed later by those who hold it now', () => {
  let whole = 0;
  fc.assert(
    fc.property(ledger, record, (ledger, record) => {
      const cut = new Set(
        cutsAllowed(ledger, record).map(({ destination, inode }) => `${destination} ${inode}`),
      );
      for (const { destination, inode, file, end } of allRuns(ledger)) {
        if (!staysWhole(ledger, record, destination, inode)) continue;
        whole += 1;
        assert.ok(!cut.has(`${destination} ${inode}`), `${inode} stays whole and is cut`);
        assert.ok((record.files.get(file)?.offset ?? 0) >= end, 'the record does not know all of it');
      }
    }),
    { numRuns: 2000 },
  );
  assert.ok(whole > 0, 'no example stays whole');
});

test('nothing is cut of what this directory or nobody holds', () => {
  fc.assert(
    fc.property(ledger, record, fc.constantFrom(null, 'here.1', 'here.2'), (ledger, record, holder) => {
      const files = new Map(
        [...record.files].map(([file, entry]) => [file, { ...entry, held: [[holder, 0] as const] }]),
      );
      assert.deepEqual(cutsAllowed(ledger, { ...record, files }), []);
    }),
  );
});

test('a relabelled run belongs to the new term, from the start that was named', () => {
  fc.assert(
    fc.property(lines, file, offset, (lines, file, start) => {
      const plain = [...allRuns(ledgerOf(lines))];
      const relabelled = [...allRuns(ledgerOf([...lines, ...relabelLines([{ file, start }], 'here.9')]))];
      plain.forEach((run, index) => {
        const term = run.file === file && run.start >= start ? 'here.9' : run.term;
        assert.deepEqual(relabelled[index], { ...run, term });
      });
    }),
  );
});

test('the compacted ledger says the same, also after a crash and more lines', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), fc.nat(25), record, (steps, at, record) => {
      const all = linesOf(steps);
      const whole = ledgerOf(all);
      const split = Math.min(at, all.length);
      const compacted = [...compactLines(ledgerOf(all.slice(0, split)))].map((line) =>
        decodeLine(encodeLine(line).trimEnd()),
      );
      const resumed = ledgerOf([...compacted, ...all.slice(split)]);
      assert.deepEqual(claimsOf(resumed), claimsOf(whole));
      for (const name of DESTINATIONS) assert.deepEqual(bytesOf(resumed, name), bytesOf(whole, name));
      const allowed = (ledger: Ledger): string[] => {
        for (const { destination: cut, inode, to } of cutsAllowed(ledger, record))
          applyLine(ledger, { cut, inode, to });
        return DESTINATIONS.map((name) => JSON.stringify(bytesOf(ledger, name)));
      };
      assert.deepEqual(allowed(resumed), allowed(whole));
    }),
    { numRuns: 500 },
  );
});

test('the bucket that claims were merged into survives compaction', () => {
  const ledger = ledgerOf([{ bucket: 'first' }, { bucket: 'second' }]);
  assert.equal(ledgerOf([...compactLines(ledger)]).bucket, 'second');
});
