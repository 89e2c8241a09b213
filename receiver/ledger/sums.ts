// The checksums of a run: CRC-32 of the bytes as they lie on disk, one for each stretch of it. Joined from those of its
// lines without reading anything, so that a ledger can tell what was damaged since. Pure.

import { combineCrc32 } from '../../common/wire/digest.ts';

/** The stretch of a run that ends with source byte `end`, at `to` on disk; it begins where the one before ends. */
export interface Sum {
  readonly end: number;
  readonly to: number;
  /** Undefined when it is not known: an older logferry compacted the ledger, or the run was cut within. */
  readonly crc: number | undefined;
}

/** A stretch of a run, with where it begins. */
export interface Stretch extends Sum {
  readonly start: number;
  readonly from: number;
}

/**
 * Stretches are joined up to this many bytes on disk. Damage is found in one of them: shorter ones would say more of
 * where it is, and make the ledger longer.
 */
export const SUM_BYTES = 64 * 1024 * 1024;

/** Adds what lies right behind the last stretch. `from` is where the run begins on disk. */
export function addSum(sums: Sum[], from: number, next: Sum): void {
  const last = sums.at(-1);
  const begin = sums.at(-2)?.to ?? from;
  if (last === undefined || (last.crc === undefined) !== (next.crc === undefined)) sums.push(next);
  else if (last.crc === undefined || next.crc === undefined) sums[sums.length - 1] = next;
  else if (next.to - begin > SUM_BYTES) sums.push(next);
  else sums[sums.length - 1] = { ...next, crc: combineCrc32(last.crc, next.crc, next.to - last.to) };
}

/** What is left when the run ends at source byte `end`, at `to` on disk: of a stretch that is cut nothing is known. */
export function cutSums(sums: readonly Sum[], end: number, to: number): Sum[] {
  const whole = sums.filter((sum) => sum.to <= to);
  if ((whole.at(-1)?.to ?? -1) < to) addSum(whole, 0, { end, to, crc: undefined });
  return whole;
}

/** The stretches of a run, in order. */
export function stretchesOf(run: {
  readonly start: number;
  readonly from: number;
  readonly sums: readonly Sum[];
}): Stretch[] {
  let { start, from } = run;
  return run.sums.map((sum) => {
    const stretch = { ...sum, start, from };
    ({ end: start, to: from } = sum);
    return stretch;
  });
}
