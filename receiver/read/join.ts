// A source file again from the runs of one or several ledgers: which generations it had, in which order, and which
// runs give each byte once. Pure: it names holes and what retention removed, and never decides what to do about them.

import { fileKey, sourceOf } from '../../common/wire/subjects.ts';
import type { Known } from '../ledger/known.ts';
import type { Run } from '../ledger/ledger.ts';

/** A run, and as much of it as is on disk: source bytes [run.start, there). */
export interface PresentRun {
  readonly run: Run;
  readonly there: number;
}

/** Source bytes [start, end) of a generation, to be read from one run. */
export interface Piece<R extends PresentRun> {
  readonly from: R;
  readonly start: number;
  readonly end: number;
}

/** Source bytes [start, end) of a generation that were committed somewhere, but are in none of the runs. */
export interface Hole {
  readonly file: string;
  readonly start: number;
  readonly end: number;
}

/** One source file, all its generations in a row. */
export interface Joined<R extends PresentRun> {
  readonly pieces: Piece<R>[];
  readonly holes: Hole[];
  /** What would be a hole, had not retention removed it. */
  readonly removed: Hole[];
  /**
   * Where the first generation begins. Above 0 when its shipping began there, or when its head is in a directory
   * that was not given: the ledgers cannot tell.
   */
  readonly begin: number;
}

/**
 * Joins the runs of one source file (all generations of one path on one host) and what is known beyond them. Both come
 * in the order of their ledgers, which is the order of the generations where no link between them is known.
 */
export function joinRuns<R extends PresentRun>(runs: readonly R[], known: readonly Known[] = []): Joined<R> {
  const byFile = Map.groupBy(runs, ({ run }) => run.file);
  const links = linksOf(runs, known);
  const joined: Joined<R> = { pieces: [], holes: [], removed: [], begin: 0 };
  let begin: number | undefined;
  for (const file of generationsOf(runs, known)) {
    const own = byFile.get(file) ?? [];
    const removed = known.filter((one) => one.file === file).flatMap((one) => one.removed);
    const starts = [...own.map(({ run }) => run.start), ...removed.map(([start]) => start)];
    // Only the very first generation may begin later: the next ones follow from their first byte.
    const fromFirstByte = starts.length === 0 || links.before.has(file);
    const first = fromFirstByte ? 0 : starts.reduce((least, start) => Math.min(least, start), Infinity);
    const { pieces, holes } = joinGeneration(file, own, { start: first, end: links.ends.get(file) ?? 0 });
    joined.pieces.push(...pieces);
    for (const hole of holes) {
      const parts = split(hole, removed);
      joined.holes.push(...parts.holes);
      joined.removed.push(...parts.removed);
    }
    begin ??= first;
  }
  return { ...joined, begin: begin ?? 0 };
}

/** Source bytes [start, end) of one generation from its runs, each byte once. */
export function coverRange<R extends PresentRun>(
  file: string,
  runs: readonly R[],
  start: number,
  end: number,
): Pick<Joined<R>, 'pieces' | 'holes'> {
  const { pieces, holes } = joinGeneration(file, runs, { start, end });
  return {
    pieces: pieces
      .filter((piece) => piece.start < end)
      .map((piece) => ({ ...piece, end: Math.min(piece.end, end) })),
    holes: holes
      .filter((hole) => hole.start < end)
      .map((hole) => ({ ...hole, end: Math.min(hole.end, end) })),
  };
}

/** The generations, oldest first; what retention removed is older than what is there. */
export function generationsOf(runs: readonly PresentRun[], known: readonly Known[]): string[] {
  const files = new Set([...known.map(({ file }) => file), ...runs.map(({ run }) => run.file)]);
  return inOrder(files, linksOf(runs, known));
}

/** The parts of a hole that retention removed, in whichever directory, and the others. */
function split(hole: Hole, removed: Known['removed']): { holes: Hole[]; removed: Hole[] } {
  const { file, start, end } = hole;
  const parts: { holes: Hole[]; removed: Hole[] } = { holes: [], removed: [] };
  let at = start;
  for (const [from, to] of removed.toSorted((a, b) => a[0] - b[0])) {
    const [first, last] = [Math.max(at, from), Math.min(end, to)];
    if (first >= last) continue;
    if (first > at) parts.holes.push({ file, start: at, end: first });
    parts.removed.push({ file, start: first, end: last });
    at = last;
  }
  if (at < end) parts.holes.push({ file, start: at, end });
  return parts;
}

/** What the runs say about generations, their own and earlier ones that they may not hold. */
interface Links {
  /** The generation before. */
  readonly before: Map<string, string>;
  /** Source bytes below this were committed somewhere. */
  readonly ends: Map<string, number>;
}

function linksOf(runs: readonly PresentRun[], known: readonly Known[]): Links {
  const before = new Map<string, string>();
  const ends = new Map<string, number>();
  const link = (file: string, earlier: string): void => {
    if (file !== earlier && !before.has(file)) before.set(file, earlier);
  };
  const reaches = (file: string, end: number): void => {
    ends.set(file, Math.max(ends.get(file) ?? 0, end));
  };
  for (const { run } of runs) {
    reaches(run.file, run.end);
    if (run.after !== undefined) {
      const earlier = fileKey(sourceOf(run.file).host, run.after.file);
      link(run.file, earlier);
      reaches(earlier, run.after.size);
    }
  }
  for (const { file, end, after } of known) {
    if (after !== undefined) link(file, fileKey(sourceOf(file).host, after));
    reaches(file, end);
  }
  return { before, ends };
}

/** Every generation behind the one that it follows; otherwise as they come. */
function inOrder(files: Iterable<string>, links: Links): string[] {
  const ordered = new Set<string>();
  for (const file of files) {
    const chain: string[] = [];
    for (
      let next: string | undefined = file;
      next !== undefined && !ordered.has(next) && !chain.includes(next);
      next = links.before.get(next)
    )
      chain.push(next);
    for (const one of chain.toReversed()) ordered.add(one);
  }
  return [...ordered];
}

/** Covers [start, end) with pieces, each byte once, from the run that begins first. */
function joinGeneration<R extends PresentRun>(
  file: string,
  runs: readonly R[],
  range: { start: number; end: number },
): { pieces: Piece<R>[]; holes: Hole[] } {
  const pieces: Piece<R>[] = [];
  const holes: Hole[] = [];
  let at = range.start;
  for (const from of runs.toSorted((a, b) => a.run.start - b.run.start || b.there - a.there)) {
    if (from.there <= Math.max(at, from.run.start)) continue;
    if (from.run.start > at) holes.push({ file, start: at, end: from.run.start });
    const start = Math.max(at, from.run.start);
    pieces.push({ from, start, end: from.there });
    at = from.there;
  }
  if (at < range.end) holes.push({ file, start: at, end: range.end });
  return { pieces, holes };
}
