// Which files may be generations that came and went between two looks at a path, by their times and names alone: what
// they hold is compared later. Pure.

import type { Candidate, Window } from '../files/candidate.ts';
import { writtenBeforePacked } from '../files/contents.ts';
import type { Found } from '../files/discover.ts';
import { isSameFile } from '../files/identity.ts';
import { packingOf } from '../files/unpack.ts';

/** A birth is taken from a clock that stands still for up to a tick: 10 ms at 100 Hz. */
export const BIRTH_LATE_NS = 10_000_000n;
/** A file system without births may count times in seconds. */
const SECOND_NS = 1_000_000_000n;

type Limits = Pick<Window, 'after' | 'seen' | 'before' | 'isKnown'>;

/** Born, or written to last where that tells, after the newest one that is known and before what is at the path. */
export function mayBeBetween(found: Found, { after, seen, before, isKnown }: Limits): boolean {
  const { stamp } = found;
  if (isKnown(found) || (before !== undefined && isSameFile(stamp, before))) return false;
  if (packingOf(found.path).packing !== undefined) return (writtenBeforePacked(found) ?? 0n) >= after;
  // Without births those that were finished before are told by when they were written to last.
  if (stamp.birth === '0') return isWrittenSince(found, after, seen);
  const birth = BigInt(stamp.birth) + BIRTH_LATE_NS;
  return birth >= after && (before === undefined || BigInt(stamp.birth) <= BigInt(before.birth));
}

function isWrittenSince({ modified }: Found, after: bigint, seen: bigint): boolean {
  const late = modified % SECOND_NS === 0n ? SECOND_NS : BIRTH_LATE_NS;
  return modified + late >= (seen > after ? seen : after);
}

/** Compressed since the newest that is known was seen at the path, without the time of the original. */
export function mayBeUntimed(
  found: Found,
  { after, seen, isKnown }: Pick<Limits, 'after' | 'seen' | 'isKnown'>,
): boolean {
  const isPacked = packingOf(found.path).packing !== undefined;
  if (!isPacked || isKnown(found) || writtenBeforePacked(found) !== undefined) return false;
  if (found.stamp.birth === '0') return isWrittenSince(found, after, seen);
  return BigInt(found.stamp.birth) + BIRTH_LATE_NS >= after;
}

/** When a copy was made: without a birth when its last bytes were written. In nanoseconds since 1970. */
export function madeAt({ stamp, modified }: Found): bigint {
  return stamp.birth === '0' ? modified : BigInt(stamp.birth);
}

/** The next generation was renamed by now: what was born since it was found at the path came there after it. */
export function isBornAfter(
  { found }: Pick<Candidate, 'found'>,
  next: Pick<NonNullable<Window['next']>, 'found'>,
): boolean {
  return madeAt(found) + BIRTH_LATE_NS >= next.found;
}
