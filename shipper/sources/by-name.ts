// Compressed files without the time of their original, as kubelet leaves them: which of them came and went between two
// looks, and in which order, by the times in their names. What they cannot tell is never guessed, but named.

import { LogferryError } from '../../common/runtime/errors.ts';
import type { Found } from '../files/discover.ts';
import type { Beside } from '../files/rotation-times.ts';
import type { Candidate, Opened, Window } from '../files/candidate.ts';
import { judge, LEAST_PROOF_BYTES, seenOf } from './copies.ts';
import { type Asked, contentOf, type Examined } from '../files/examine.ts';
import { packingOf } from '../files/unpack.ts';

/** Where a rotated name stands among those of its directory and family. */
export interface Place {
  readonly directory: string;
  readonly family: string;
  readonly time: string;
}

/** The files beside a path, as siblings.ts finds them. */
export interface Surroundings {
  /** Opens those that may be wanted; whoever takes one closes it. */
  readonly open: (mayBe: (found: Found) => boolean) => AsyncGenerator<Opened, undefined>;
  /** As it is when nobody has written to it for a while. */
  readonly leftAlone: (opened: Opened) => Promise<Opened>;
  /** Throws `busy` while it is being written, and closes it then. */
  readonly examine: (opened: Opened, asked: readonly Asked[]) => Promise<Examined>;
  readonly candidate: (opened: Opened) => Promise<Candidate>;
  /** Takes out, and closes, those with which others begin. */
  readonly dropCopies: (candidates: Candidate[]) => Promise<void>;
  /** Undefined for a name without a time. */
  readonly placeOf: (file: string) => Place | undefined;
  /** All rotated names, compressed and not. */
  readonly names: () => Promise<readonly string[]>;
  readonly isThere: (file: string) => Promise<boolean>;
  /** What is at the path is still what it was, or still nothing. */
  readonly isUnchanged: () => Promise<boolean>;
}

export interface Placed {
  readonly candidates: Candidate[];
  /** What nothing tells the place of. */
  readonly unplaced: Found[];
}

/**
 * Those that were rotated away after the newest generation had been seen at the path: their names are later than all
 * that stood beside it then. What is returned, and is open, is in order, `found` included. Throws `busy` while one is
 * being written, and when the path was rotated meanwhile.
 *
 * @param found the others that came and went
 */
export async function placeByName(
  around: Surroundings,
  window: Window,
  found: readonly Candidate[],
  isUntimed: (found: Found) => boolean,
): Promise<Placed> {
  const { beside } = window;
  if (beside === undefined || window.before === undefined) return { candidates: [...found], unplaced: [] };
  const taken: Candidate[] = [];
  const unplaced: Found[] = [];
  try {
    for await (const opened of around.open(
      (each) => isUntimed(each) && isLater(around, each, beside) !== false,
    )) {
      if (await isStillPlain(around, opened, found, isUntimed)) {
        await opened.handle.close();
        continue;
      }
      const left = await around.leftAlone(opened);
      const is = await judgeOne(around, left, window, found);
      if (is === 'new') taken.push({ ...(await around.candidate(left)), since: window.after });
      else await left.handle.close();
      if (is === 'unplaced') unplaced.push(left.found);
    }
    if (taken.length > 0 && !(await around.isUnchanged()))
      throw new LogferryError('busy', 'it was rotated meanwhile');
    if (taken.length === 0)
      return { candidates: found.map((each) => withBeside(around, each, beside)), unplaced };
    const all = [...found, ...taken];
    await around.dropCopies(all);
    const ordered = inNameOrder(around, all);
    if (ordered !== undefined)
      return { candidates: ordered.map((each) => withBeside(around, each, beside)), unplaced };
    for (const { handle } of taken) await handle.close();
    return { candidates: [...found], unplaced: [...unplaced, ...taken.map((each) => each.found)] };
  } catch (error) {
    for (const { handle } of taken) await handle.close();
    throw error;
  }
}

/** A compressor removes the plain file when it has finished: till then that one counts. */
async function isStillPlain(
  around: Surroundings,
  { found: { path: file }, found: own }: Opened,
  found: readonly Candidate[],
  isUntimed: (found: Found) => boolean,
): Promise<boolean> {
  const { plain } = packingOf(file);
  if (found.some((each) => each.found.path === plain) || (await around.isThere(plain))) return true;
  return !isUntimed(own);
}

async function judgeOne(
  around: Surroundings,
  opened: Opened,
  { beside, finished, lost, laterShipped }: Window,
  found: readonly Candidate[],
): Promise<'known' | 'new' | 'unplaced'> {
  const isPlaced = beside != null && isLater(around, opened.found, beside) === true;
  // The newest that is known was rotated away before all others: with few bytes nothing but the first may be it.
  const isFirst = !isPlaced || (await isFirstLater(around, opened.found, beside));
  const mayBe = isFirst ? finished : finished.filter((seen) => seen.size >= LEAST_PROOF_BYTES);
  const known = [...lost, ...mayBe, ...(isPlaced ? [] : found.map(seenOf))];
  const shipped = await laterShipped();
  const asked = [
    ...known,
    ...shipped.map((each) => ({
      content: contentOf({ position: each.offset, tail: each.tail }),
    })),
  ];
  const { size, held } = await around.examine(opened, asked);
  const is = size === 0 ? 'copy' : judge(size, held, known, 1, 0n);
  if (is === 'copy') return 'known';
  // A file from before the first start may have been compressed by now.
  if (!isPlaced && beside?.strangers === true) return 'known';
  for (const [index, { offset, tail }] of shipped.entries()) {
    if (tail === undefined) return 'unplaced';
    if (held[known.length + index]?.isWhole === true) return offset === size ? 'known' : 'unplaced';
  }
  return isPlaced && is === 'new' ? 'new' : 'unplaced';
}

/** Whether its name is later than all that stood beside the newest generation; undefined when that is not known. */
function isLater(around: Surroundings, { path: file }: Found, beside: Beside | null): boolean | undefined {
  const place = around.placeOf(file);
  if (place === undefined) return undefined;
  const times = beside?.latest[place.directory];
  return times === undefined ? undefined : place.time > (times[place.family] ?? '');
}

async function isFirstLater(around: Surroundings, { path: file }: Found, beside: Beside): Promise<boolean> {
  const own = around.placeOf(file);
  if (own === undefined) return true;
  const after = beside.latest[own.directory]?.[own.family] ?? '';
  const isBetween = (place: Place | undefined): boolean =>
    place?.directory === own.directory &&
    place.family === own.family &&
    place.time > after &&
    place.time < own.time;
  return !(await around.names()).some((name) => isBetween(around.placeOf(name)));
}

/** What has a later name came after it: a shipper that is killed now goes on from there. */
function withBeside(around: Surroundings, candidate: Candidate, before: Beside | null): Candidate {
  const place = around.placeOf(candidate.found.path);
  if (place === undefined || before === null) return candidate;
  const { directory, family, time } = place;
  const latest = { ...before.latest, [directory]: { ...before.latest[directory], [family]: time } };
  return { ...candidate, beside: { strangers: before.strangers, latest } };
}

/** Undefined when their names tell nothing of their order, or other than the births of plain files do. */
function inNameOrder(around: Surroundings, candidates: readonly Candidate[]): Candidate[] | undefined {
  const placed = candidates.map((candidate) => ({ candidate, place: around.placeOf(candidate.found.path) }));
  const [first] = placed;
  const isOneFamily = placed.every(
    ({ place }) =>
      place !== undefined &&
      place.directory === first?.place?.directory &&
      place.family === first.place.family,
  );
  if (!isOneFamily) return undefined;
  placed.sort((a, b) => ((a.place?.time ?? '') < (b.place?.time ?? '') ? -1 : 1));
  const ordered = placed.map(({ candidate }) => candidate);
  const births = ordered
    .filter(({ found }) => packingOf(found.path).packing === undefined)
    .map(({ found }) => BigInt(found.stamp.birth));
  return births.every((birth, index) => index === 0 || birth >= (births[index - 1] ?? 0n))
    ? ordered
    : undefined;
}
