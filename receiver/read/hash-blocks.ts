// Hashes of blocks of a generation as central files hold it, plain, compressed or in frames, and where they lie there.
// Never compares, and never writes.

import { LogferryError, messageOf, systemCode } from '../../common/runtime/errors.ts';
import type { ByteRange } from '../../common/wire/ranges.ts';
import {
  beginBlock,
  type Blocks,
  blocksIn,
  type DiskPlace,
  endBlock,
  type HashedBlocks,
  LARGEST_BLOCK,
} from '../../common/fleet/verify.ts';
import { coverRange } from './join.ts';
import { DamagedFrame } from '../disk/open-segment.ts';
import { centralFile, type PieceReader, type PlacedRun, type SourcePiece } from './reader.ts';

type Problem = HashedBlocks['problems'][number];

/** What stands in the way of one block does not stop the others. */
export async function hashBlocks(
  runs: readonly PlacedRun[],
  { start, end, block }: Blocks,
  reader: PieceReader,
): Promise<HashedBlocks> {
  const own = runs.filter(({ run }) => run.start < end && run.end > start);
  const { pieces, holes } = coverRange('', own, start, end);
  const problems = holes.map((hole): Problem => {
    return { start: hole.start, end: hole.end, why: 'it is not listed', isListed: false };
  });
  const isReadable = ([from, to]: ByteRange): boolean =>
    problems.every((one) => one.start >= to || one.end <= from);
  const all = [...blocksIn(start, end, block)];
  const hashes: (string | null)[] = [];
  for (let rest = all; rest.length > 0; rest = all.slice(hashes.length)) {
    const stop = rest.findIndex((one) => !isReadable(one));
    const some = stop < 0 ? rest : rest.slice(0, stop);
    if (some.length === 0) hashes.push(null);
    else {
      const read = await hashSome(own, some, reader);
      hashes.push(...read.hashes);
      if (read.problem !== undefined) addProblem(problems, read.problem);
    }
  }
  const wanted = block < LARGEST_BLOCK ? pieces : problems.flatMap((one) => piecesIn(pieces, one));
  const places: DiskPlace[] = [];
  for (const piece of wanted) places.push(await placeOf(piece, reader));
  return { hashes, problems, places };
}

/** Blocks that follow each other, in one pass; as many as there are before the first problem. */
async function hashSome(
  runs: readonly PlacedRun[],
  blocks: readonly ByteRange[],
  reader: PieceReader,
): Promise<{ hashes: string[]; problem?: Problem }> {
  const start = blocks[0]?.[0] ?? 0;
  const hashes: string[] = [];
  let hash = beginBlock();
  let at = start;
  let endOfPiece = start;
  try {
    for (const piece of coverRange('', runs, start, blocks.at(-1)?.[1] ?? start).pieces) {
      endOfPiece = piece.end;
      for await (const bytes of reader.read(piece))
        for (let taken = 0; taken < bytes.length;) {
          const to = blocks[hashes.length]?.[1] ?? at;
          const part = bytes.subarray(taken, taken + to - at);
          hash.update(part);
          taken += part.length;
          at += part.length;
          if (at < to) continue;
          hashes.push(endBlock(hash));
          hash = beginBlock();
        }
    }
    return { hashes };
  } catch (error) {
    const why = whyUnreadable(error);
    const [from, to] = blocks[hashes.length] ?? [at, at];
    const isFrame = error instanceof DamagedFrame && error.start < to && error.end > from;
    const range = isFrame
      ? { start: Math.max(start, error.start), end: error.end }
      : { start: at, end: Math.min(to, endOfPiece) };
    return { hashes, problem: { ...range, why, isListed: true } };
  }
}

/** What is wrong with a file, in words; throws what is no such error. */
export function whyUnreadable(error: unknown): string {
  if (!(error instanceof LogferryError) && systemCode(error) === undefined) throw error;
  return messageOf(error).slice(0, 1_000);
}

function piecesIn(pieces: readonly SourcePiece[], { start, end }: Problem): SourcePiece[] {
  return pieces
    .filter((piece) => piece.start < end && piece.end > start)
    .map((piece) => ({
      ...piece,
      start: Math.max(piece.start, start),
      end: Math.min(piece.end, end),
    }));
}

/** Where a piece lies: of frames those that hold it, or where its run is when nobody can tell. */
async function placeOf({ from: placed, start, end }: SourcePiece, reader: PieceReader): Promise<DiskPlace> {
  const { run } = placed;
  const whole = { start, end, from: run.from, to: run.to };
  try {
    const { segment, disk, encoding } = await reader.open(placed);
    const at = (await segment.place(run, start, end)) ?? whole;
    const as = run.format === undefined ? encoding : ('zstd frames' as const);
    return { ...whole, ...at, disk, ...(as === undefined ? {} : { encoding: as }) };
  } catch (error) {
    whyUnreadable(error);
    return { ...whole, disk: centralFile(placed) };
  }
}

/** One after the other they are one: a file that ends too early, or does not decompress any further. */
function addProblem(problems: Problem[], next: Problem): void {
  const last = problems.at(-1);
  if (last?.end === next.start && last.isListed) problems[problems.length - 1] = { ...last, end: next.end };
  else problems.push(next);
}
