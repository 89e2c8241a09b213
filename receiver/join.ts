// A source file again from the runs of one or several ledgers: which generations it had, in which order, and which
// runs give each byte once. Pure: it names holes, and never decides what to do about them.

import { fileKey } from '../common/subjects.ts';
import type { Run } from './ledger.ts';

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
  /**
   * Where the first generation begins. Above 0 when its shipping began there, or when its head is in a directory
   * that was not given: the ledgers cannot tell.
   */
  readonly begin: number;
}

/**
 * Joins the runs of one source file (all generations of one path on one host). Runs come in the order of their
 * ledgers, which is the order of the generations where no link between them is known.
 */
export function joinRuns<R extends PresentRun>(runs: readonly R[]): Joined<R> {
  const byFile = Map.groupBy(runs, ({ run }) => run.file);
  const links = linksOf(runs);
  const joined: Joined<R> = { pieces: [], holes: [], begin: 0 };
  let begin: number | undefined;
  for (const file of inOrder(byFile.keys(), links)) {
    const own = byFile.get(file) ?? [];
    // Only the very first generation may begin later: the next ones follow from their first byte.
    const fromFirstByte = own.length === 0 || links.before.has(file);
    const first = fromFirstByte ? 0 : own.reduce((least, { run }) => Math.min(least, run.start), Infinity);
    joinGeneration(file, own, { start: first, end: links.ends.get(file) ?? 0 }, joined);
    begin ??= first;
  }
  return { ...joined, begin: begin ?? 0 };
}

/** The generations of the runs, oldest first. */
export function generationsOf(runs: readonly PresentRun[]): string[] {
  return inOrder(new Set(runs.map(({ run }) => run.file)), linksOf(runs));
}

/** Takes a fileKey apart; a host's name may hold slashes, a file id holds none. */
export function sourceOf(key: string): { host: string; id: string } {
  const slash = key.lastIndexOf('/');
  return { host: key.slice(0, slash), id: key.slice(slash + 1) };
}

/** What the runs say about generations, their own and earlier ones that they may not hold. */
interface Links {
  /** The generation before. */
  readonly before: Map<string, string>;
  /** Source bytes below this were committed somewhere. */
  readonly ends: Map<string, number>;
}

function linksOf(runs: readonly PresentRun[]): Links {
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
    // The one before, the one before that, and so on.
    let later = run.file;
    for (const [earlier, end] of Object.entries(run.before ?? {})) {
      link(later, earlier);
      reaches(earlier, end);
      later = earlier;
    }
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
  joined: Joined<R>,
): void {
  let at = range.start;
  for (const from of runs.toSorted((a, b) => a.run.start - b.run.start || b.there - a.there)) {
    if (from.there <= Math.max(at, from.run.start)) continue;
    if (from.run.start > at) joined.holes.push({ file, start: at, end: from.run.start });
    const start = Math.max(at, from.run.start);
    joined.pieces.push({ from, start, end: from.there });
    at = from.there;
  }
  if (at < range.end) joined.holes.push({ file, start: at, end: range.end });
}
