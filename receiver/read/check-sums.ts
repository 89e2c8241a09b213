// The bytes of a generation on disk against the checksums that the ledger kept of them: what was damaged since it was
// written is found without its source. Never writes.

import { setImmediate } from 'node:timers/promises';

import { crc32 } from '../../common/wire/digest.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import { type CheckedStretch, type CheckedStretches, MOST_BYTES } from '../../common/fleet/verify.ts';
import { whyUnreadable } from './hash-blocks.ts';
import type { OpenSegment } from '../disk/open-segment.ts';
import { centralFile, type PieceReader, type PlacedRun } from './reader.ts';
import { type Stretch, stretchesOf } from '../ledger/sums.ts';

/** Rows of one answer. */
const MOST_STRETCHES = 1_000;

/** From the source byte `from` on, as far as one question goes. `runs` are all those of one generation. */
export async function checkSums(
  runs: readonly PlacedRun[],
  from: number,
  reader: PieceReader,
): Promise<CheckedStretches> {
  const all = runs
    .flatMap((placed) => stretchesOf(placed.run).map((stretch) => ({ placed, stretch })))
    .filter(({ stretch }) => stretch.start >= from)
    .toSorted((a, b) => a.stretch.start - b.stretch.start);
  const stretches: CheckedStretch[] = [];
  let bytes = 0;
  for (const { placed, stretch } of all) {
    // Those that begin at the same byte are asked for together: the next question begins behind them.
    const isEnough = bytes >= MOST_BYTES || stretches.length >= MOST_STRETCHES;
    if (isEnough && stretch.start > (stretches.at(-1)?.start ?? 0)) return { stretches, next: stretch.start };
    stretches.push(await checkOne(placed, stretch, reader));
    bytes += stretch.to - stretch.from;
    await setImmediate();
  }
  return { stretches, next: null };
}

async function checkOne(
  placed: PlacedRun,
  { start, end, from, to, crc }: Stretch,
  reader: PieceReader,
): Promise<CheckedStretch> {
  const { run } = placed;
  const lies = { start, end, from, to };
  let disk = centralFile(placed);
  try {
    const { segment, encoding, ...opened } = await reader.open(placed);
    ({ disk } = opened);
    const as = run.format === undefined ? encoding : ('zstd frames' as const);
    const place = { ...lies, disk, ...(as === undefined ? {} : { encoding: as }) };
    const { reached, sum } =
      crc === undefined
        ? { reached: await segment.reach(from, to), sum: undefined }
        : await sumOf(segment, from, to);
    if (reached < to) throw new LogferryError('failed', `${disk} ends at byte ${reached}, before ${to}`);
    if (crc === undefined) return { ...place, result: 'unknown', why: '' };
    return sum === crc
      ? { ...place, result: 'same', why: '' }
      : { ...place, result: 'differs', why: 'not the bytes that were written' };
  } catch (error) {
    return { ...lies, disk, result: 'unreadable', why: whyUnreadable(error) };
  }
}

/** The checksum of what is there, and where that ends: at `to`, or before it where the file does. */
async function sumOf(
  segment: OpenSegment,
  from: number,
  to: number,
): Promise<{ reached: number; sum: number }> {
  let sum = 0;
  let reached = from;
  for await (const piece of segment.readPlace(from, to)) {
    sum = crc32(piece, sum);
    reached += piece.length;
  }
  return { reached, sum };
}

/** Whether what was found wrong is still listed, and is not just being cut or moved. */
export function isStillListed(runs: readonly PlacedRun[], { start, end }: CheckedStretch): boolean {
  return runs.some(({ run }) =>
    stretchesOf(run).some((stretch) => stretch.start === start && stretch.end === end),
  );
}
