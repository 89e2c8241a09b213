// The laws of a ledger whose files are frames: a run begins and ends where frames do, a cut takes every frame that may
// go as a whole and no other, and an older logferry refuses to read it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import {
  activesOf,
  allRuns,
  applyLine,
  cutLine,
  cutsAllowed,
  emptyLedger,
  type FrameEnd,
  isOthers,
  type Ledger,
  type LedgerLine,
  listedBytes,
  openLines,
  type Run,
  type RunLine,
} from '../../../receiver/ledger/ledger.ts';
import { compactLines, decodeLine, encodeLine } from '../../../receiver/ledger/lines.ts';
import { file, FILES, HERE, MAX, mayGo, record } from '../../support/holders.ts';

const DESTINATION = 'web1/x.log';

/** A frame that a commit wrote, and whether it went into the line of the one before. */
interface Written {
  readonly file: string;
  readonly term: string;
  readonly content: number;
  readonly bytes: number;
  readonly isJoined: boolean;
  readonly isRotated: boolean;
}

/** A frame as it lies on disk. */
interface Frame {
  readonly inode: string;
  readonly from: number;
  readonly to: number;
  readonly file: string;
  readonly start: number;
  readonly end: number;
  readonly term: string;
}

const written: fc.Arbitrary<Written> = fc.record({
  file,
  term: fc.constantFrom('here.1', 'here.1', 'here.2'),
  content: fc.integer({ min: 1, max: 12 }),
  bytes: fc.integer({ min: 1, max: 9 }),
  isJoined: fc.boolean(),
  isRotated: fc.integer({ min: 0, max: 5 }).map((number) => number === 0),
});

/** Every generation goes on where it ended, until it has MAX bytes. */
function framesOf(all: readonly Written[]): { frames: Frame[]; lines: LedgerLine[] } {
  const frames: Frame[] = [];
  const lines: LedgerLine[] = openLines(emptyLedger(HERE, 7), DESTINATION, 'zstd');
  const ends = new Map<string, number>();
  let [inode, at] = [0, 0];
  for (const { file, term, content, bytes, isJoined, isRotated } of all) {
    if (isRotated && at > 0) [inode, at] = [inode + 1, 0];
    const start = ends.get(file) ?? 0;
    const frame = { inode: `${inode}`, from: at, to: (at += bytes), file, start, end: start + content, term };
    ends.set(file, frame.end);
    frames.push(frame);
    const last = lines.at(-1) as RunLine;
    const goesOn = last.file === file && last.term === term && last.inode === frame.inode;
    const { end, to } = frame;
    if (isJoined && goesOn && last.to === frame.from) lines[lines.length - 1] = { ...last, end, to };
    else lines.push(lineOf(frame));
  }
  return { frames, lines };
}

function lineOf(frame: Frame): RunLine {
  const fixed = { path: '/x.log', destination: DESTINATION, tail: '', checksum: '00000000' };
  return { ...frame, ...fixed, format: 'zstd' };
}

function ledgerOf(lines: readonly LedgerLine[]): Ledger {
  const ledger = emptyLedger(HERE, 7);
  for (const line of lines) applyLine(ledger, line);
  return ledger;
}

const disk = fc
  .array(written, { minLength: 1, maxLength: 20 })
  .map(framesOf)
  .filter(({ frames }) => frames.every(({ end }) => end <= MAX));

/** What walking the frames of a run would find. */
function frameEndBehind(frames: readonly Frame[], { inode, from }: Run, keep: number): FrameEnd | undefined {
  const frame = frames.find((one) => one.inode === inode && one.from >= from && one.end >= keep);
  return frame && { to: frame.to, end: frame.end };
}

/** Cuts as a receiver does; returns the lines that it wrote. */
function cut(
  ledger: Ledger,
  frames: readonly Frame[],
  held: Parameters<typeof cutsAllowed>[1],
): LedgerLine[] {
  return cutsAllowed(ledger, held).flatMap((one) => {
    const frameEnd = one.within && frameEndBehind(frames, one.within.run, one.within.keep);
    if (one.within !== undefined && (frameEnd === undefined || frameEnd.to === one.to)) return [];
    const line = cutLine(one, frameEnd);
    applyLine(ledger, line);
    return [line];
  });
}

/** The runs list these frames and nothing else. */
function assertListed(ledger: Ledger, frames: readonly Frame[]): void {
  const left = [...frames];
  for (const run of allRuns(ledger)) {
    let [at, from] = [run.start, run.from];
    while (at < run.end || from < run.to) {
      const next = left.shift();
      assert.deepEqual(
        { inode: next?.inode, file: next?.file, start: next?.start, from: next?.from },
        { inode: run.inode, file: run.file, start: at, from },
      );
      [at, from] = [next!.end, next!.to];
    }
    assert.deepEqual([at, from], [run.end, run.to], 'a run ends within a frame');
  }
  assert.deepEqual(left, [], 'frames that no run lists');
  for (const { inode } of frames)
    assert.equal(listedBytes(ledger, DESTINATION, inode), frames.findLast((one) => one.inode === inode)?.to);
}

test('the runs list every frame, whole', () => {
  fc.assert(
    fc.property(disk, ({ frames, lines }) => {
      assertListed(ledgerOf(lines), frames);
      assertListed(ledgerOf([...compactLines(ledgerOf(lines))]), frames);
    }),
  );
});

test('of the end, every frame is cut that holds nothing but what another holds, and no other', () => {
  let [whole, within] = [0, 0];
  fc.assert(
    fc.property(disk, record, ({ frames, lines }, held) => {
      const ledger = ledgerOf(lines);
      const mayGoAsAWhole = ({ file, start, end, term }: Frame): boolean =>
        Array.from({ length: end - start }, (_, index) => start + index).every((byte) =>
          mayGo(ledger, held, { file, byte, term }),
        );
      const stays = frames.findLastIndex((frame) => !mayGoAsAWhole(frame)) + 1;
      const cuts = cut(ledger, frames, held);
      assertListed(ledger, frames.slice(0, stays));
      if (cuts.length > 0) whole += 1;
      if (cuts.some((line) => 'end' in line)) within += 1;
      // Said once more, the lines cut no more.
      assert.deepEqual(ledgerOf([...lines, ...cuts]).destinations, ledger.destinations);
    }),
    { numRuns: 10_000 },
  );
  assert.ok(whole > 0 && within > 0, `${whole} examples cut anything, ${within} within a run`);
});

test('a cut means the same when runs that were two have become one', () => {
  let between = 0;
  fc.assert(
    fc.property(disk, record, ({ frames, lines }, held) => {
      const term = held.terms.find((one) => one.startsWith('here.')) ?? 'here.1';
      const taken = [...lines, ...FILES.map((each) => ({ relabel: each, start: 0, term }))];
      const ledger = ledgerOf(taken);
      // As a start finds it: the lines of one term are one run.
      const compacted = [...compactLines(ledger)];
      const cuts = cut(ledger, frames, held);
      const left = frames.filter(({ inode, to }) => to <= listedBytes(ledger, DESTINATION, inode));
      assertListed(ledger, left);
      assertListed(ledgerOf([...compacted, ...cuts]), left);
      if (left.length > 0 && left.length < frames.length) between += 1;
    }),
    { numRuns: 10_000 },
  );
  assert.ok(between > 0, 'no example cut between two frames');
});

test('a cut within a run that does not say which byte is there takes the whole run', () => {
  fc.assert(
    fc.property(disk, fc.nat(100), ({ frames, lines }, to) => {
      const ledger = ledgerOf([...lines, { cut: DESTINATION, inode: '0', to }]);
      for (const run of allRuns(ledger)) assert.ok(run.inode !== '0' || run.to <= to);
      for (const run of allRuns(ledger))
        assert.ok(frames.some((frame) => frame.inode === run.inode && frame.to === run.to));
    }),
  );
});

test('a line read back is the line', () => {
  fc.assert(
    fc.property(disk, fc.nat(), fc.nat(), ({ lines }, to, end) => {
      for (const line of [...lines, { cut: DESTINATION, inode: '0', to, end }])
        assert.deepEqual(decodeLine(encodeLine(line).trimEnd()), line);
    }),
  );
});

test('only a ledger that knows of frames says that it is of a later version', () => {
  const versions = (ledger: Ledger): unknown[] =>
    [...compactLines(ledger)].flatMap((line) => ('version' in line ? [line.version] : []));
  const plain = ledgerOf(openLines(emptyLedger(HERE, 7), DESTINATION, 'plain'));
  assert.deepEqual(versions(plain), [1]);
  assert.deepEqual(openLines(plain, DESTINATION, 'plain'), []);
  const lines = openLines(plain, DESTINATION, 'zstd');
  assert.deepEqual(lines, [
    { version: 2, directory: HERE, partition: 7 },
    { open: DESTINATION, format: 'zstd' },
  ]);
  for (const line of lines) applyLine(plain, line);
  assert.deepEqual(versions(plain), [2]);
  assert.deepEqual(openLines(plain, DESTINATION, 'zstd'), []);
  assert.deepEqual(openLines(plain, 'web1/y.log', 'zstd'), [{ open: 'web1/y.log', format: 'zstd' }]);
  assert.deepEqual(ledgerOf([...compactLines(plain)]), plain);
});

test('a file belongs to the destination that was written to it first, whatever the other one is called', () => {
  const [a, b] = ['web1/a.log', 'web1/a.log.zst'];
  const frame = { inode: '0', from: 0, to: 3, file: 'web1/f0-0', start: 0, end: 3, term: 'here.1' };
  for (const [first, format, second, other] of [
    [a, 'zstd', b, 'plain'],
    [b, 'plain', a, 'zstd'],
  ] as const) {
    const opened = openLines(emptyLedger(HERE, 7), first, format);
    const run = { ...lineOf(frame), destination: first, format: format === 'plain' ? undefined : format };
    // The line that opened it may be lost.
    for (const lines of [opened, [run]]) {
      const ledger = ledgerOf(lines);
      assert.ok(isOthers(ledger, second, other));
      assert.ok(!isOthers(ledger, first, format));
      assert.ok(activesOf(ledger, first).includes(b));
      assert.ok(!activesOf(ledger, second).includes(b));
    }
  }
});
