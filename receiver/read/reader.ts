// Output directories read from outside: what their ledgers list, where it lies now, and the bytes of a source file.
// Works while receivers run: it takes no lock, and never writes.

import { type FileHandle, open, realpath } from 'node:fs/promises';
import path from 'node:path';

import { LogferryError, messageOf, systemCode } from '../../common/runtime/errors.ts';
import { sleep } from '../../common/runtime/run.ts';
import { sourceOf } from '../../common/wire/subjects.ts';
import { lastFrameEnd } from '../disk/frame-file.ts';
import { generationsOf, joinRuns, type Joined, type Piece, type PresentRun } from './join.ts';
import type { Known } from '../ledger/known.ts';
import type { Run } from '../ledger/ledger.ts';
import { ledgerPath, loadLedger } from '../ledger/ledger-file.ts';
import { type Encoding, STATE_DIRECTORY } from '../ledger/names.ts';
import { type OpenSegment, openSegment } from '../disk/open-segment.ts';
import { loadLedgers } from '../repartition/regroup-files.ts';
import { inodeOf, Listing, type Segment, segmentsOf, waitingCopies } from '../disk/segments.ts';

/** A run of one output directory. */
export interface PlacedRun extends PresentRun {
  /** As the caller wrote it. */
  readonly out: string;
  readonly partition: number;
  readonly host: string;
  /** The file on disk, below `out`; undefined when it is gone. */
  readonly name: string | undefined;
}

/** What a directory knows of a generation beyond its runs. */
export interface PlacedKnown {
  readonly host: string;
  readonly known: Known;
}

/** What the ledgers of output directories list, in their order. */
export interface Contents {
  readonly runs: readonly PlacedRun[];
  readonly known: readonly PlacedKnown[];
  /** The paths of ledgers that have lost lines: what those listed is left out. */
  readonly damaged: readonly string[];
}

/** One line of `segments`: source bytes [start, end) lie at [from, to) of a file on disk. */
export interface Listed {
  readonly host: string;
  readonly path: string;
  readonly file: string;
  readonly start: number;
  readonly end: number;
  /** Null when the ledger lists the file, but it is gone. */
  readonly disk: string | null;
  /** Of what the file decompresses to, where `encoding` is given; null where retention removed it. */
  readonly from: number | null;
  readonly to: number | null;
  /** Only where the file was compressed as a whole. */
  readonly encoding?: Encoding;
  /** Only where the file is of zstd frames: those between `from` and `to` on disk hold the bytes. */
  readonly format?: 'zstd';
  /** Only where retention removed the bytes. */
  readonly removed?: true;
}

export type SourcePiece = Piece<PlacedRun>;

/** A rotation between looking and opening moves a file; one look more finds it. */
const LOOKS = 5;
const LOOK_AGAIN_MS = 20;

/**
 * Everything that the ledgers below the output directories list, in their order. Throws `failed` for a directory
 * that is none of a receiver's or cannot be read, `newer` for a later version's ledger.
 */
export async function readContents(outs: readonly string[]): Promise<Contents> {
  const seen = new Set<string>();
  const runs: PlacedRun[] = [];
  const known: PlacedKnown[] = [];
  const damaged: string[] = [];
  for (const out of outs) {
    try {
      const real = await realpath(out);
      if (seen.has(real)) continue;
      seen.add(real);
      const contents = await readDirectory(out);
      runs.push(...contents.runs);
      known.push(...contents.known);
      damaged.push(...contents.damaged);
    } catch (error) {
      if (error instanceof LogferryError) throw error;
      if (systemCode(error) === undefined) throw error;
      const foreign = systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR';
      throw new LogferryError(
        'failed',
        foreign ? `${out} is not an output directory of logferry` : `cannot read ${out}: ${messageOf(error)}`,
        foreign ? `give the --out of a receiver, which has a ${STATE_DIRECTORY} in it` : undefined,
        { cause: error },
      );
    }
  }
  return { runs, known, damaged };
}

/** The runs alone: what the directories hold. */
export async function readDirectories(outs: readonly string[]): Promise<readonly PlacedRun[]> {
  return (await readContents(outs)).runs;
}

/**
 * Reads until every listed file was found: ledgers first, so that the files on disk are never older than they say. A
 * file that was seen at an earlier look and has been compressed since still counts: reading finds its successor.
 */
async function readDirectory(out: string): Promise<Contents> {
  const found = new Map<string, Map<string, Segment>>();
  for (let look = 1; ; look += 1) {
    const { ledgers, damaged } = await loadLedgers(out);
    const waiting = await waitingCopies(out);
    const listing = new Listing(out);
    const runs: PlacedRun[] = [];
    for (const ledger of ledgers)
      for (const [destination, own] of ledger.destinations) {
        const segments = found.get(destination) ?? new Map<string, Segment>();
        found.set(destination, segments);
        for (const one of [...waiting, ...(await listing.segmentsOf(destination))])
          segments.set(one.inode, one);
        for (const run of own) runs.push(await place(out, ledger.partition, run, segments.get(run.inode)));
      }
    if (look === LOOKS || runs.every(({ name }) => name !== undefined)) {
      const known = ledgers.flatMap((ledger) => [...ledger.known.values()]);
      return { runs, known: known.map((one) => ({ host: sourceOf(one.file).host, known: one })), damaged };
    }
    await sleep(LOOK_AGAIN_MS);
  }
}

async function place(
  out: string,
  partition: number,
  run: Run,
  segment: Segment | undefined,
): Promise<PlacedRun> {
  const { host } = sourceOf(run.file);
  const there = segment === undefined ? run.start : await endOnDisk(out, run, segment);
  return { run, out, partition, host, name: segment?.name, there };
}

/** As much of a run as its file is long enough for. */
async function endOnDisk(out: string, run: Run, { name, size }: Segment): Promise<number> {
  if (run.encoding !== undefined || size >= run.to) return run.end;
  if (run.format === undefined) return run.start + Math.max(0, size - run.from);
  const handle = await openIfThere(path.join(out, name));
  if (handle === undefined) return run.start;
  try {
    return (await lastFrameEnd(handle, run, size)).end;
  } finally {
    await handle.close();
  }
}

/** What lies where, and what retention removed, by host, path, generation and offset. */
export function listRuns(runs: readonly PlacedRun[], known: readonly PlacedKnown[] = []): Listed[] {
  const sources = new Map<string, { runs: PlacedRun[]; known: Known[] }>();
  const sourceAt = (host: string, source: string): { runs: PlacedRun[]; known: Known[] } => {
    const key = `${host}\n${source}`;
    const own = sources.get(key) ?? { runs: [], known: [] };
    sources.set(key, own);
    return own;
  };
  for (const one of known) sourceAt(one.host, one.known.path).known.push(one.known);
  for (const one of runs) sourceAt(one.host, one.run.path).runs.push(one);
  return [...sources]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, own]) => {
      const rank = new Map(generationsOf(own.runs, own.known).map((file, index) => [file, index]));
      return [...own.known.flatMap(listedRemoved), ...own.runs.map(listed)]
        .toSorted((a, b) => (rank.get(a.key) ?? 0) - (rank.get(b.key) ?? 0) || a.row.start - b.row.start)
        .map(({ row }) => row);
    });
}

interface Row {
  /** See fileKey. */
  readonly key: string;
  readonly row: Listed;
}

function listed({ run, out, host, name }: PlacedRun): Row {
  const { path: source, start, end, from, to, encoding, format } = run;
  const disk = name === undefined ? null : path.join(out, name);
  const as = { ...(encoding === undefined ? {} : { encoding }), ...(format === undefined ? {} : { format }) };
  const row = { host, path: source, file: sourceOf(run.file).id, start, end, disk, from, to, ...as };
  return { key: run.file, row };
}

function listedRemoved({ file: key, path: source, removed }: Known): Row[] {
  const { host, id: file } = sourceOf(key);
  const gone = { disk: null, from: null, to: null, removed: true } as const;
  return removed.map(([start, end]) => ({ key, row: { host, path: source, file, start, end, ...gone } }));
}

/** One source file, joined; undefined when no ledger knows anything of it. */
export function joinSource(
  all: readonly PlacedRun[],
  host: string,
  source: string,
  allKnown: readonly PlacedKnown[] = [],
): Joined<PlacedRun> | undefined {
  const runs = all.filter((placed) => placed.host === host);
  const known = allKnown.filter((placed) => placed.host === host).map((placed) => placed.known);
  const files = new Set([
    ...runs.filter(({ run }) => run.path === source).map(({ run }) => run.file),
    ...known.filter((one) => one.path === source).map(({ file }) => file),
  ]);
  if (files.size === 0) return undefined;
  return joinRuns(
    runs.filter(({ run }) => files.has(run.file)),
    known.filter(({ file }) => files.has(file)),
  );
}

/**
 * The bytes of the pieces, in order, in buffers of bounded size. Throws `failed` when a file is gone, shorter than it
 * was when it was listed, or does not decompress.
 */
export async function* readPieces(pieces: Iterable<SourcePiece>): AsyncGenerator<Uint8Array> {
  const reader = new PieceReader();
  try {
    for (const piece of pieces) yield* reader.read(piece);
  } finally {
    await reader.close();
  }
}

/** An open file, and every inode whose runs lie in it: its own, and the one that it was before it was compressed. */
export interface Opened {
  readonly out: string;
  readonly inodes: ReadonlySet<string>;
  readonly segment: OpenSegment;
  /** Where it was when it was opened. */
  readonly disk: string;
  readonly encoding: Encoding | undefined;
}

/** Reads pieces one after the other; the file of the last one stays open for the next. */
export class PieceReader {
  #opened: Opened | undefined;

  /** The file of the last piece. */
  get opened(): Opened | undefined {
    return this.#opened;
  }

  /** Throws as readPieces does. */
  async *read({ from: placed, start, end }: SourcePiece): AsyncGenerator<Uint8Array> {
    const { segment } = await this.open(placed);
    let at = start;
    for await (const bytes of segment.read(placed.run, start, end)) {
      yield bytes;
      at += bytes.length;
    }
    if (at < end) throw gone(placed, `ends with byte ${at} of the source, before ${end}`);
  }

  /** The file that the run lies in; open until another one is asked for. Throws `failed` when it is gone. */
  async open(placed: PlacedRun): Promise<Opened> {
    const { run, out } = placed;
    if (this.#opened?.out === out && this.#opened.inodes.has(run.inode)) return this.#opened;
    await this.close();
    this.#opened = await openRun(placed);
    return this.#opened;
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.segment.close();
  }
}

/** Opens the file that the run lies in, whatever it is called by now, and whether or not it was compressed since. */
async function openRun(placed: PlacedRun): Promise<Opened> {
  const { out } = placed;
  const inodes = new Set([placed.run.inode]);
  let { run, name } = placed;
  for (let look = 1; look <= LOOKS; look += 1) {
    if (name !== undefined) {
      const file = path.join(out, name);
      const handle = await openIfThere(file);
      if (handle !== undefined) {
        if (inodeOf(await handle.stat({ bigint: true })) === run.inode)
          return { out, inodes, segment: openSegment(handle, run, file), disk: file, encoding: run.encoding };
        await handle.close();
      }
    }
    if (look > 1) await sleep(LOOK_AGAIN_MS);
    name = await nameOf(out, run);
    if (name !== undefined) continue;
    run = (await successorOf(placed)) ?? run;
    inodes.add(run.inode);
    name = await nameOf(out, run);
  }
  throw gone(placed, 'is gone');
}

async function nameOf(out: string, { destination, inode }: Run): Promise<string | undefined> {
  const files = [...(await waitingCopies(out)), ...(await segmentsOf(out, destination))];
  return files.find((one) => one.inode === inode)?.name;
}

/** The run that holds the same bytes by what the ledger says now: compression moves them to another inode. */
async function successorOf({ out, partition, run }: PlacedRun): Promise<Run | undefined> {
  const { ledger } = await loadLedger(ledgerPath(out, partition), '', partition);
  const holds = (other: Run): boolean =>
    other.file === run.file &&
    other.start <= run.start &&
    run.start < other.end &&
    other.format === run.format &&
    (run.format !== undefined || other.from - other.start === run.from - run.start);
  const runs = (ledger.destinations.get(run.destination) ?? []).filter(holds);
  return runs.find(({ inode }) => inode === run.inode) ?? runs[0];
}

async function openIfThere(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The name of the file that a run lies in, as far as it is known without looking. */
export function centralFile({ out, run, name }: PlacedRun): string {
  return path.join(out, name ?? run.destination);
}

function gone(placed: PlacedRun, what: string): LogferryError {
  return new LogferryError('failed', `${centralFile(placed)} ${what}, while it was read`, 'run it again');
}
