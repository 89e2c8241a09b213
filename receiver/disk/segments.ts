// The files of a destination on disk: the active one and its segments, found by inode whatever they are called now,
// and cutting them back to what the ledger lists.

import { type BigIntStats, constants } from 'node:fs';
import { mkdir, open, readdir, rename, stat, truncate, unlink } from 'node:fs/promises';
import path from 'node:path';

import { systemCode } from '../../common/runtime/errors.ts';
import { syncDirectory } from '../../common/runtime/files.ts';
import type { Logger } from '../../common/runtime/log.ts';
import { frameEndBehind, lastFrameEnd } from './frame-file.ts';
import {
  activesOf,
  type Cut,
  cutLine,
  cutsAllowed,
  encodingOf,
  type FrameEnd,
  hasFrames,
  listedBytes,
  runsIn,
} from '../ledger/ledger.ts';
import type { LedgerFile } from '../ledger/ledger-file.ts';
import type { PartitionRecord } from '../../common/record/record.ts';
import {
  activeName,
  baseOfSegment,
  bySegmentTime,
  FORMATS,
  isSegmentOf,
  STATE_DIRECTORY,
} from '../ledger/names.ts';

/** Compressed copies of segments that are not in their place yet, each below a directory named by the original's inode. */
export const COPIES_DIRECTORY = path.join(STATE_DIRECTORY, 'compress');

/** One file on disk that belongs to a destination. */
export interface Segment {
  /** Relative to the output directory. */
  readonly name: string;
  readonly inode: string;
  readonly size: number;
  /** When it was last written to, milliseconds since 1970. */
  readonly writtenMs: number;
  readonly active: boolean;
}

/** Names a file on disk for as long as it exists: an inode number alone is used again. */
export function inodeOf(stats: BigIntStats): string {
  return `${stats.ino.toString(36)}-${stats.birthtimeNs.toString(36)}`;
}

/** What the active file may be called, whoever it belongs to. */
function activeNames(destination: string): string[] {
  return FORMATS.map((format) => activeName(destination, format));
}

/**
 * The files of a destination, oldest segment first, the active file last.
 *
 * @param actives see activesOf; without it the file of another destination may be among them (`a.zst` for `a`)
 */
export async function segmentsOf(
  out: string,
  destination: string,
  actives: readonly string[] = activeNames(destination),
): Promise<Segment[]> {
  const directory = path.dirname(destination);
  const base = path.basename(destination);
  const names = (await entriesOf(path.join(out, directory))).filter((name) => isSegmentOf(base, name));
  return await filesOf(out, destination, names, actives);
}

/** The same where the names in its directory are known: those of its segments, in any order. */
async function filesOf(
  out: string,
  destination: string,
  names: readonly string[],
  actives: readonly string[],
): Promise<Segment[]> {
  const directory = path.dirname(destination);
  const rotated = names.toSorted(bySegmentTime).map((name) => path.join(directory, name));
  const segments: Segment[] = [];
  for (const name of [...rotated, ...actives]) {
    const segment = await segmentAt(out, name, actives.includes(name));
    if (segment !== undefined) segments.push(segment);
  }
  return segments;
}

/** The same for many destinations: each directory is read once. */
export class Listing {
  readonly #out: string;
  readonly #directories = new Map<string, Promise<Map<string, string[]>>>();
  #copies: Promise<Segment[]> | undefined;

  constructor(out: string) {
    this.#out = out;
  }

  async segmentsOf(
    destination: string,
    actives: readonly string[] = activeNames(destination),
  ): Promise<Segment[]> {
    const directory = path.dirname(destination);
    const names = this.#directories.get(directory) ?? segmentNames(path.join(this.#out, directory));
    this.#directories.set(directory, names);
    const own = (await names).get(path.basename(destination)) ?? [];
    return await filesOf(this.#out, destination, own, actives);
  }

  /** The compressed copies that wait to be put in their place. */
  async waitingCopies(): Promise<Segment[]> {
    this.#copies ??= waitingCopies(this.#out);
    return await this.#copies;
  }
}

/** The segments in a directory, by the name of the active file that they were. */
async function segmentNames(directory: string): Promise<Map<string, string[]>> {
  const byBase = new Map<string, string[]>();
  for (const name of await entriesOf(directory)) {
    const base = baseOfSegment(name);
    if (base === undefined) continue;
    const names = byBase.get(base);
    if (names === undefined) byBase.set(base, [name]);
    else names.push(name);
  }
  return byBase;
}

/** The compressed copies that wait to be put in their place. */
export async function waitingCopies(out: string): Promise<Segment[]> {
  const segments: Segment[] = [];
  for (const original of await entriesOf(path.join(out, COPIES_DIRECTORY)))
    for (const name of await entriesOf(path.join(out, COPIES_DIRECTORY, original))) {
      const segment = await segmentAt(out, path.join(COPIES_DIRECTORY, original, name), false);
      if (segment !== undefined) segments.push(segment);
    }
  return segments;
}

async function segmentAt(out: string, name: string, active: boolean): Promise<Segment | undefined> {
  const stats = await statIfThere(path.join(out, name));
  if (stats?.isFile() !== true) return undefined;
  const { size, mtimeMs } = stats;
  return { name, inode: inodeOf(stats), size: Number(size), writtenMs: Number(mtimeMs), active };
}

/** The names in a directory; none when it is not there. */
export async function entriesOf(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isNotThere(error)) return [];
    throw error;
  }
}

export async function statIfThere(file: string): Promise<BigIntStats | undefined> {
  try {
    return await stat(file, { bigint: true });
  } catch (error) {
    if (isNotThere(error)) return undefined;
    throw error;
  }
}

export async function isThere(file: string): Promise<boolean> {
  return (await statIfThere(file)) !== undefined;
}

/** A path that is too long, or leads through a file, has nothing at its end. */
function isNotThere(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG';
}

/**
 * Cuts what no ledger lists from the files of one destination (design §5.7). When files that the ledger does list
 * are missing, somebody has moved or copied things here: then whole files that are not listed are set aside, not
 * deleted.
 */
export async function dropUnlisted(
  out: string,
  file: LedgerFile,
  destination: string,
  log: Logger,
  listing = new Listing(out),
): Promise<void> {
  await file.changingFiles(async () => {
    await dropFrom(out, file, destination, listing, log);
  });
  file.unlisted.delete(destination);
}

async function dropFrom(
  out: string,
  file: LedgerFile,
  destination: string,
  listing: Listing,
  log: Logger,
): Promise<void> {
  const segments = await listing.segmentsOf(destination, activesOf(file.ledger, destination));
  const present = new Set([...segments, ...(await listing.waitingCopies())].map((segment) => segment.inode));
  const runs = file.ledger.destinations.get(destination) ?? [];
  const strange =
    file.damaged || !file.ledger.opened.has(destination) || runs.some((run) => !present.has(run.inode));
  for (const segment of segments) {
    // What a compressed file holds, its size does not say.
    if (encodingOf(file.ledger, destination, segment.inode) !== undefined) continue;
    const listed = listedBytes(file.ledger, destination, segment.inode);
    const where = path.join(out, segment.name);
    if (segment.size > listed && strange) await keepAside(out, segment, listed, log);
    if (listed === 0) {
      if (await isStill(where, segment.inode)) await removeFile(where);
    } else if (segment.size > listed) await cutFile(where, listed);
    else if (segment.size < listed) {
      log.error(
        { file: where, missing: listed - segment.size },
        `${where} is ${listed - segment.size} bytes shorter than was committed: its bytes are gone from this disk`,
      );
      const to = await wholeFrames(file, destination, segment, where);
      await file.append([{ cut: destination, inode: segment.inode, to: segment.size, ...to }]);
      if (to !== undefined) await cutFile(where, to.to);
    }
  }
}

/** Of a file of frames that was shortened: where the last listed one ends that is still whole. */
async function wholeFrames(
  { ledger }: LedgerFile,
  destination: string,
  { inode, size }: Segment,
  where: string,
): Promise<FrameEnd | undefined> {
  if (!hasFrames(ledger, destination, inode)) return undefined;
  const run = runsIn(ledger, destination, inode).find((one) => one.from <= size && size < one.to);
  if (run === undefined) return undefined;
  const handle = await open(where, constants.O_RDONLY);
  try {
    return await lastFrameEnd(handle, run, size);
  } finally {
    await handle.close();
  }
}

/** Whether the file of this name is still the one with this inode. */
export async function isStill(file: string, inode: string): Promise<boolean> {
  const stats = await statIfThere(file);
  return stats !== undefined && inodeOf(stats) === inode;
}

async function keepAside(out: string, segment: Segment, listed: number, log: Logger): Promise<void> {
  const aside = path.join(out, STATE_DIRECTORY, 'aside', `${segment.inode}-${path.basename(segment.name)}`);
  await mkdir(path.dirname(aside), { recursive: true, mode: 0o700 });
  const where = path.join(out, segment.name);
  if (listed === 0) await rename(where, aside);
  else {
    const source = await open(where, constants.O_RDONLY);
    const target = await open(aside, 'w', 0o600);
    try {
      for await (const data of source.createReadStream({ start: listed, autoClose: false }))
        await target.write(data);
      await target.sync();
    } finally {
      await source.close();
      await target.close();
    }
  }
  await syncDirectory(path.dirname(aside));
  log.error(
    { file: where, aside },
    `${where} holds ${segment.size - listed} bytes that no ledger lists; set aside`,
  );
}

/** Cuts a file and makes that durable. */
export async function cutFile(file: string, size: number): Promise<void> {
  await truncate(file, size);
  const handle = await open(file, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Deletes a file and makes that durable. */
export async function removeFile(file: string): Promise<void> {
  await unlink(file);
  await syncDirectory(path.dirname(file));
}

/**
 * Cuts the listed bytes that another directory's later term holds, committed. The ledger says so first: a crash in
 * between leaves bytes that nothing lists, which the next recovery cuts. Of frames, those that hold nothing else.
 *
 * @returns the cuts that were made
 */
export async function cutHeldElsewhere(
  out: string,
  file: LedgerFile,
  record: PartitionRecord,
  log: Logger,
): Promise<readonly Cut[]> {
  return await file.changingFiles(async () => {
    const made: Cut[] = [];
    for (const cut of cutsAllowed(file.ledger, record)) {
      const segment = (await segmentsOf(out, cut.destination)).find(({ inode }) => inode === cut.inode);
      const frameEnd = await frameEndOf(out, cut, segment);
      if (cut.within !== undefined && (frameEnd === undefined || frameEnd.to === cut.to)) continue;
      const to = frameEnd?.to ?? cut.to;
      made.push(cut);
      await file.append([cutLine(cut, frameEnd)]);
      if (segment === undefined) continue;
      const where = path.join(out, segment.name);
      log.info(
        { file: where, from: to, to: segment.size },
        'cut bytes that another receiver holds, committed',
      );
      if (to > 0) await cutFile(where, to);
      else await removeFile(where);
    }
    return made;
  });
}

/** Where the frame ends that must stay; undefined when the cut is not within a run of frames, or nobody can tell. */
async function frameEndOf(
  out: string,
  { within }: Cut,
  segment: Segment | undefined,
): Promise<FrameEnd | undefined> {
  if (within === undefined || segment === undefined) return undefined;
  const handle = await open(path.join(out, segment.name), constants.O_RDONLY);
  try {
    return await frameEndBehind(handle, within.run, within.keep);
  } finally {
    await handle.close();
  }
}

/**
 * Removes a segment that retention no longer keeps. The ledger says so first: a crash in between leaves a file that
 * nothing lists, which the next recovery deletes. False when it is no longer the file that was listed.
 */
export async function dropSegment(
  out: string,
  file: LedgerFile,
  destination: string,
  segment: Segment,
): Promise<boolean> {
  return await file.changingFiles(async () => {
    const where = path.join(out, segment.name);
    if (listedBytes(file.ledger, destination, segment.inode) === 0) return false;
    if (!(await isStill(where, segment.inode))) return false;
    await file.append([{ dropped: destination, inode: segment.inode }]);
    await removeFile(where);
    return true;
  });
}
