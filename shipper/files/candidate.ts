// A file that may hold the bytes of a generation: found, opened, and what was seen of it. Opens files, and chooses none.

import { constants, type FileHandle, open } from './disk.ts';
import { systemCode } from '../../common/runtime/errors.ts';
import { type Found, foundOf } from './discover.ts';
import type { Content } from './examine.ts';
import { firstBytes } from './fingerprint.ts';
import { type FileStamp, type Head, HEAD_BYTES, headOf, isSameFile } from './identity.ts';
import type { Beside } from './rotation-times.ts';
import type { Sums } from './sums.ts';
import { packingOf } from './unpack.ts';

/** Bytes of a generation that stream or record know, and this state does not. */
export interface Shipped {
  /** What its file id begins with. */
  readonly base: string;
  readonly offset: number;
  /** See tailOf, at the offset; undefined when nobody knows it. */
  readonly tail: string | undefined;
}

/** A file that is held open, and what it was when it was opened. */
export interface Opened {
  readonly handle: FileHandle;
  readonly found: Found;
}

/** The bytes of a generation in another file. */
export interface Elsewhere extends Opened {
  /** How many bytes of the generation it has. */
  readonly size: number;
  /** Its bytes below this offset are not there. */
  readonly from: number;
}

/** A file whose generation is not chosen yet. */
export interface Candidate extends Elsewhere {
  /** As it was when the file was found: should it be truncated before it is read, its copy is known by this. */
  readonly head: Head;
  /** When it was seen at the path, or was born if it was not, in nanoseconds since 1970. */
  readonly since: bigint;
  /** It was seen at the path: what was copied from there may come before it. */
  readonly wasAtPath: boolean;
  /** What of it was shipped as another generation: its own begins behind that. */
  readonly shipped?: Sums;
  /** What stood beside it at the path, or was rotated away before it; undefined when nobody has looked. */
  beside?: Beside;
}

/** What was seen of a generation. */
export interface Seen {
  readonly content: Content;
  readonly size: number;
  /** Its end is known: a file that has all of it and more is not looked for. */
  readonly isFound: boolean;
  /** All its bytes, where a file with them is open. */
  readonly handle?: FileHandle | undefined;
  /** When that file was written to last, in nanoseconds since 1970. */
  readonly modified?: bigint | undefined;
}

/** Where generations are looked for that came and were rotated away, or copied and truncated, between two looks. */
export interface Window {
  /** Born after this moment, in nanoseconds since 1970. */
  readonly after: bigint;
  /** The newest one was still at the path at this moment: what was born before it may be a copy, however short. */
  readonly seen: bigint;
  /** Born before the file that is at the path now; undefined when it is the same file that was truncated. */
  readonly before: FileStamp | undefined;
  /** Without `before`: the generation that copies may come before, and when it was found, or its first bytes read. */
  readonly next:
    | {
        readonly stamp: FileStamp;
        readonly head: Head;
        readonly size: number;
        readonly found: bigint;
        readonly read: bigint;
        /** When its own copy was made, where that is known: what was made later comes after it. */
        readonly copied: bigint | undefined;
      }
    | undefined;
  /** Files that are a generation of some source. */
  readonly isKnown: (found: Found) => boolean;
  /** Truncated generations whose copy was not found. */
  readonly lost: readonly Seen[];
  /** Generations that may be compressed by now. */
  readonly finished: readonly Seen[];
  /** What stood beside the newest generation at the path: null when nobody has looked, undefined when there is none. */
  readonly beside: Beside | null | undefined;
  /** What stream or record know of generations that came after the newest one of the state. */
  readonly laterShipped: () => Promise<readonly Shipped[]>;
}

/** Generations that nobody has looked at. */
export interface Between {
  /** Oldest first. */
  readonly candidates: Candidate[];
  /** The copy of the next generation, which was truncated since it was found. */
  readonly own: Candidate | undefined;
  /** Compressed files that may be such generations, and nothing tells their place. */
  readonly unplaced: readonly Found[];
  /** Files that begin with all of a finished generation and have more: of that one, or of another that begins alike. */
  readonly grown: readonly Found[];
}

/**
 * Undefined when there is nothing at the path. Throws when it is there and cannot be read. Should a FIFO have taken the
 * file's place, its writer is not waited for.
 */
export async function openIfThere(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
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

/** What an open file is now; undefined when none is open. */
export async function statOf(handle: FileHandle | undefined, name: string): Promise<Found | undefined> {
  return handle === undefined ? undefined : foundOf(name, await handle.stat({ bigint: true }));
}

/** Another descriptor of a file that is open, also when it has no name any more. Undefined where there is no /proc. */
export async function openAgain(handle: FileHandle, name: string): Promise<Opened | undefined> {
  const again = await openIfThere(`/proc/self/fd/${handle.fd}`);
  if (again === undefined) return undefined;
  return { handle: again, found: foundOf(name, await again.stat({ bigint: true })) };
}

/** @param since see Candidate */
export async function candidateOf(opened: Opened, since: bigint): Promise<Candidate> {
  const { handle, found } = opened;
  const head = headOf(await firstBytes(handle));
  // Truncated before it was read, it has what was read: what comes may be truncated too before it is seen.
  const size = head.length < Math.min(HEAD_BYTES, found.size) ? head.length : found.size;
  return { ...opened, size, from: 0, head, since, wasAtPath: true };
}

/**
 * Birth times come in steps of a clock tick: of two born in the same one, the older was written to last earlier. A
 * compressed file was born late, and has the time at which its bytes were written. Where times are the same, as on file
 * systems that count seconds, the count in the name tells: a rotation gives the oldest the highest.
 */
export function inOrder({ found: a }: Opened, { found: b }: Opened): number {
  const byBirth = BigInt(a.stamp.birth) - BigInt(b.stamp.birth);
  const packed = [a, b].some(({ path: file }) => packingOf(file).packing !== undefined);
  const order = packed || byBirth === 0n ? a.modified - b.modified : byBirth;
  if (order !== 0n) return order < 0n ? -1 : 1;
  return countOf(b.path) - countOf(a.path);
}

function countOf(file: string): number {
  return Number(/\.(\d{1,4})$/.exec(packingOf(file).plain)?.[1] ?? 0);
}
