// What a ledger still knows of bytes that retention removed: how far each generation was committed, which one it
// follows, and which ranges are gone. One entry for each generation, however many runs it had. Pure.

import type { After } from '../../common/wire/chunk.ts';
import { type ByteRange, joinRanges } from '../../common/wire/ranges.ts';

/** One generation, beyond the runs that are still listed. */
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
  readonly before?: Readonly<Record<string, number>> | undefined;
}

/** Keeps what a run says that retention removes, its links to earlier generations included. */
export function rememberRun(known: Map<string, Known>, run: Going): void {
  const { file, path, start, end, tail, after, before = {} } = run;
  addKnown(known, { file, path, end, tail, after: after?.file, removed: [[start, end]] });
  if (after !== undefined)
    addKnown(known, { file: siblingKey(file, after.file), path, end: after.size, tail: '', removed: [] });
  const earlier = Object.entries(before);
  for (const [index, [one, size]] of earlier.entries()) {
    const next = earlier[index + 1]?.[0];
    addKnown(known, {
      file: one,
      path,
      end: size,
      tail: '',
      after: next?.slice(next.lastIndexOf('/') + 1),
      removed: [],
    });
  }
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
