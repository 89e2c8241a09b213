// Compresses finished segments, and finishes what a crash left half done. In steps, each durable before the next: the
// copy, the ledger's word for it, its place, the end of the original. Never decides which segment.

import { type FileHandle, mkdir, open, rename, rm, rmdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';

import { crc32 } from '../../common/wire/digest.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import { syncDirectory } from '../../common/runtime/files.ts';
import { compressor, decompressor } from '../disk/encoding.ts';
import { encodingOf, hasFrames, listedBytes } from '../ledger/ledger.ts';
import type { LedgerFile } from '../ledger/ledger-file.ts';
import { compressedName, type Encoding, renumbered, STATE_DIRECTORY } from '../ledger/names.ts';
import {
  COPIES_DIRECTORY,
  entriesOf,
  inodeOf,
  isStill,
  isThere,
  removeFile,
  type Segment,
  segmentsOf,
} from '../disk/segments.ts';

export interface Job {
  readonly out: string;
  readonly file: LedgerFile;
  readonly destination: string;
  readonly segment: Segment;
  readonly encoding: Encoding;
}

/** A compressed copy that is not in its place yet. */
export interface Copy {
  /** Where it is, and where it goes; both absolute. */
  readonly temporary: string;
  readonly place: string;
  readonly inode: string;
  /** Bytes on disk. */
  readonly size: number;
}

/** How many bytes, and their CRC-32. */
interface Sum {
  bytes: number;
  crc: number;
}

const READ_BYTES = 256 * 1024;

/**
 * Replaces a segment by a compressed one. Undefined when it was stopped by the signal, or the segment is no longer
 * what it was: then nothing has changed. Throws the disk's error.
 */
export async function compressSegment(job: Job, signal: AbortSignal): Promise<Copy | undefined> {
  if (!(await isWhole(job))) return undefined;
  const copy = await writeCopy(job, signal);
  if (copy === undefined) return undefined;
  return await job.file.changingFiles(async () => {
    if (signal.aborted || !(await isWhole(job))) {
      await removeCopy(copy);
      return undefined;
    }
    await listCopy(job, copy);
    await placeCopy(copy);
    await removeFile(path.join(job.out, job.segment.name));
    return copy;
  });
}

/** Whether every byte of the segment is listed, and nothing else lies there: only then may the copy stand for it. */
async function isWhole({ out, file, destination, segment }: Job): Promise<boolean> {
  const { ledger } = file;
  const listed = listedBytes(ledger, destination, segment.inode);
  if (segment.active || listed !== segment.size || listed === 0) return false;
  if (encodingOf(ledger, destination, segment.inode) !== undefined) return false;
  if (hasFrames(ledger, destination, segment.inode)) return false;
  const where = path.join(out, segment.name);
  return (await isStill(where, segment.inode)) && (await stat(where)).size === listed;
}

/**
 * Step 1: the copy, durable, and read back. In a directory of its own that is named after the original's inode, below
 * the state directory, where no name is a destination's. Undefined when the signal fires.
 */
export async function writeCopy(job: Job, signal: AbortSignal): Promise<Copy | undefined> {
  const { out, segment, encoding } = job;
  const original = path.join(out, segment.name);
  const place = await freePlace(compressedName(original, encoding));
  const temporary = path.join(out, COPIES_DIRECTORY, segment.inode, path.basename(place));
  await mkdir(path.dirname(temporary), { recursive: true, mode: 0o700 });
  const source = await open(original, 'r');
  try {
    const target = await open(temporary, 'w+', 0o600);
    try {
      const sum = await copyInto(source, target, encoding, signal);
      await compare(target, encoding, sum, segment.size, original, signal);
      await takeAfter(source, target);
      await target.sync();
      const stats = await target.stat({ bigint: true });
      for (const directory of [path.join(COPIES_DIRECTORY, segment.inode), COPIES_DIRECTORY, STATE_DIRECTORY])
        await syncDirectory(path.join(out, directory));
      return { temporary, place, inode: inodeOf(stats), size: Number(stats.size) };
    } finally {
      await target.close();
    }
  } catch (error) {
    await rm(path.dirname(temporary), { recursive: true, force: true });
    if (signal.aborted) return undefined;
    throw error;
  } finally {
    await source.close();
  }
}

/** Never over another file: after the clock went back, a segment of that name may have been there before. */
async function freePlace(wanted: string): Promise<string> {
  let place = wanted;
  for (let index = 2; await isThere(place); index += 1) place = renumbered(wanted, index);
  return place;
}

async function copyInto(
  source: FileHandle,
  target: FileHandle,
  encoding: Encoding,
  signal: AbortSignal,
): Promise<Sum> {
  const sum: Sum = { bytes: 0, crc: 0 };
  await pipeline(
    source.createReadStream({ start: 0, autoClose: false, highWaterMark: READ_BYTES }),
    async function* (pieces: AsyncIterable<Buffer>) {
      for await (const piece of pieces) {
        add(sum, piece);
        yield piece;
      }
    },
    compressor(encoding),
    async (pieces: AsyncIterable<Buffer>) => {
      await target.writeFile(pieces);
    },
    { signal },
  );
  return sum;
}

/** The copy must give back every byte. */
async function compare(
  target: FileHandle,
  encoding: Encoding,
  written: Sum,
  size: number,
  original: string,
  signal: AbortSignal,
): Promise<void> {
  const read: Sum = { bytes: 0, crc: 0 };
  await pipeline(
    target.createReadStream({ start: 0, autoClose: false, highWaterMark: READ_BYTES }),
    decompressor(encoding),
    async (pieces: AsyncIterable<Buffer>) => {
      for await (const piece of pieces) add(read, piece);
    },
    { signal },
  );
  if (read.bytes !== size || read.bytes !== written.bytes || read.crc !== written.crc)
    throw new LogferryError(
      'failed',
      `the compressed copy of ${original} does not give back its ${size} bytes; the original stays`,
    );
}

function add(sum: Sum, piece: Uint8Array): void {
  sum.bytes += piece.length;
  sum.crc = crc32(piece, sum.crc);
}

/** Mode, owner, and the time of the last write, which retention goes by. */
async function takeAfter(source: FileHandle, target: FileHandle): Promise<void> {
  const [from, to] = [await source.stat(), await target.stat()];
  if (from.uid !== to.uid || from.gid !== to.gid) await target.chown(from.uid, from.gid);
  await target.chmod(from.mode & 0o777);
  await target.utimes(from.atime, from.mtime);
}

/** Step 2: from now on the copy is what is listed, wherever it lies, and the original is a file that nothing lists. */
export async function listCopy({ file, destination, segment, encoding }: Job, copy: Copy): Promise<void> {
  await file.append([{ compressed: destination, inode: segment.inode, as: copy.inode, encoding }]);
}

/** Step 3: into its place. Step 4, the end of the original, is removeFile. */
export async function placeCopy({ temporary, place }: Pick<Copy, 'temporary' | 'place'>): Promise<void> {
  await rename(temporary, place);
  await syncDirectory(path.dirname(place));
  await rmdir(path.dirname(temporary));
}

async function removeCopy({ temporary }: Copy): Promise<void> {
  await rm(path.dirname(temporary), { recursive: true });
}

/**
 * Finishes what a crash or an error left: a copy that a ledger lists goes to its place and its original goes, any
 * other copy is deleted, since its original is still there. At a start before anything is compared with the ledgers.
 */
export async function finishCopies(out: string, files: Iterable<LedgerFile>): Promise<void> {
  const ledgers = [...files];
  for (const original of await entriesOf(path.join(out, COPIES_DIRECTORY))) {
    const directory = path.join(out, COPIES_DIRECTORY, original);
    for (const name of await entriesOf(directory)) await finishCopy(out, ledgers, original, name);
    await rm(directory, { recursive: true, force: true });
  }
}

/** Puts a copy in its place if a ledger lists it; what stays behind is for the caller to delete. */
async function finishCopy(
  out: string,
  ledgers: readonly LedgerFile[],
  original: string,
  name: string,
): Promise<void> {
  const temporary = path.join(out, COPIES_DIRECTORY, original, name);
  const inode = inodeOf(await stat(temporary, { bigint: true }));
  for (const file of ledgers)
    for (const [destination, runs] of file.ledger.destinations) {
      if (!runs.some((run) => run.inode === inode)) continue;
      await file.changingFiles(async () => {
        const place = path.join(out, path.dirname(destination), name);
        await placeCopy({ temporary, place: await freePlace(place) });
        const left = (await segmentsOf(out, destination)).find((one) => one.inode === original);
        if (left !== undefined) await removeFile(path.join(out, left.name));
      });
      return;
    }
}
