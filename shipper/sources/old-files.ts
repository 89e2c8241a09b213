// --ignore-older: what a file that is too old is remembered as, so that only what is added to it later is shipped.

import { randomBytes } from 'node:crypto';

import { type Found, msOf, now } from '../files/discover.ts';
import { baseOf, fileIdOf, headOf } from '../files/identity.ts';
import type { GenerationState } from '../files/state.ts';
import { NO_SUMS } from '../files/sums.ts';
import { firstBytes } from '../files/fingerprint.ts';
import { openStill } from '../files/candidate.ts';

/** Whether it was last written longer ago than this. */
export function isOlder(found: Found, ignoreOlderMs: number | undefined, nowMs: number): boolean {
  return ignoreOlderMs !== undefined && msOf(found.modified) < nowMs - ignoreOlderMs;
}

/**
 * A generation that begins, and for now ends, where the file ends: sources/source.ts goes on with one that is done when its
 * file has grown. Undefined when the file is gone or another by now. Throws when it cannot be read.
 */
export async function finishedAtItsEnd(found: Found): Promise<GenerationState | undefined> {
  const opened = await openStill(found);
  if (opened === undefined) return undefined;
  try {
    const { ino, birth } = found.stamp;
    return {
      file: fileIdOf(baseOf(found.stamp) ?? `r${randomBytes(8).toString('hex')}`, 0),
      ino,
      birth,
      since: String(now()),
      copy: null,
      beside: null,
      sums: NO_SUMS,
      head: headOf(await firstBytes(opened.handle)),
      begin: found.size,
      after: null,
      size: found.size,
      closed: null,
      done: true,
    };
  } finally {
    await opened.handle.close();
  }
}
