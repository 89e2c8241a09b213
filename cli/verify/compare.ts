// One range of one generation, its source's blocks against a holder's: where they differ, narrowed down. A difference
// counts when both sides say it again. Never decides what it means.

import { type ByteRange, withoutRanges } from '../../common/wire/ranges.ts';
import {
  type Blocks,
  blocksIn,
  type DiskPlace,
  type HashedBlocks,
  LARGEST_BLOCK,
  SMALLEST_BLOCK,
} from '../../common/fleet/verify.ts';
import type { Holder, SourceSide, Wanted } from './sides.ts';

/** Bytes that are not what was written, at a holder's. */
export interface Difference {
  readonly start: number;
  readonly end: number;
  readonly holder: string;
  /** Where they begin there. */
  readonly place: DiskPlace | undefined;
  readonly why: string;
}

export interface Compared {
  readonly differs: readonly Difference[];
  /** The holder does not list them any more. */
  readonly unlisted: readonly ByteRange[];
}

/** What a question came to. */
interface Asked {
  readonly source: readonly string[];
  readonly central: HashedBlocks;
}

/** Undefined when the generation is not on its host any more. Throws NoAnswer. */
export async function compareRange(
  sources: SourceSide,
  holder: Holder,
  wanted: Wanted,
  [start, end]: ByteRange,
): Promise<Compared | undefined> {
  const ask = async (blocks: Blocks): Promise<Asked | undefined> => {
    const [source, central] = await Promise.all([
      sources.hash(wanted, blocks),
      holder.hash(wanted.host, wanted.file, blocks),
    ]);
    return source.state === 'gone' ? undefined : { source: source.hashes, central };
  };
  const asked = await ask({ start, end, block: LARGEST_BLOCK });
  if (asked === undefined) return undefined;
  const { problems, places } = asked.central;
  const differs: Difference[] = [];
  for (const problem of problems.filter(({ isListed }) => isListed)) {
    const place = places.find((one) => one.start < problem.end && one.end > problem.start);
    const range = { start: Math.max(start, problem.start), end: Math.min(end, problem.end) };
    if (range.start < range.end) differs.push({ ...range, holder: holder.name, place, why: problem.why });
  }
  for (const group of groupsOf(differing({ start, end, block: LARGEST_BLOCK }, asked))) {
    const narrowed = await narrow(ask, group);
    if (narrowed === undefined) return undefined;
    for (const [from, to] of narrowed) {
      const place = await placeOf(holder, wanted, [from, to]);
      differs.push({ start: from, end: to, holder: holder.name, place, why: 'not the bytes of the source' });
    }
  }
  const unlisted = problems.filter(({ isListed }) => !isListed).map((one): ByteRange => [one.start, one.end]);
  // Of a block in which something cannot be read, the rest is compared for itself.
  const blocks = [...blocksIn(start, end, LARGEST_BLOCK)].filter(
    (_, index) => asked.central.hashes[index] === null,
  );
  const known = problems.map((one): ByteRange => [one.start, one.end]);
  for (const rest of withoutRanges(blocks, known)) {
    if (rest[0] === start && rest[1] === end) {
      differs.push({ start, end, holder: holder.name, place: undefined, why: 'it says nothing of them' });
      continue;
    }
    const compared = await compareRange(sources, holder, wanted, rest);
    if (compared === undefined) return undefined;
    differs.push(...compared.differs);
    unlisted.push(...compared.unlisted);
  }
  return { differs, unlisted };
}

/** The blocks of which both sides have a hash, and not the same. */
function differing({ start, end, block }: Blocks, { source, central }: Asked): ByteRange[] {
  return [...blocksIn(start, end, block)].filter((_, index) => {
    const [one, other] = [source[index], central.hashes[index]];
    return one !== undefined && typeof other === 'string' && one !== other;
  });
}

/** Blocks that follow each other. */
function groupsOf(blocks: readonly ByteRange[]): ByteRange[][] {
  const groups: ByteRange[][] = [];
  for (const block of blocks) {
    const group = groups.at(-1);
    if (group?.at(-1)?.[1] === block[0]) group.push(block);
    else groups.push([block]);
  }
  return groups;
}

/**
 * Where in these blocks it begins to differ, and where it ends. None when nothing differs any more: a file was cut, or
 * changed, between the two questions. Undefined when the source is gone by now.
 */
async function narrow(
  ask: (blocks: Blocks) => Promise<Asked | undefined>,
  group: readonly ByteRange[],
): Promise<ByteRange[] | undefined> {
  const [first, ...others] = group;
  const last = others.at(-1);
  if (first === undefined) return [];
  const begins = await narrowOne(ask, first);
  if (begins === undefined || last === undefined) return begins;
  const ends = await narrowOne(ask, last);
  if (ends === undefined) return undefined;
  // All that lies between the first and the last byte that differ is named as one.
  const from = begins[0]?.[0] ?? first[1];
  const to = ends.at(-1)?.[1] ?? last[0];
  return from < to ? [[from, to]] : [];
}

async function narrowOne(
  ask: (blocks: Blocks) => Promise<Asked | undefined>,
  [start, end]: ByteRange,
): Promise<ByteRange[] | undefined> {
  const blocks = { start, end, block: SMALLEST_BLOCK };
  const asked = await ask(blocks);
  if (asked === undefined) return undefined;
  return groupsOf(differing(blocks, asked)).map((group): ByteRange => {
    return [group[0]?.[0] ?? start, group.at(-1)?.[1] ?? end];
  });
}

/** Where its first bytes lie, as far as they lie in one file. */
async function placeOf(
  holder: Holder,
  { host, file }: Wanted,
  [start, end]: ByteRange,
): Promise<DiskPlace | undefined> {
  const first = Math.min(end, start + LARGEST_BLOCK);
  const { places } = await holder.hash(host, file, { start, end: first, block: SMALLEST_BLOCK });
  return places[0];
}
