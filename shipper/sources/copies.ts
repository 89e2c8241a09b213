// Whether a file that nobody has seen holds nothing but what is known: a copy, or the same bytes compressed. Pure.

import type { Candidate, Seen } from '../files/candidate.ts';
import { contentOf, type Held } from '../files/examine.ts';

/** What begins alike for fewer bytes than this may be two files: a header, or a banner, that each of them begins with. */
export const LEAST_PROOF_BYTES = 512;

/**
 * `grown`: it begins as a finished generation does, and nothing of what is known tells of its last bytes. That one may
 * have been written to when nobody looked any more, it may be a copy, or another that begins alike.
 *
 * @param size of what the file holds, unpacked
 * @param held what it has of each that is known, in the same order
 * @param born when the file was made, in nanoseconds since 1970
 * @param least so many bytes have to be the same, where it has less than a generation that is open
 */
export function judge(
  size: number,
  held: readonly Held[],
  known: readonly Seen[],
  least: number,
  born: bigint,
): 'copy' | 'grown' | 'new' {
  let isGrown = false;
  for (const [index, seen] of known.entries()) {
    const has = held[index];
    if (has === undefined) continue;
    // It went on where it was when this one was made already.
    const isOlder = seen.modified !== undefined && born < seen.modified;
    if (isCopyOf(size, has, seen, isOlder ? 1 : least)) return 'copy';
    isGrown ||= !has.isOther && has.upTo >= LEAST_PROOF_BYTES;
  }
  return isGrown ? 'grown' : 'new';
}

function isCopyOf(size: number, has: Held, seen: Seen, least: number): boolean {
  if (has.isWhole && (size === seen.size || (size > seen.size && !seen.isFound))) return true;
  if (has.isBeginning && size >= least) return true;
  return has.upTo === size && size >= LEAST_PROOF_BYTES;
}

/** What is known of a file that is open: its bytes. */
export function seenOf({ head, size, handle }: Pick<Candidate, 'head' | 'size' | 'handle'>): Seen {
  return { content: contentOf({ head }), size, handle, isFound: true };
}
