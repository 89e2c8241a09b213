// What an opened file holds, plain or compressed: compared with what is known, or unpacked to be shipped. One that is still
// being compressed is 'busy'.

import type { FileHandle } from './disk.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import { readFully } from '../../common/runtime/files.ts';
import { sleep } from '../../common/runtime/run.ts';
import { tuning } from '../../common/runtime/tuning.ts';
import type { Elsewhere, Opened } from './candidate.ts';
import { type Found, foundOf, msOf } from './discover.ts';
import { type Asked, type Content, examine, type Examined } from './examine.ts';
import { firstBytes } from './fingerprint.ts';
import { type Head, HEAD_BYTES, headMatches } from './identity.ts';
import { firstUnpacked, packingOf, unpack } from './unpack.ts';

/** A compressed file is not read at all as long as it is being written. */
const PACKED_QUIET_MS = 1_000;
const COMPARED_BYTES = 64 * 1024;

/** Compares it with what is known; throws `busy` for one that is still being compressed, and closes it then. */
export async function compared(opened: Opened, asked: readonly Asked[]): Promise<Examined> {
  const isPacked = packingOf(opened.found.path).packing !== undefined;
  const quietMs = quietOf(opened.found);
  await refuseUnfinished(opened);
  try {
    const examined = await examine(opened, asked, isPacked);
    if (!examined.isComplete && quietMs < tuning.packingMs) throw unfinished(opened.found);
    return isPacked ? examined : { ...examined, size: opened.found.size };
  } catch (error) {
    await opened.handle.close();
    throw error;
  }
}

/** Whether it is compressed, and was written to a moment ago. */
export function isBeingPacked(found: Found): boolean {
  return packingOf(found.path).packing !== undefined && quietOf(found) < PACKED_QUIET_MS;
}

async function refuseUnfinished({ handle, found }: Opened): Promise<void> {
  if (!isBeingPacked(found)) return;
  await handle.close();
  throw unfinished(found);
}

/** Whether it has all that is known of a generation. Closes it when it throws `busy`. */
export async function holds(opened: Opened, content: Content): Promise<boolean> {
  const { packing } = packingOf(opened.found.path);
  if (packing === undefined && opened.found.size < content.position) return false;
  // What it begins with tells nothing yet.
  await refuseUnfinished(opened);
  // A kill may come before its head is saved: what was shipped tells then.
  const isKnown = content.head.length > 0 || (content.position > 0 && content.tail !== undefined);
  if (!isKnown || !(await beginsWith(opened, content.head))) return false;
  const { held } = await compared(opened, [{ content }]);
  const isUntold = content.sums.marks.length === 0 && content.position === 0;
  return isUntold || held[0]?.isWhole === true;
}

/**
 * What it holds, unpacked from `position` on into a file without a name where it is compressed: then the compressed one
 * is closed.
 *
 * @param scratch directory of that file
 */
export async function bytesOf(opened: Opened, position: number, scratch: string): Promise<Elsewhere> {
  const { handle, found } = opened;
  const { packing } = packingOf(found.path);
  if (packing === undefined) return { ...opened, size: found.size, from: 0 };
  const from = Math.max(0, position - HEAD_BYTES);
  try {
    const unpacked = await unpack(handle, packing, scratch, from);
    return { handle: unpacked.handle, found, size: unpacked.size, from };
  } finally {
    await handle.close();
  }
}

/** As it is when nobody can have written to it for a while; one that is written to later is busy. */
export async function leftAlone({ handle, found }: Opened): Promise<Opened> {
  const quietMs = Math.abs(Date.now() - msOf(found.modified));
  if (quietMs < PACKED_QUIET_MS) await sleep(PACKED_QUIET_MS - quietMs + 1);
  return { handle, found: foundOf(found.path, await handle.stat({ bigint: true })) };
}

/**
 * Whether all that a copy holds is what another file begins with: the copy may still be in the making.
 *
 * @param from what stands before this is not compared
 */
export async function isBeginningOf(
  { handle, size }: Pick<Elsewhere, 'handle' | 'size'>,
  whole: FileHandle,
  from = 0,
): Promise<boolean> {
  const mine = Buffer.allocUnsafe(COMPARED_BYTES);
  const other = Buffer.allocUnsafe(COMPARED_BYTES);
  for (let at = from; at < size;) {
    const length = Math.min(COMPARED_BYTES, size - at);
    const [read, there] = [
      await readFully(handle, mine, at, length),
      await readFully(whole, other, at, length),
    ];
    if (read !== length || there < length || mine.compare(other, 0, length, 0, length) !== 0) return false;
    at += length;
  }
  return true;
}

export function unfinished({ path: file }: Found): LogferryError {
  return new LogferryError('busy', `${file} is still being written`);
}

/** How long nobody has written to it; a compressor sets the time of the original when it has finished. */
function quietOf(found: Found): number {
  const isFinished = packingOf(found.path).packing !== undefined && writtenBeforePacked(found) !== undefined;
  return isFinished ? tuning.packingMs : Math.abs(Date.now() - msOf(found.modified));
}

/** When the bytes of a compressed file were written last: compressors give it the time of the original. */
export function writtenBeforePacked({ modified, stamp }: Found): bigint | undefined {
  return modified < BigInt(stamp.birth) ? modified : undefined;
}

async function beginsWith({ handle, found }: Opened, head: Head): Promise<boolean> {
  const { packing } = packingOf(found.path);
  const first =
    packing === undefined ? await firstBytes(handle) : await firstUnpacked(handle, packing, HEAD_BYTES);
  return headMatches(head, first);
}
