// Output directories read from outside: what their ledgers list, where it lies now, and the bytes of a source file.
// Works while receivers run: it takes no lock, and never writes.

import { type FileHandle, open, realpath } from 'node:fs/promises';
import path from 'node:path';

import { LogferryError, messageOf, systemCode } from '../common/errors.ts';
import { sleep } from '../common/run.ts';
import { generationsOf, joinRuns, type Joined, type Piece, type PresentRun, sourceOf } from './join.ts';
import { allRuns, type Run } from './ledger.ts';
import { ledgerPath, ledgersIn, loadLedger } from './ledger-file.ts';
import { STATE_DIRECTORY } from './names.ts';
import { inodeOf, type Segment, segmentsOf } from './segments.ts';

/** A run of one output directory. */
export interface PlacedRun extends PresentRun {
  /** As the caller wrote it. */
  readonly out: string;
  readonly host: string;
  /** The file on disk, below `out`; undefined when it is gone. */
  readonly name: string | undefined;
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
  readonly from: number;
  readonly to: number;
}

export type SourcePiece = Piece<PlacedRun>;

/** A rotation between looking and opening moves a file; one look more finds it. */
const LOOKS = 5;
const LOOK_AGAIN_MS = 20;

const READ_BYTES = 512 * 1024;

/**
 * Everything that the ledgers below the output directories list, in their order. Throws `failed` for a directory
 * that is none of a receiver's or cannot be read, `newer` for a later version's ledger.
 */
export async function readDirectories(outs: readonly string[]): Promise<PlacedRun[]> {
  const seen = new Set<string>();
  const runs: PlacedRun[] = [];
  for (const out of outs) {
    try {
      const real = await realpath(out);
      if (seen.has(real)) continue;
      seen.add(real);
      runs.push(...(await readDirectory(out)));
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
  return runs;
}

/** Reads until every listed file was found: ledgers first, so that the files on disk are never older than they say. */
async function readDirectory(out: string): Promise<PlacedRun[]> {
  for (let look = 1; ; look += 1) {
    const runs: PlacedRun[] = [];
    const found = new Map<string, Map<string, Segment>>();
    for (const partition of await ledgersIn(out)) {
      const { ledger } = await loadLedger(ledgerPath(out, partition), '', partition);
      for (const run of allRuns(ledger)) {
        let segments = found.get(run.destination);
        if (segments === undefined) {
          segments = new Map((await segmentsOf(out, run.destination)).map((one) => [one.inode, one]));
          found.set(run.destination, segments);
        }
        runs.push(place(out, run, segments.get(run.inode)));
      }
    }
    if (look === LOOKS || runs.every(({ name }) => name !== undefined)) return runs;
    await sleep(LOOK_AGAIN_MS);
  }
}

function place(out: string, run: Run, segment: Segment | undefined): PlacedRun {
  const bytes = Math.max(0, Math.min(run.to, segment?.size ?? 0) - run.from);
  return { run, out, host: sourceOf(run.file).host, name: segment?.name, there: run.start + bytes };
}

/** What lies where, by host, path, generation and offset. */
export function listRuns(runs: readonly PlacedRun[]): Listed[] {
  const sources = Map.groupBy(runs, ({ host, run }) => `${host}\n${run.path}`);
  return [...sources]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, own]) => {
      const rank = new Map(generationsOf(own).map((file, index) => [file, index]));
      const order = ({ run }: PlacedRun): number => rank.get(run.file) ?? 0;
      return own.toSorted((a, b) => order(a) - order(b) || a.run.start - b.run.start).map(listed);
    });
}

function listed({ run, out, host, name }: PlacedRun): Listed {
  const { path: source, start, end, from, to } = run;
  const disk = name === undefined ? null : path.join(out, name);
  return { host, path: source, file: sourceOf(run.file).id, start, end, disk, from, to };
}

/** One source file, joined; undefined when no ledger lists anything of it. */
export function joinSource(
  runs: readonly PlacedRun[],
  host: string,
  source: string,
): Joined<PlacedRun> | undefined {
  const own = runs.filter((placed) => placed.host === host);
  const files = new Set(own.filter(({ run }) => run.path === source).map(({ run }) => run.file));
  if (files.size === 0) return undefined;
  return joinRuns(own.filter(({ run }) => files.has(run.file)));
}

/**
 * The bytes of the pieces, in order, in buffers of bounded size. Throws `failed` when a file is gone or shorter than
 * it was when it was listed.
 */
export async function* readPieces(pieces: Iterable<SourcePiece>): AsyncGenerator<Uint8Array> {
  for (const { from: placed, start, end } of pieces) {
    const { run } = placed;
    const handle = await openRun(placed);
    try {
      let at = run.from + (start - run.start);
      const to = at + (end - start);
      while (at < to) {
        const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, to - at));
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
        if (bytesRead === 0) throw gone(placed, `ends at ${at}, before ${to}`);
        yield buffer.subarray(0, bytesRead);
        at += bytesRead;
      }
    } finally {
      await handle.close();
    }
  }
}

/** Opens the file with the run's inode, whatever it is called by now. */
async function openRun(placed: PlacedRun): Promise<FileHandle> {
  const { out, run } = placed;
  let { name } = placed;
  for (let look = 1; look <= LOOKS; look += 1) {
    if (name !== undefined) {
      const handle = await openIfThere(path.join(out, name));
      if (handle !== undefined) {
        if (inodeOf(await handle.stat({ bigint: true })) === run.inode) return handle;
        await handle.close();
      }
    }
    if (look > 1) await sleep(LOOK_AGAIN_MS);
    name = (await segmentsOf(out, run.destination)).find(({ inode }) => inode === run.inode)?.name;
  }
  throw gone(placed, 'is gone');
}

async function openIfThere(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function gone({ out, run, name }: PlacedRun, what: string): LogferryError {
  const file = path.join(out, name ?? run.destination);
  return new LogferryError('failed', `${file} ${what}, while it was read`, 'run it again');
}
