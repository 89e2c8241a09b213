// --ignore-older: what a file that is too old is remembered as, so that only what is added to it later is shipped.

import { randomBytes } from 'node:crypto';

import { formatDuration } from '../../common/text/units.ts';
import { type Found, msOf, now } from '../files/discover.ts';
import { baseOf, fileIdOf, headOf } from '../files/identity.ts';
import { type GenerationState, newGeneration } from '../files/generation-state.ts';
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
    const file = fileIdOf(baseOf(found.stamp) ?? `r${randomBytes(8).toString('hex')}`, 0);
    return {
      ...newGeneration(file, found.stamp, found.size, found.size),
      since: String(now()),
      head: headOf(await firstBytes(opened.handle)),
      done: true,
    };
  } finally {
    await opened.handle.close();
  }
}

/** What is said of those that were not shipped. */
export function whyNotOlder(old: readonly { readonly file: string }[], ageMs: number): string {
  const first = old[0]?.file ?? '';
  const which = old.length === 1 ? `${first} was` : `${old.length} files (${first} for one) were`;
  const rest = 'what is added later is shipped';
  return `${which} last written more than ${formatDuration(ageMs)} ago: not shipped; ${rest}`;
}
