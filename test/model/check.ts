// What must hold after every run of the model: nothing lost, nothing twice, in order, and nothing left to do.

import { holderOf, isTermOf, type FileEntry, type PartitionRecord } from '../../common/record/record.ts';
import { fileKey } from '../../common/wire/subjects.ts';
import { partitionKey } from '../../common/wire/topology.ts';
import { allRuns, type Run } from '../../receiver/ledger/ledger.ts';
import { piecesAt, type Directory } from './directory.ts';
import { readLedger } from './ledger-on-disk.ts';
import type { Scenario } from './scenarios.ts';
import { generationOf, type Generation, type SourceFile } from './source.ts';
import { recordedEntry, sourceFiles, type World } from './world.ts';

export interface Violation {
  readonly kind:
    | 'LOSS' // a byte that no ledger lists
    | 'LEDGER' // a ledger lists bytes that are not on disk
    | 'UNLISTED' // bytes that no ledger lists lie below bytes that one does
    | 'DUP' // a byte twice in one directory
    | 'ORDER' // bytes of a generation out of order in a destination
    | 'ORDERGEN' // generations out of order in a destination
    | 'OVERLAP' // a byte in two directories, and the one that does not hold it could have cut it
    | 'KEPT' // a byte in two directories: nobody's, or below bytes that must stay
    | 'FINAL' // a final size is recorded that is not the generation's
    | 'END' // a generation that is closed has no end marker, or an earlier one
    | 'STUCK' // not everything is committed in the end
    | 'BUSY' // something is still published when everything is committed
    | 'ERROR'; // a rule threw
  readonly detail: string;
}

/**
 * The joins drop what lies in two directories; that happens only where the bucket was rolled back or lost, and where what a
 * late writer added lies behind bytes that another directory claims.
 */
export function isTolerated(kind: Violation['kind'], scenario: Scenario): boolean {
  if (kind === 'KEPT' && scenario.lateWrites > 0) return true;
  return (kind === 'KEPT' || kind === 'OVERLAP') && scenario.mayOverlap;
}

/** The generations whose last byte is not committed. */
export function uncommitted(world: World): string[] {
  return sourceFiles(world).flatMap((file) =>
    file.generations.flatMap(({ name, begin, size }) => {
      const key = fileKey(name.host, name.file);
      const offset = recordedEntry(world, file, key)?.offset ?? begin;
      return offset < size ? [`${key} at ${offset} of ${size}`] : [];
    }),
  );
}

/** Compares what the directories list with what the sources had. */
export function checkDirectories(world: World): Violation[] {
  const violations: Violation[] = [];
  const copies = new Map<string, Copy[]>();
  for (const { directory } of world.receivers)
    for (let partition = 0; partition < world.scenario.partitions; partition += 1) {
      const ledger = readLedger(directory, partition);
      const { record } = world.bucket.read(partitionKey(partition));
      for (const run of allRuns(ledger))
        if (!isOnDisk(directory, run))
          violations.push({ kind: 'LEDGER', detail: `${directory.id} ${show(run)}` });
      for (const runs of ledger.destinations.values()) {
        violations.push(...checkPlaces(directory.id, runs));
        violations.push(...checkOrder(world, directory.id, runs));
        for (const copy of copiesIn(directory.id, runs, record))
          copies.set(copy.byte, [...(copies.get(copy.byte) ?? []), copy]);
      }
    }
  for (const file of sourceFiles(world))
    for (const generation of file.generations)
      violations.push(...checkBytes(world, generation, copies), ...checkFinal(world, file, generation));
  return violations;
}

/** One byte of a generation as one directory lists it. */
interface Copy {
  readonly byte: string;
  readonly offset: number;
  readonly directory: string;
  /** What the record says of the generation. */
  readonly entry: FileEntry | undefined;
  /** The byte behind it in the destination. */
  readonly next: Copy | undefined;
}

/** Every byte of a destination, the last one first. */
function copiesIn(directory: string, runs: readonly Run[], record: PartitionRecord | undefined): Copy[] {
  const copies: Copy[] = [];
  for (const { file, start, end } of runs.toReversed()) {
    const entry = record?.files.get(file);
    for (let offset = end - 1; offset >= start; offset -= 1)
      copies.push({ byte: `${file} ${offset}`, offset, directory, entry, next: copies.at(-1) });
  }
  return copies;
}

function show(run: Pick<Run, 'file' | 'start' | 'end'>): string {
  return `${run.file} ${run.start}-${run.end}`;
}

function isOnDisk(directory: Directory, run: Run): boolean {
  const disk = directory.files.find((file) => file.inode === run.inode);
  let at = run.start;
  for (const piece of disk === undefined ? [] : piecesAt(disk, run.from, run.to)) {
    if (piece.file !== run.file || piece.start !== at) return false;
    at = piece.end;
  }
  return at === run.end;
}

/** Runs follow each other without a hole, from the beginning of every file on disk. */
function checkPlaces(directory: string, runs: readonly Run[]): Violation[] {
  const violations: Violation[] = [];
  const ends = new Map<string, number>();
  for (const run of runs) {
    if (run.from !== (ends.get(run.inode) ?? 0))
      violations.push({ kind: 'UNLISTED', detail: `${directory} below ${show(run)}` });
    ends.set(run.inode, run.to);
  }
  return violations;
}

function checkOrder(world: World, directory: string, runs: readonly Run[]): Violation[] {
  const violations: Violation[] = [];
  const late = lateOf(world);
  runs.forEach((run, index) => {
    const detail = `${directory} ${show(run)}`;
    for (const earlier of runs.slice(0, index)) {
      const ahead = generationOf(earlier.file) - generationOf(run.file);
      if (ahead > 0 && run.start < (late.get(run.file) ?? Number.POSITIVE_INFINITY))
        violations.push({ kind: 'ORDERGEN', detail: `${detail} after ${show(earlier)}` });
      if (ahead !== 0) continue;
      const isTwice = earlier.start < run.end && run.start < earlier.end;
      if (isTwice) violations.push({ kind: 'DUP', detail: `${detail} after ${show(earlier)}` });
      else if (run.start < earlier.start)
        violations.push({ kind: 'ORDER', detail: `${detail} after ${show(earlier)}` });
    }
  });
  return violations;
}

/** From where on the bytes of a generation may come after those of later ones: they were written after its end. */
function lateOf(world: World): Map<string, number> {
  const late = new Map<string, number>();
  for (const { generations } of sourceFiles(world))
    for (const { name, lateFrom } of generations)
      if (lateFrom !== undefined) late.set(fileKey(name.host, name.file), lateFrom);
  return late;
}

function checkBytes(
  world: World,
  generation: Generation,
  copies: ReadonlyMap<string, readonly Copy[]>,
): Violation[] {
  const { name, begin, size } = generation;
  const key = fileKey(name.host, name.file);
  const gaps = world.gone.filter((gap) => gap.generation === generation);
  const found = new Map<Violation['kind'], number[]>();
  const note = (kind: Violation['kind'], byte: number): void => {
    found.set(kind, [...(found.get(kind) ?? []), byte]);
  };
  for (let byte = begin; byte < size; byte += 1) {
    const held = copies.get(`${key} ${byte}`) ?? [];
    const isGone = gaps.some((gap) => gap.start <= byte && byte < gap.end);
    if (held.length === 0 && !isGone) note('LOSS', byte);
    // Twice in one directory is a matter of its order.
    if (new Set(held.map((copy) => copy.directory)).size > 1)
      note(held.some((copy) => mayGo(copy, copies)) ? 'OVERLAP' : 'KEPT', byte);
  }
  return [...found].map(([kind, bytes]) => ({
    kind,
    detail: `${key} of ${size}: ${bytes.length} bytes from ${bytes[0]}`,
  }));
}

/** Whether the directory should have cut it: another holds it, and so it is with everything behind it. */
function mayGo(copy: Copy, copies: ReadonlyMap<string, readonly Copy[]>): boolean {
  for (let at: Copy | undefined = copy; at !== undefined; at = at.next) {
    const holder = holderOf(at.entry?.held ?? [], at.offset)?.[0] ?? null;
    if (holder === null || isTermOf(at.directory, holder) || copies.get(at.byte)?.length === 1) return false;
  }
  return true;
}

function checkFinal(world: World, file: SourceFile, generation: Generation): Violation[] {
  const { name, size, isClosed, endedAt } = generation;
  const key = fileKey(name.host, name.file);
  const final = recordedEntry(world, file, key)?.final ?? null;
  const violations: Violation[] = [];
  if (final !== null && !(isClosed && final === size))
    violations.push({ kind: 'FINAL', detail: `${key} of ${size}: ${final} is recorded` });
  if (isClosed && endedAt !== size)
    violations.push({ kind: 'END', detail: `${key} of ${size}: ended at ${endedAt ?? 'no byte'}` });
  return violations;
}
