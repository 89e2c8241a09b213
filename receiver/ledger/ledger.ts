// The ledger of one partition in one directory: which bytes of which source file lie where. Pure: what its lines
// mean, what it claims and what may be cut; ledger-file.ts keeps it on disk. A byte that no ledger lists is not there.

import type { After } from '../../common/wire/chunk.ts';
import { parse32 } from '../../common/wire/digest.ts';
import { copyMap } from '../../common/record/layered-map.ts';
import {
  type FileEntry,
  holderOf,
  isTermOf,
  pushHolder,
  type Claim,
  type PartitionRecord,
  type Relabel,
} from '../../common/record/record.ts';
import { addKnown, type Known, rememberRun, siblingKey } from './known.ts';
import { activeName, type Encoding, type Format, FORMATS } from './names.ts';
import { addSum, cutSums, type Sum } from './sums.ts';

/** Source bytes [start, end) lie at [from, to) of one file on disk, written under `term`. */
interface Range {
  term: string;
  /** fileKey(host, file id). */
  readonly file: string;
  readonly path: string;
  readonly start: number;
  end: number;
  /** The active file's path below the output directory; a segment keeps the destination it was written to. */
  readonly destination: string;
  /** See inodeOf: names the file on disk, whatever it is called now. */
  readonly inode: string;
  /** How the file on disk is compressed; `from` and `to` count the bytes that it decompresses to. */
  readonly encoding?: Encoding | undefined;
  /** The file is written as zstd frames: `from` and `to` are where frames begin and end on disk. */
  readonly format?: 'zstd' | undefined;
  readonly from: number;
  to: number;
  /** See tailOf, at `end`. */
  tail: string;
  /** On the first line of a generation. */
  readonly after?: After | undefined;
}

/** What lines that follow each other add up to. */
export interface Run extends Range {
  /** Of all its bytes, in order. */
  sums: Sum[];
}

export interface RunLine extends Readonly<Range> {
  /** CRC-32 of exactly the bytes of this line, as they lie on disk, as 8 hex digits; empty when it is not known. */
  readonly checksum: string;
}

export type LedgerLine =
  | { readonly version: number; readonly directory: string; readonly partition: number }
  | RunLine
  /** Every run of the file from `start` on belongs to `term` now. */
  | { readonly relabel: string; readonly start: number; readonly term: string }
  /** From `to` on, nothing of this inode is listed any more; of frames, the run that lies there now ends at `end`. */
  | { readonly cut: string; readonly inode: string; readonly to: number; readonly end?: number | undefined }
  /** Every run of this inode lies in another one now, compressed, at the same offsets of what it decompresses to. */
  | {
      readonly compressed: string;
      readonly inode: string;
      readonly as: string;
      readonly encoding: Encoding;
    }
  /** Retention removed this inode: its runs were committed and are gone. */
  | { readonly dropped: string; readonly inode: string }
  /** What dropped runs of one generation add up to, and what others have of it. */
  | { readonly known: Known }
  /** Files of this destination may exist from now on, listed or not; without a format they are plain. */
  | { readonly open: string; readonly format?: 'zstd' | undefined }
  /** Lines before this one were lost. */
  | { readonly damaged: boolean }
  /** The creation of the bucket that this ledger's claims were merged into. */
  | { readonly bucket: string };

export const LEDGER_VERSION = 2;
/** A ledger that knows of no frames: an older logferry goes on with it. */
export const PLAIN_VERSION = 1;

/** What the lines add up to. Runs are ordered per destination as they were written. */
export interface Ledger {
  readonly directory: string;
  readonly partition: number;
  /** What a program must know that reads it. */
  version: number;
  bucket: string | undefined;
  /** Lines were lost once: files may be there that no line says were opened. */
  damaged: boolean;
  /** Destinations that a file may have been created for. */
  readonly opened: Set<string>;
  /** The files that are, or were, written to, and whose they are. */
  readonly actives: Map<string, string>;
  readonly destinations: Map<string, readonly Run[]>;
  /** The same runs by file: see setRuns. */
  readonly files: Map<string, readonly Run[]>;
  /** The same by file on disk, see placeOf. */
  readonly places: Map<string, readonly Run[]>;
  /** By file: what is left of the runs that retention removed, and what was committed elsewhere. */
  readonly known: Map<string, Known>;
}

export function emptyLedger(directory: string, partition: number): Ledger {
  return {
    directory,
    partition,
    version: PLAIN_VERSION,
    bucket: undefined,
    damaged: false,
    opened: new Set(),
    actives: new Map(),
    destinations: new Map(),
    files: new Map(),
    places: new Map(),
    known: new Map(),
  };
}

/** Applies one line, in the order of the file. */
export function applyLine(ledger: Ledger, line: LedgerLine): void {
  if ('version' in line) ledger.version = Math.max(ledger.version, line.version);
  else if ('bucket' in line) ledger.bucket = line.bucket;
  else if ('damaged' in line) ledger.damaged = line.damaged;
  else if ('open' in line) openDestination(ledger, line.open, line.format);
  else if ('cut' in line) cutRuns(ledger, line);
  else if ('compressed' in line) moveRuns(ledger, line.compressed, line.inode, line.as, line.encoding);
  else if ('dropped' in line) dropRuns(ledger, line.dropped, line.inode);
  else if ('known' in line) addKnown(ledger.known, line.known);
  else if ('relabel' in line) {
    for (const run of ledger.files.get(line.relabel) ?? []) if (run.start >= line.start) run.term = line.term;
  } else addRun(ledger, line);
}

function openDestination(ledger: Ledger, destination: string, format: Format = 'plain'): void {
  ledger.opened.add(destination);
  const name = activeName(destination, format);
  if (!ledger.actives.has(name)) ledger.actives.set(name, destination);
}

function addRun(ledger: Ledger, line: RunLine): void {
  const { checksum, ...range } = line;
  const sum = { end: range.end, to: range.to, crc: parse32(checksum) };
  const last = ledger.destinations.get(range.destination)?.at(-1);
  const run: Run = { ...range, ...sharedWith(last, range), sums: [sum] };
  // The line that opened it may be lost.
  const name = activeName(run.destination, run.format ?? 'plain');
  if (run.encoding === undefined && !ledger.actives.has(name)) ledger.actives.set(name, run.destination);
  const goesOn =
    last !== undefined &&
    last.file === run.file &&
    last.term === run.term &&
    last.inode === run.inode &&
    last.end === run.start &&
    last.to === run.from;
  if (goesOn) {
    Object.assign(last, { end: run.end, to: run.to, tail: run.tail });
    addSum(last.sums, last.from, sum);
    return;
  }
  append(ledger.destinations, run.destination, run);
  index(ledger, run);
}

/** What is the same as in the run before is kept once. */
function sharedWith(last: Run | undefined, { term, path, destination, inode }: Range): Partial<Range> {
  return {
    destination: last?.destination ?? destination,
    term: last?.term === term ? last.term : term,
    path: last?.path === path ? last.path : path,
    inode: last?.inode === inode ? last.inode : inode,
  };
}

function index({ files, places }: Ledger, run: Run): void {
  append(files, run.file, run);
  append(places, placeOf(run.destination, run.inode), run);
}

function placeOf(destination: string, inode: string): string {
  return `${destination}\n${inode}`;
}

function append(runs: Map<string, readonly Run[]>, key: string, run: Run): void {
  const there = runs.get(key) as Run[] | undefined;
  if (there === undefined) runs.set(key, [run]);
  else there.push(run);
}

function cutRuns(ledger: Ledger, { cut, inode, to, end }: Extract<LedgerLine, { cut: string }>): void {
  const runs = ledger.destinations.get(cut);
  if (runs === undefined) return;
  const kept: Run[] = [];
  for (const run of runs) {
    if (run.inode !== inode || run.to <= to) kept.push(run);
    else if (run.from < to) {
      // Without `end` nobody has looked where its frames end.
      const left = run.format === undefined ? run.end - (run.to - to) : (end ?? run.start);
      if (left > run.start) kept.push(shortened(run, left, to));
    }
  }
  setRuns(ledger, cut, kept);
}

function moveRuns(ledger: Ledger, destination: string, inode: string, as: string, encoding: Encoding): void {
  const runs = ledger.destinations.get(destination) ?? [];
  const moved = runs.map((run) => (run.inode === inode ? { ...run, inode: as, encoding } : run));
  setRuns(ledger, destination, moved);
}

function dropRuns(ledger: Ledger, destination: string, inode: string): void {
  const runs = ledger.destinations.get(destination) ?? [];
  for (const run of runs) if (run.inode === inode) rememberRun(ledger.known, run);
  setRuns(
    ledger,
    destination,
    runs.filter((run) => run.inode !== inode),
  );
}

/** What a destination has from now on. */
export function setRuns(ledger: Ledger, destination: string, runs: readonly Run[]): void {
  const { destinations, files, places } = ledger;
  const before = new Set(destinations.get(destination));
  setOrDelete(destinations, destination, runs);
  for (const run of runs) if (!before.delete(run)) index(ledger, run);
  const without = (own: Map<string, readonly Run[]>, key: string): void => {
    setOrDelete(own, key, own.get(key)?.filter((run) => !before.has(run)) ?? []);
  };
  for (const file of new Set([...before].map((run) => run.file))) without(files, file);
  for (const inode of new Set([...before].map((run) => run.inode)))
    without(places, placeOf(destination, inode));
}

function setOrDelete(runs: Map<string, readonly Run[]>, key: string, own: readonly Run[]): void {
  if (own.length > 0) runs.set(key, own);
  else runs.delete(key);
}

/** The tail at the new end is not known; an empty one never matches, which only means that it is looked up. */
function shortened(run: Run, end: number, to: number): Run {
  return { ...run, end, to, tail: '', sums: cutSums(run.sums, end, to) };
}

export function* allRuns(ledger: Ledger): Generator<Run> {
  for (const runs of ledger.destinations.values()) yield* runs;
}

/** What it lists of a file on disk. */
export function runsIn(ledger: Ledger, destination: string, inode: string): readonly Run[] {
  return ledger.places.get(placeOf(destination, inode)) ?? [];
}

/** How much of a file on disk (of what it decompresses to) the ledger lists: anything behind it was never committed. */
export function listedBytes(ledger: Ledger, destination: string, inode: string): number {
  return runsIn(ledger, destination, inode).reduce((listed, { to }) => Math.max(listed, to), 0);
}

/** The lines that say, before a file is created, that it may be there. None when the ledger says so already. */
export function openLines(ledger: Ledger, destination: string, format: Format): LedgerLine[] {
  if (ledger.opened.has(destination) && ledger.actives.get(activeName(destination, format)) === destination)
    return [];
  if (format === 'plain') return [{ open: destination }];
  const { version, directory, partition } = ledger;
  const newer = version < LEDGER_VERSION ? [{ version: LEDGER_VERSION, directory, partition }] : [];
  return [...newer, { open: destination, format }];
}

/** Another destination may be written to a file of the name that this one would be written to. */
export function isOthers(ledger: Ledger, destination: string, format: Format): boolean {
  return (ledger.actives.get(activeName(destination, format)) ?? destination) !== destination;
}

/** What a destination's active file may be called: in either format, unless it is another's, or nobody's. */
export function activesOf(ledger: Ledger, destination: string): string[] {
  return FORMATS.map((format) => activeName(destination, format)).filter((name) => {
    const owner = ledger.actives.get(name);
    return owner === destination || (owner === undefined && (name === destination || ledger.damaged));
  });
}

/** Whether a file on disk was written as frames; false when it is not listed. */
export function hasFrames(ledger: Ledger, destination: string, inode: string): boolean {
  return runsIn(ledger, destination, inode)[0]?.format !== undefined;
}

/** How the ledger says that a file on disk is compressed; undefined when it is plain, or not listed. */
export function encodingOf(ledger: Ledger, destination: string, inode: string): Encoding | undefined {
  return runsIn(ledger, destination, inode)[0]?.encoding;
}

/**
 * What this ledger proves, per file: the contiguous run that reaches its end. Earlier generations that are known to be
 * complete, or committed so far, are claimed too, as lying elsewhere, so the order across rotations survives a lost
 * bucket. So are bytes that retention removed: they were committed, and nobody is to fetch them again.
 */
export function claimsOf(ledger: Ledger): Map<string, Claim> {
  const claims = new Map<string, Claim>();
  const byStart = [...allRuns(ledger)].toSorted((a, b) => a.start - b.start);
  for (const run of byStart) {
    const claim = claims.get(run.file);
    const start = claim === undefined || run.start > claim.end ? run.start : claim.start;
    const further = claim === undefined || run.end > claim.end;
    claims.set(run.file, {
      start,
      end: further ? run.end : claim.end,
      path: run.path,
      tail: (further ? run.tail : claim.tail) || null,
      after: run.after?.file ?? claim?.after ?? null,
      elsewhere: false,
    });
  }
  for (const known of ledger.known.values()) {
    const claim = claims.get(known.file);
    const after = claim?.after ?? known.after ?? null;
    if (claim !== undefined && claim.end >= known.end) claims.set(known.file, { ...claim, after });
    else {
      const { path, end, tail } = known;
      const start = claim?.end ?? end;
      claims.set(known.file, { start, end, path, tail: tail || null, after, elsewhere: true });
    }
  }
  for (const { file: later, path, after: before } of byStart) {
    if (before === undefined) continue;
    const [file, end] = [siblingKey(later, before.file), before.size];
    const claim = claims.get(file);
    if (claim !== undefined && claim.end >= end) continue;
    const [start, after] = [claim?.end ?? end, claim?.after ?? null];
    claims.set(file, { start, end, path, tail: null, after, elsewhere: true });
  }
  return claims;
}

/** Whether it says that so much of a generation was committed, and what comes before it. */
export function says({ files, known }: Ledger, file: string, offset: number): boolean {
  // The last one is the furthest, as a rule.
  const run = files.get(file)?.findLast(({ end }) => end >= offset);
  return run !== undefined || (known.get(file)?.end ?? -1) >= offset;
}

/** Cut an inode of a destination back to `to`. */
export interface Cut {
  readonly destination: string;
  readonly inode: string;
  readonly to: number;
  /** Of frames, between two runs: the source byte that follows. A later start may find one run there. */
  readonly end?: number;
  /**
   * Of frames, when a part of a run stays: its source bytes below `keep`, and with them the frame that holds the last
   * one. Where that ends only the file says; it replaces `to`, which is the end of the run.
   */
  readonly within?: { readonly run: Run; readonly keep: number };
}

/** Where a frame ends: on disk, and which source byte follows. */
export interface FrameEnd {
  readonly to: number;
  readonly end: number;
}

/** The line that says so before it is done. */
export function cutLine({ destination, inode, to, end }: Cut, frameEnd?: FrameEnd): LedgerLine {
  return { cut: destination, inode, ...(frameEnd ?? { to, ...(end !== undefined && { end }) }) };
}

/**
 * What may go of what the ledger lists (design §5.7): bytes whose holder is a later term of another directory, of
 * files that are committed as far as this directory holds them, and only from the end of their destination. A
 * compressed file goes as a whole or not at all, and so does a frame. In the order in which to cut.
 */
export function cutsAllowed(ledger: Ledger, record: PartitionRecord): Cut[] {
  const ends = endsHeld(ledger);
  const keepOf = (run: Run): number => keepUpTo(run, ledger.directory, record, ends.get(run.file) ?? 0);
  const allowed: Cut[] = [];
  for (const [destination, runs] of ledger.destinations)
    for (const [inode, own] of [...Map.groupBy(runs, (run) => run.inode)].toReversed()) {
      const { cuts, whole } = cutsFromEnd(destination, own, keepOf);
      if (own[0]?.encoding === undefined) allowed.push(...cuts);
      else if (whole) allowed.push({ destination, inode, to: 0 });
      if (!whole) break;
    }
  return allowed;
}

/** The cuts of one file on disk, and whether nothing of it stays. */
function cutsFromEnd(
  destination: string,
  runs: readonly Run[],
  keepOf: (run: Run) => number,
): { cuts: Cut[]; whole: boolean } {
  const cuts: Cut[] = [];
  for (const run of runs.toReversed()) {
    const keep = keepOf(run);
    const { inode } = run;
    if (keep <= run.start)
      cuts.push({ destination, inode, to: run.from, ...(run.format && { end: run.start }) });
    else if (keep < run.end && run.format === undefined)
      cuts.push({ destination, inode, to: run.to - (run.end - keep) });
    else if (keep < run.end) cuts.push({ destination, inode, to: run.to, within: { run, keep } });
    if (keep > run.start) return { cuts, whole: false };
  }
  return { cuts, whole: true };
}

/** By file: the end of what this directory holds, or held until retention removed it. */
function endsHeld(ledger: Ledger): Map<string, number> {
  const ends = new Map<string, number>();
  for (const { file, removed } of ledger.known.values()) ends.set(file, removed.at(-1)?.[1] ?? 0);
  for (const run of allRuns(ledger)) ends.set(run.file, Math.max(ends.get(run.file) ?? 0, run.end));
  return ends;
}

/** The source offset up to which a run must stay; its end when none of it may go. */
function keepUpTo(run: Run, directory: string, record: PartitionRecord, endHeld: number): number {
  const entry = record.files.get(run.file);
  const written = record.terms.indexOf(run.term);
  if (entry === undefined || entry.offset < endHeld || written < 0) return run.end;
  let keep = run.end;
  while (keep > run.start) {
    const holder = holderOf(entry.held, keep - 1);
    if (holder === undefined || holder[0] === null || isTermOf(directory, holder[0])) break;
    if (record.terms.indexOf(holder[0]) <= written) break;
    keep = Math.max(run.start, holder[1]);
  }
  return keep;
}

/**
 * After a take: bytes that another directory's later term holds and that cannot be cut here, since bytes that stay lie
 * behind them. This directory has the end of their files as well, so its new term holds them now, and the other one
 * can cut its copy (design §5.7).
 */
export function reclaimStuck(
  ledger: Ledger,
  taken: { readonly record: PartitionRecord; readonly relabels: readonly Relabel[] },
  term: string,
  claims: ReadonlyMap<string, Claim>,
): { record: PartitionRecord; relabels: Relabel[] } {
  const { record } = taken;
  const relabels = [...taken.relabels];
  const stuck = new Map<string, FileEntry>();
  for (const runs of ledger.destinations.values()) {
    let mustStay = false;
    for (const run of runs.toReversed()) {
      const keep = keepUpTo(run, ledger.directory, record, run.end);
      const [entry, claim] = [record.files.get(run.file), claims.get(run.file)];
      const whole = claim?.elsewhere === false && claim.end === entry?.offset && claim.start <= run.start;
      if (mustStay && keep < run.end && whole && !stuck.has(run.file)) {
        stuck.set(run.file, { ...entry, held: pushHolder(entry.held, term, claim.start) });
        relabels.push({ file: run.file, start: claim.start });
      }
      mustStay ||= keep > run.start;
    }
  }
  if (stuck.size === 0) return { record, relabels };
  const files = copyMap(record.files);
  for (const [file, entry] of stuck) files.set(file, entry);
  return { record: { ...record, files }, relabels };
}

/**
 * Whether the record knows every byte of a file on disk, and gives none of them to another directory's later term: then
 * no byte of it will be cut.
 */
export function staysWhole(
  ledger: Ledger,
  record: PartitionRecord,
  destination: string,
  inode: string,
): boolean {
  return runsIn(ledger, destination, inode).every(
    (run) =>
      (record.files.get(run.file)?.offset ?? 0) >= run.end &&
      keepUpTo(run, ledger.directory, record, run.end) >= run.end,
  );
}

/** The ledger's lines for runs that a take or a merge moved to another term. */
export function relabelLines(relabels: readonly Relabel[], term: string): LedgerLine[] {
  return relabels.map(({ file, start }) => ({ relabel: file, start, term }));
}
