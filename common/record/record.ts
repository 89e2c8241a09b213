// The record of one partition: who owns it, and how far each file is committed somewhere. Pure: how a record
// changes, never how it is stored. Every change makes a new record; compare-and-set decides whether it counts.
// The rules are design §3 and §5.2–5.7.

import { copyMap } from './layered-map.ts';

/** Who holds a file's bytes from an offset on: a term, or null for nobody that is known. */
export type Holder = readonly [term: string | null, from: number];

/** One generation of a source file, as far as it is committed. */
export interface FileEntry {
  readonly path: string;
  /** Bytes before this are committed. */
  readonly offset: number;
  /** See tailOf, at the offset; null when the offset came from a merge that knew none. */
  readonly tail: string | null;
  /** Ordered by offset: a byte belongs to the last entry whose `from` is not above it. */
  readonly held: readonly Holder[];
  /** The file id of the generation before, null for the first. */
  readonly after: string | null;
  /** The final size, once its end marker was seen and everything before it is committed. */
  readonly final: number | null;
}

/** A generation that waits for missing bytes, though later ones of it were processed. */
export interface Hole {
  readonly path: string;
  /** The stream sequence of the first message that was not written for that. */
  readonly seq: number;
  /** Where the furthest chunk ends that was not written. */
  readonly end: number;
}

/** A record names no more of them. */
export const MAX_HOLES = 500;

/** How far a stream was processed; `seq` counts only for the stream that was created then. */
export interface StreamPosition {
  readonly created: string;
  readonly seq: number;
}

export interface PartitionRecord {
  readonly partitions: number;
  /** The receiver that owns the partition, null when it was released. */
  readonly owner: string | null;
  readonly term: string | null;
  /** Every term and merge, in order; trimmed to the last ones. */
  readonly terms: readonly string[];
  readonly stream: StreamPosition;
  /** By fileKey: what was processed and not written. */
  readonly holes: ReadonlyMap<string, Hole>;
  /** The lowest sequence of those that are not named, 0 for none: the next term reads from there. */
  readonly unnamed: number;
  /** Where the files are that have not changed lately, oldest first; see store.ts. */
  readonly archives: readonly Archive[];
  /** By fileKey(host, file id). */
  readonly files: ReadonlyMap<string, FileEntry>;
}

/** Files of a record under a key of their own: written once, and never changed. */
export interface Archive {
  readonly token: string;
  /** How many files it holds, also those that a later one holds again. */
  readonly files: number;
}

/** What a ledger proves about one file; see claimsOf. */
export interface Claim {
  readonly start: number;
  readonly end: number;
  readonly path: string;
  readonly tail: string | null;
  readonly after: string | null;
  /** The ledger knows that these bytes were committed, but does not hold them. */
  readonly elsewhere: boolean;
}

/** A run of the ledger that now belongs to another term: every run of the file from `start` on. */
export interface Relabel {
  readonly file: string;
  readonly start: number;
}

/** What one commit adds to a file. `start` is where this group of writes began. */
export interface FileChange {
  readonly start: number;
  readonly end: number;
  readonly path: string;
  readonly tail: string | null;
  readonly after: string | null;
  readonly final: number | null;
  /** True when [start, end) is a gap: nobody holds it. */
  readonly gap: boolean;
}

/** Terms beyond this many are forgotten; a directory never cuts bytes of a term that it no longer finds. */
export const MAX_TERMS = 64;

/** `<directory id>.<token>`: a number could be used again after the broker was rolled back. */
export function termOf(directory: string, token: string): string {
  return `${directory}.${token}`;
}

/** Whether a term was written by this directory. */
export function isTermOf(directory: string, term: string): boolean {
  return term.startsWith(`${directory}.`);
}

export function emptyRecord(partitions: number): PartitionRecord {
  return {
    partitions,
    owner: null,
    term: null,
    terms: [],
    stream: { created: '', seq: 0 },
    holes: new Map(),
    unnamed: 0,
    archives: [],
    files: new Map(),
  };
}

/** Adds a holder: entries at or above its offset are overwritten. */
export function pushHolder(held: readonly Holder[], term: string | null, from: number): Holder[] {
  return [...held.filter((holder) => holder[1] < from), [term, from]];
}

/** The holder of the byte at an offset: undefined when none is listed. */
export function holderOf(held: readonly Holder[], offset: number): Holder | undefined {
  return held.findLast((holder) => holder[1] <= offset);
}

/**
 * The position to consume from: what the record says while the stream is the same one and reaches that far,
 * otherwise its beginning (a start beyond the end is not clamped by the server, and would skip).
 */
export function streamPosition(
  position: StreamPosition,
  stream: { created: string; lastSeq: number },
): StreamPosition {
  const same = position.created === stream.created && stream.lastSeq >= position.seq;
  return { created: stream.created, seq: same ? position.seq : 0 };
}

/** A new term begins: the record's files, raised to what the taker's ledger claims. */
export function takeRecord(
  previous: PartitionRecord,
  take: {
    owner: string;
    term: string;
    claims: ReadonlyMap<string, Claim>;
    stream: { created: string; lastSeq: number };
  },
): { record: PartitionRecord; relabels: Relabel[] } {
  const { files, relabels } = raise(previous.files, take.claims, take.term);
  const stream = positionOf(previous, take.stream);
  const record: PartitionRecord = {
    ...previous,
    owner: take.owner,
    term: take.term,
    terms: addTerm(previous.terms, take.term),
    stream,
    holes: holesLeft(previous.holes, stream, files),
    unnamed: 0,
    files,
  };
  return { record, relabels };
}

/** Where a new term begins: what was processed and is not named by the record is met again. */
export function positionOf(
  { stream, unnamed }: Pick<PartitionRecord, 'stream' | 'unnamed'>,
  now: { created: string; lastSeq: number },
): StreamPosition {
  const { created, seq } = streamPosition(stream, now);
  return { created, seq: unnamed === 0 ? seq : Math.min(seq, unnamed - 1) };
}

/** Those that the taker's ledger has not filled. Where the stream is read from its beginning they are met again. */
function holesLeft(
  holes: ReadonlyMap<string, Hole>,
  { seq }: StreamPosition,
  files: ReadonlyMap<string, FileEntry>,
): Map<string, Hole> {
  if (seq === 0) return new Map();
  return new Map([...holes].filter(([file, { end }]) => (files.get(file)?.offset ?? 0) < end));
}

/**
 * After the bucket was lost: what a ledger claims goes into the new record under a token of its own, the larger
 * offset winning. Undefined when the record already knows all of it.
 */
export function mergeRecord(
  previous: PartitionRecord,
  merge: { term: string; claims: ReadonlyMap<string, Claim> },
): { record: PartitionRecord; relabels: Relabel[] } | undefined {
  const { files, relabels, changed } = raise(previous.files, merge.claims, merge.term);
  if (!changed) return undefined;
  return { record: { ...previous, terms: addTerm(previous.terms, merge.term), files }, relabels };
}

/**
 * What this directory should hold by the record and its ledger does not know, because the ledger was damaged or put
 * back from a backup: no longer committed, and looked for in the stream again from its beginning. Only the end of a
 * file that this directory wrote last; see docs/design.md 5.7. Undefined when the ledger knows all of it.
 */
export function lowerRecord(
  previous: PartitionRecord,
  directory: string,
  claims: ReadonlyMap<string, Claim>,
): { record: PartitionRecord; lowered: Map<string, { from: number; to: number }> } | undefined {
  const files = copyMap(previous.files);
  const lowered = new Map<string, { from: number; to: number }>();
  for (const [file, entry] of previous.files) {
    const claim = claims.get(file);
    let { offset } = entry;
    let held = entry.held.filter((holder) => holder[1] < entry.offset);
    for (let last = held.at(-1); last !== undefined; last = held.at(-1)) {
      const [term, from] = last;
      if (term === null || !isTermOf(directory, term)) break;
      offset = Math.max(from, Math.min(offset, claim?.end ?? 0));
      if (offset > from) break;
      held = held.slice(0, -1);
    }
    if (offset >= entry.offset) continue;
    const tail = claim?.end === offset ? claim.tail : null;
    files.set(file, { ...entry, offset, held, tail, final: null });
    lowered.set(file, { from: offset, to: entry.offset });
  }
  if (lowered.size === 0) return undefined;
  return { record: { ...previous, stream: { ...previous.stream, seq: 0 }, files }, lowered };
}

function raise(
  files: ReadonlyMap<string, FileEntry>,
  claims: ReadonlyMap<string, Claim>,
  term: string,
): { files: Map<string, FileEntry>; relabels: Relabel[]; changed: boolean } {
  const raised = copyMap(files);
  const relabels: Relabel[] = [];
  let changed = false;
  for (const [file, claim] of claims) {
    const known = raised.get(file);
    const offset = known?.offset ?? 0;
    if (known !== undefined && offset >= claim.end) {
      if (known.after !== null || claim.after === null) continue;
      // What it follows is news, and the order across rotations needs it.
      raised.set(file, { ...known, after: claim.after });
      changed = true;
      continue;
    }
    changed = true;
    let held: readonly Holder[] = known?.held ?? [];
    if (claim.elsewhere) held = pushHolder(held, null, offset);
    else {
      if (claim.start > offset) held = pushHolder(held, null, offset);
      held = pushHolder(held, term, claim.start);
      relabels.push({ file, start: claim.start });
    }
    raised.set(file, {
      path: known?.path ?? claim.path,
      offset: claim.end,
      tail: claim.tail,
      held,
      after: known?.after ?? claim.after,
      // It was the size before a late writer.
      final: null,
    });
  }
  return { files: raised, relabels, changed };
}

/**
 * One commit: the record raised to what was written durably under my term. Offsets never go back; a file that is
 * already that far keeps its entry. A file's changes count in the order of their bytes, however they are given.
 */
export function commitRecord(
  previous: PartitionRecord,
  commit: {
    term: string;
    stream: StreamPosition;
    changes: ReadonlyMap<string, readonly FileChange[]>;
    holes: ReadonlyMap<string, Hole>;
    unnamed?: number;
  },
): PartitionRecord {
  const files = copyMap(previous.files);
  const wholly: readonly Holder[] = [[commit.term, 0]];
  for (const [file, changes] of commit.changes)
    for (const change of changes.toSorted((a, b) => a.start - b.start)) {
      const entry = changeEntry(files.get(file), change, commit.term, wholly);
      if (entry !== undefined) files.set(file, entry);
    }
  const { stream, holes, unnamed = 0 } = commit;
  return { ...previous, stream, holes, unnamed, files };
}

/** @param wholly the term from the first byte on: most files are held like this, and share it */
function changeEntry(
  known: FileEntry | undefined,
  change: FileChange,
  term: string,
  wholly: readonly Holder[],
): FileEntry | undefined {
  if (known !== undefined && known.offset >= change.end) {
    const ends = change.final !== null && change.final === known.offset && known.final === null;
    return ends ? { ...known, final: change.final } : undefined;
  }
  const held = known?.held ?? [];
  const holder = change.gap ? null : term;
  const last = held.at(-1);
  const isWhole = known === undefined && holder === term && change.start === 0;
  const goesOn = last !== undefined && last[0] === holder;
  return {
    path: change.path,
    offset: change.end,
    tail: change.tail,
    held: isWhole ? wholly : goesOn ? held : pushHolder(held, holder, change.start),
    after: change.after ?? known?.after ?? null,
    final: change.final,
  };
}

/** The record was found changed under my own term (a late answer, a rolled-back bucket): the larger offset wins. */
export function adoptRecord(mine: PartitionRecord, theirs: PartitionRecord): PartitionRecord {
  const files = copyMap(mine.files);
  for (const [file, entry] of theirs.files) {
    const known = files.get(file);
    if (known === undefined || known.offset < entry.offset) files.set(file, entry);
  }
  const terms = [...theirs.terms, ...mine.terms.filter((term) => !theirs.terms.includes(term))];
  return { ...mine, terms: terms.slice(-MAX_TERMS), files };
}

/** A clean stop: nobody owns the partition; the term stays, so that nothing else changes. */
export function releaseRecord(mine: PartitionRecord): PartitionRecord {
  return { ...mine, owner: null };
}

function addTerm(terms: readonly string[], term: string): string[] {
  return [...terms, term].slice(-MAX_TERMS);
}
