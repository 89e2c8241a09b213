// What a ledger knows of bytes that are not here, as retention removed them or others have written them: how far each
// generation was committed, which one it follows, and which ranges are gone. One entry for each, however many runs it had. Pure.

import type { After } from '../../common/wire/chunk.ts';
import { type ByteRange, joinRanges } from '../../common/wire/ranges.ts';
import { fileKey } from '../../common/wire/subjects.ts';

/** One generation, beyond the runs that are listed. */
export interface Known {
  /** fileKey(host, file id). */
  readonly file: string;
  readonly path: string;
  /** Committed up to here, in this directory or another. */
  readonly end: number;
  /** See tailOf, at `end`; empty when it is not known. */
  readonly tail: string;
  /** The file id of the generation before. */
  readonly after?: string | undefined;
  /** The source bytes that retention removed from this directory: in order, none touching the next. */
  readonly removed: readonly ByteRange[];
}

/** What a run that goes says, beside where it lay. */
interface Going {
  readonly file: string;
  readonly path: string;
  readonly start: number;
  readonly end: number;
  readonly tail: string;
  readonly after?: After | undefined;
}

/** Keeps what a run says that retention removes, its link to the generation before included. */
export function rememberRun(known: Map<string, Known>, run: Going): void {
  const { file, path, start, end, tail, after } = run;
  addKnown(known, { file, path, end, tail, after: after?.file, removed: [[start, end]] });
  if (after !== undefined)
    addKnown(known, { file: siblingKey(file, after.file), path, end: after.size, tail: '', removed: [] });
}

/** Adds what is known of a generation to what was known of it before. */
export function addKnown(known: Map<string, Known>, more: Known): void {
  const had = known.get(more.file);
  if (had === undefined) {
    known.set(more.file, more);
    return;
  }
  const [further, other] = more.end > had.end ? [more, had] : [had, more];
  known.set(more.file, {
    file: had.file,
    path: had.removed.length === 0 && more.removed.length > 0 ? more.path : had.path,
    end: further.end,
    tail: further.tail || (other.end === further.end ? other.tail : ''),
    after: had.after ?? more.after,
    removed: joinRanges([...had.removed, ...more.removed]),
  });
}

/** The key of another generation of the same host. */
export function siblingKey(file: string, id: string): string {
  return `${file.slice(0, file.lastIndexOf('/') + 1)}${id}`;
}

/** What comes before a generation of one path. */
export interface Earlier {
  readonly host: string;
  readonly path: string;
  /** The file id of the one before, null for none. */
  readonly after: string | null;
  /** What the record knows, by fileKey. */
  readonly recorded: (file: string) => { readonly offset: number; readonly after: string | null } | undefined;
}

/**
 * What the record knows of the generations that come before one, as far as the ledger does not say it already: so the order
 * across rotations survives a lost bucket. A line about a generation comes with all this, so the first
 * that is known ends the search, and a ledger says each generation once.
 *
 * @param isSaid whether the ledger says that so much of a generation was committed
 */
export function earlierThan(
  { host, path, after, recorded }: Earlier,
  isSaid: (file: string, offset: number) => boolean,
): Known[] {
  const earlier: Known[] = [];
  const seen = new Set<string>();
  for (let id = after; id !== null;) {
    const file = fileKey(host, id);
    const entry = recorded(file);
    if (entry === undefined || seen.has(file) || isSaid(file, entry.offset)) break;
    seen.add(file);
    earlier.push({ file, path, end: entry.offset, tail: '', after: entry.after ?? undefined, removed: [] });
    id = entry.after;
  }
  return earlier;
}
