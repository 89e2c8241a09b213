// Whether a disk takes anything more, as errors and measures tell it. Pure: room-watch.ts writes and measures.

import { hasSystemCode, isDiskFull } from '../../common/runtime/errors.ts';

/** What a disk says that takes nothing, however empty. */
const SICK = ['EROFS', 'EIO'];

/** Bytes. */
export interface Space {
  readonly free: number;
  readonly total: number;
}

/** So much more has to be free than when it was full, before anything is written there again. */
const MORE_SHARE = 0.05;
const MORE_BYTES = 1024 ** 3;

/**
 * Whether an error is one of the whole disk. Any other (EACCES, EFBIG, ENAMETOOLONG) is one of a single file, which
 * another receiver could not write either.
 */
export function isNoRoom(error: unknown): boolean {
  return isDiskFull(error) || hasSystemCode(error, SICK);
}

/** Whether statfs shows what the error means: a quota and a broken disk it does not. */
export function isMeasurable(error: unknown): boolean {
  return hasSystemCode(error, ['ENOSPC']);
}

/** Whether there is so much more room than when it was full that it will not be full again at once. */
export function hasGained(now: Space, freeWhenFull: number): boolean {
  return now.free >= freeWhenFull + Math.min(MORE_BYTES, now.total * MORE_SHARE);
}

/**
 * Milliseconds until the first of those that fail has failed for so long; none fail: for ever.
 *
 * @param since when each of them began to fail
 */
export function overdueInMs(since: Iterable<number>, limitMs: number, nowMs: number): number {
  let first = Number.POSITIVE_INFINITY;
  for (const at of since) first = Math.min(first, at);
  return first + limitMs - nowMs;
}
