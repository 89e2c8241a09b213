// Whether a file goes on with what was shipped, though the system says that it is another one, or though its last bytes are
// other ones by now. Reads and compares; what follows others decide.

import type { Elsewhere, Opened } from '../files/candidate.ts';
import { firstBytes, sumsUpTo } from '../files/fingerprint.ts';
import { TAIL_BYTES } from '../../common/wire/chunk.ts';
import { headMatches } from '../files/identity.ts';
import { isBeginningOf } from '../files/contents.ts';
import { contentOf, examine } from '../files/examine.ts';
import type { Generation } from '../lane/generation.ts';
import { readFully } from '../../common/runtime/files.ts';
import type { ShipperContext } from '../lane/context.ts';
import { sayUntold } from '../report/untold.ts';
import { msOf } from '../files/discover.ts';
import type { Sums } from '../files/sums.ts';
import { packingOf } from '../files/unpack.ts';
import { LEAST_PROOF_BYTES } from './copies.ts';

/** A file that was cut, or whose end was overwritten, still has at least this share of what was shipped. */
const LEAST_SAME = 0.75;

/**
 * Whether a new file at the path begins with all that a generation has, bytes that were not shipped included: an editor
 * has saved it, a mirror was renewed. Only to be asked when no rotation has kept its own file: then both begin alike.
 */
export async function goesOnIn({ cursor, entry }: Generation, at: Opened): Promise<Elsewhere | undefined> {
  const { size } = at.found;
  if (size < entry.size) return undefined;
  const own = await cursor.openWhole();
  const to = { ...at, size, from: 0 };
  try {
    if (own !== undefined) {
      const whole = { handle: own, size: (await own.stat()).size };
      return whole.size > 0 && (await isBeginningOf(whole, at.handle)) ? to : undefined;
    }
    const { position, sums, head } = cursor.content;
    // Without a birth its number says nothing after a restart, and nothing of it was read: then it is what is there.
    const isNew = entry.birth === '0' && sums.marks.length === 0 && position === entry.begin;
    if (isNew && headMatches(head, await firstBytes(at.handle))) return to;
    // Seen, and nothing of it was shipped.
    const isUnread = sums.marks.length === 0 && position === 0 && head.length >= LEAST_PROOF_BYTES;
    if (isUnread) return headMatches(head, await firstBytes(at.handle)) ? to : undefined;
    const { held } = await examine(at, [{ content: cursor.content }]);
    return held[0]?.isWhole === true ? to : undefined;
  } finally {
    await own?.close();
  }
}

/** How far a file that has other bytes before the position is still what was shipped, from its beginning on. */
export interface Same {
  readonly upTo: number;
  /** It was cut by a power cut or a snapshot, or its last bytes were overwritten: undefined when it is too little for that. */
  readonly shipped: Sums | undefined;
}

const NOTHING: Same = { upTo: 0, shipped: undefined };

/**
 * Closes the file when it throws.
 *
 * @param isRunning it was read before by this process: then one that got shorter was truncated
 */
export async function sameUpTo(generation: Generation, opened: Opened, isRunning: boolean): Promise<Same> {
  const { position, head, sums } = generation.cursor.content;
  const { handle, found } = opened;
  if (isRunning && found.size < position) return NOTHING;
  try {
    if (!headMatches(head, await firstBytes(handle))) return NOTHING;
    const same = await lastSame(generation, opened);
    const { from } = sums;
    const isCut = same < position && same - from >= (position - from) * LEAST_SAME;
    return { upTo: same, shipped: isCut ? await sumsUpTo(handle, from, same) : undefined };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Up to here checksums and the last message in the stream say that it is the same. */
async function lastSame(generation: Generation, { handle, found }: Opened): Promise<number> {
  const content = { ...generation.cursor.content, tail: undefined };
  const { held } = await examine({ handle, found }, [{ content }]);
  const same = held[0]?.upTo ?? 0;
  const last = await generation.lastBytes();
  if (last === undefined) return same;
  const there = Buffer.alloc(last.bytes.length);
  const read = await readFully(handle, there, last.start);
  let length = 0;
  while (length < read && there[length] === last.bytes[length]) length += 1;
  // After a kill little is known of what lies before it: that it stands where it stood tells.
  const isNext = last.start <= same || last.start === generation.entry.begin || length >= TAIL_BYTES;
  return isNext ? Math.max(same, last.start + length) : same;
}

/**
 * Of files that all have what is known of a generation, oldest first, the one to go on in: the oldest, unless another
 * begins with all of it and goes on. Then the oldest is a copy that somebody has made while the file was written.
 */
export async function wholeOf<T extends Opened>(holders: readonly T[]): Promise<T | undefined> {
  let [whole] = holders;
  for (const other of holders) {
    if (whole === undefined || other === whole) continue;
    const { size, path: name } = whole.found;
    // What begins alike for fewer bytes may be two files with one header.
    if (size < LEAST_PROOF_BYTES || packingOf(name).packing !== undefined) continue;
    const content = contentOf({ sums: await sumsUpTo(whole.handle, 0, size), position: size });
    const { held } = await examine({ handle: other.handle, found: other.found }, [{ content }]);
    if (held[0]?.isWhole === true) whole = other;
  }
  return whole;
}

/** What was written to a file since it was read, and where that is, nobody can tell when it is gone. */
export function sayNowhere(
  context: Pick<ShipperContext, 'log' | 'counts'>,
  path: string,
  { entry, cursor }: Generation,
): void {
  const { file, seen, since } = entry;
  const { position } = cursor;
  const at = new Date(msOf(BigInt(seen === '0' ? since : seen))).toISOString();
  sayUntold(
    context,
    { path, file, from: position },
    `${path}: the file that was read up to byte ${position} is nowhere: what was written to it after ${at} cannot be told`,
  );
}
