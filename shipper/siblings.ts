// The files beside a source: where rotation puts the old bytes. Finds a file again by its stamp, the copy that
// copytruncate left, and generations that came and went between two looks. Names shift while one looks: what counts
// is the file that was opened, never its name.

import { type FileHandle, open, readdir } from 'node:fs/promises';
import path from 'node:path';

import { systemCode } from '../common/errors.ts';
import { sleep } from '../common/run.ts';
import { type Found, foundOf, look } from './discover.ts';
import { type FileStamp, type Head, headMatches, headOf, isRotationOf, isSameFile } from './identity.ts';
import { firstBytes } from './tailer.ts';

const FIND_TRIES = 4;
const FIND_PAUSE_MS = 15;

/** A file that is held open, and what it was when it was opened. */
export interface Opened {
  readonly handle: FileHandle;
  readonly found: Found;
}

/** A file whose generation is not chosen yet. */
export interface Candidate extends Opened {
  /** As it was when the file was found: should it be truncated before it is read, its copy is known by this. */
  readonly head: Head;
}

/** Undefined when there is nothing at the path. Throws when it is there and cannot be read. */
export async function openIfThere(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * The file with this stamp: at the path, or under any name in its directory. Looked for several times: it may be
 * renamed while one looks. Throws when it cannot be read.
 */
export async function findFile(source: string, stamp: FileStamp): Promise<FileHandle | undefined> {
  for (let tries = 0; tries < FIND_TRIES; tries += 1) {
    if (tries > 0) await sleep(FIND_PAUSE_MS);
    for (const file of [source, ...(await siblingsOf(source, () => true))]) {
      const found = await lookQuietly(file);
      if (found === undefined || !isSameFile(found.stamp, stamp)) continue;
      const opened = await openStill(found);
      if (opened !== undefined) return opened.handle;
    }
  }
  return undefined;
}

/** The first rotated file beside the source that may be looked into and is wanted. */
export async function findRotated(
  source: string,
  mayBe: (found: Found) => boolean,
  isWanted: (opened: Opened) => Promise<boolean>,
): Promise<Opened | undefined> {
  for (const file of await rotatedNames(source)) {
    const opened = await openQuietly(file, mayBe);
    if (opened === undefined) continue;
    if (await isWanted(opened)) return opened;
    await opened.handle.close();
  }
  return undefined;
}

/** Whether anything stands beside the path that looks like a generation of it. */
export async function hasRotated(source: string): Promise<boolean> {
  return (await rotatedNames(source)).length > 0;
}

/** Rotated files beside the source that are wanted, oldest first. */
export async function rotatedFiles(
  source: string,
  isWanted: (found: Found) => boolean,
): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  for (const file of await rotatedNames(source)) {
    const opened = await openQuietly(file, isWanted);
    if (opened !== undefined) candidates.push(await candidateOf(opened));
  }
  return candidates.toSorted(byBirth);
}

/**
 * Generations that came and were rotated away, or copied and truncated, between two looks: rotated names beside the
 * path, born from `after` to `before` (or until now), that are nothing known, no copy of anything known (`heads`), and
 * without `before` no copy of what the file holds now. Looked for until two looks in a row find nothing more.
 */
export async function rotatedBetween(
  source: string,
  window: {
    readonly after: bigint;
    readonly before: FileStamp | undefined;
    readonly isKnown: (stamp: FileStamp) => boolean;
    readonly heads: readonly Head[];
  },
): Promise<Candidate[]> {
  const { after, before, isKnown, heads } = window;
  const between = new Map<string, Candidate>();
  const mayBe = ({ stamp }: Found): boolean => {
    if (between.has(stamp.ino) || isKnown(stamp) || (before !== undefined && isSameFile(stamp, before)))
      return false;
    return (
      BigInt(stamp.birth) >= after && (before === undefined || BigInt(stamp.birth) <= BigInt(before.birth))
    );
  };
  for (let unchanged = 0; unchanged < 2; unchanged += 1)
    for (const file of await rotatedNames(source)) {
      const opened = await openQuietly(file, mayBe);
      if (opened === undefined) continue;
      const candidate = await candidateOf(opened);
      const head = await firstBytes(opened.handle);
      const copied = isCopy(head, heads) || (before === undefined && (await isCopyOfCurrent(head, source)));
      if (copied) await opened.handle.close();
      else {
        between.set(opened.found.stamp.ino, candidate);
        unchanged = -1;
      }
    }
  return [...between.values()].toSorted(byBirth);
}

export async function candidateOf(opened: Opened): Promise<Candidate> {
  return { ...opened, head: headOf(await firstBytes(opened.handle)) };
}

/** Opens what was found, if it is still there under this name. */
export async function openStill(found: Found): Promise<Opened | undefined> {
  const handle = await openIfThere(found.path);
  if (handle === undefined) return undefined;
  const now = foundOf(found.path, await handle.stat({ bigint: true }));
  if (isSameFile(now.stamp, found.stamp)) return { handle, found: now };
  await handle.close();
  return undefined;
}

function isCopy(head: Uint8Array, heads: readonly Head[]): boolean {
  return head.length === 0 || heads.some((known) => known.length > 0 && headMatches(known, head));
}

/** A copy that is being made is one too: whichever is shorter must be the other's beginning. */
async function isCopyOfCurrent(head: Uint8Array, source: string): Promise<boolean> {
  const current = await openIfThere(source);
  if (current === undefined) return false;
  try {
    const now = await firstBytes(current);
    return now.length > 0 && (headMatches(headOf(now), head) || headMatches(headOf(head), now));
  } finally {
    await current.close();
  }
}

async function rotatedNames(source: string): Promise<string[]> {
  const base = path.basename(source);
  return await siblingsOf(source, (name) => isRotationOf(base, name));
}

async function siblingsOf(source: string, isWanted: (name: string) => boolean): Promise<string[]> {
  const directory = path.dirname(source);
  try {
    return (await readdir(directory))
      .filter((name) => isWanted(name))
      .map((name) => path.join(directory, name));
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || isForbidden(error)) return [];
    throw error;
  }
}

/** A neighbour that is not to be read is somebody else's. */
async function openQuietly(file: string, mayBe: (found: Found) => boolean): Promise<Opened | undefined> {
  const found = await lookQuietly(file);
  if (found === undefined || !mayBe(found)) return undefined;
  try {
    return await openStill(found);
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}

function isForbidden(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'EACCES' || code === 'EPERM';
}

async function lookQuietly(file: string): Promise<Found | undefined> {
  try {
    return await look(file);
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}

/** Birth times come in steps of a clock tick: of two born in the same one, the older was written to last earlier. */
function byBirth({ found: a }: Opened, { found: b }: Opened): number {
  if (a.stamp.birth !== b.stamp.birth) return BigInt(a.stamp.birth) < BigInt(b.stamp.birth) ? -1 : 1;
  return a.modified < b.modified ? -1 : 1;
}
