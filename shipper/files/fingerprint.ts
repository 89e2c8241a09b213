// What a file is recognised by: its first bytes, and those before a position. Reads, and never decides.

import { type FileHandle, readSync } from './disk.ts';
import { readFully } from '../../common/runtime/files.ts';
import { TAIL_BYTES } from '../../common/wire/chunk.ts';
import { tailOf } from '../../common/wire/digest.ts';
import { type Head, HEAD_BYTES, headMatches } from './identity.ts';
import { endOfSums, type Sums, withBytes } from './sums.ts';

/** What an earlier run shipped and had not saved yet is read again, if it is not more than this. */
const MOST_READ_AGAIN = 4 * 1024 * 1024;
const STEP_BYTES = 256 * 1024;

/** A file's first bytes, as many as a head covers. */
export async function firstBytes(handle: FileHandle): Promise<Uint8Array> {
  const first = Buffer.alloc(HEAD_BYTES);
  return first.subarray(0, await readFully(handle, first, 0));
}

/** Whether these bytes stand before the position; true where nothing is known of them. */
export async function standsBefore(
  handle: FileHandle,
  position: number,
  tail: string | undefined,
): Promise<boolean> {
  if (tail === undefined || position === 0) return true;
  const before = Buffer.alloc(Math.min(TAIL_BYTES, position));
  const read = await readFully(handle, before, position - before.length);
  return tailOf(before.subarray(0, read)) === tail;
}

/** Whether a file still has this head, undefined for any, and these bytes before the position. */
export async function holdsStill(
  handle: FileHandle,
  head: Head | undefined,
  position: number,
  tail: string | undefined,
): Promise<boolean> {
  if (head !== undefined && !headMatches(head, await firstBytes(handle))) return false;
  return await standsBefore(handle, position, tail);
}

/** The same on the spot, of a file on a disk that answers at once. */
export function holdsStillNow(
  handle: FileHandle,
  head: Head | undefined,
  position: number,
  tail: string | undefined,
): boolean {
  const first = Buffer.alloc(head === undefined ? 0 : HEAD_BYTES);
  if (head !== undefined && !headMatches(head, first.subarray(0, readFullyNow(handle, first, 0))))
    return false;
  if (tail === undefined || position === 0) return true;
  const before = Buffer.alloc(Math.min(TAIL_BYTES, position));
  return tailOf(before.subarray(0, readFullyNow(handle, before, position - before.length))) === tail;
}

/** With the bytes up to `position`, where they begin at `begin` if nothing is known of them. */
export async function withBytesUpTo(
  handle: FileHandle,
  { sums, begin }: { readonly sums: Sums; readonly begin: number },
  position: number,
): Promise<Sums> {
  const from = sums.marks.length === 0 ? begin : endOfSums(sums);
  return position - from > MOST_READ_AGAIN ? sums : await sumsUpTo(handle, from, position, sums);
}

/** What is known of all bytes of a file between two offsets, with what is known before; that alone where it ends before. */
export async function sumsUpTo(
  handle: FileHandle,
  from: number,
  end: number,
  known: Sums = { from, marks: [] },
): Promise<Sums> {
  let sums = known;
  const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(STEP_BYTES, end - from)));
  for (let at = from; at < end;) {
    const read = await readFully(handle, buffer, at, Math.min(buffer.length, end - at));
    if (read === 0) return known;
    sums = withBytes(sums, at, buffer.subarray(0, read));
    at += read;
  }
  return sums;
}

/** Reads as readFully does, without a thread: for little that the page cache has. */
export function readFullyNow(
  { fd }: FileHandle,
  buffer: Uint8Array,
  position: number,
  length = buffer.length,
): number {
  for (let done = 0; ;) {
    const read = readSync(fd, buffer, done, length - done, position + done);
    done += read;
    if (read === 0 || done === length) return done;
  }
}
