// Compressed files without the time of their original, as kubelet leaves them: which of them came and went between two
// looks, and in which order, by the times in their names. What they cannot tell is never guessed, but named.

import { LogferryError } from '../../common/runtime/errors.ts';
import type { Found } from './discover.ts';
import type { Beside } from './rotation-times.ts';
import { packingOf } from './unpack.ts';
import { standsBefore } from './fingerprint.ts';
import type { Candidate, Opened, Seen, Window } from './candidate.ts';

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
  /** Undefined when the file is damaged; closes it then. Throws `busy` while it is being written. */
  readonly read: (opened: Opened) => Promise<Candidate | undefined>;
  /** Undefined for a name without a time. */
  readonly placeOf: (file: string) => Place | undefined;
  /** All rotated names, compressed and not. */
  readonly names: () => Promise<readonly string[]>;
  readonly isThere: (file: string) => Promise<boolean>;
  /** What is at the path is still what it was, or still nothing. */
  readonly isUnchanged: () => Promise<boolean>;
  readonly isCopyOf: (candidate: Candidate, known: readonly Seen[]) => Promise<boolean>;
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
      const candidate = await readUnlessPlain(around, opened, found, isUntimed);
      if (candidate === undefined) continue;
      const is = candidate.size === 0 ? 'known' : await judge(around, candidate, window, found);
      if (is === 'new') taken.push({ ...candidate, since: window.after });
      else await candidate.handle.close();
      if (is === 'unplaced') unplaced.push(candidate.found);
    }
    if (taken.length > 0 && !(await around.isUnchanged()))
      throw new LogferryError('busy', 'it was rotated meanwhile');
    if (taken.length === 0) return { candidates: [...found], unplaced };
    const ordered = inNameOrder(around, [...found, ...taken]);
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
async function readUnlessPlain(
  around: Surroundings,
  opened: Opened,
  found: readonly Candidate[],
  isUntimed: (found: Found) => boolean,
): Promise<Candidate | undefined> {
  const { plain } = packingOf(opened.found.path);
  const isPlain = found.some((each) => each.found.path === plain) || (await around.isThere(plain));
  if (!isPlain && isUntimed(opened.found)) return await around.read(opened);
  await opened.handle.close();
  return undefined;
}

async function judge(
  around: Surroundings,
  candidate: Candidate,
  { beside, finished, lost, laterShipped }: Window,
  found: readonly Candidate[],
): Promise<'known' | 'new' | 'unplaced'> {
  const isPlaced = beside != null && isLater(around, candidate.found, beside) === true;
  // The newest that is known was rotated away before all others: nothing but the first may be it.
  const isFirst = !isPlaced || (await isFirstLater(around, candidate.found, beside));
  const known = [...lost, ...(isFirst ? finished : []), ...(isPlaced ? [] : found)];
  if (await around.isCopyOf(candidate, known)) return 'known';
  // A file from before the first start may have been compressed by now.
  if (!isPlaced && beside?.strangers === true) return 'known';
  for (const { offset, tail } of await laterShipped()) {
    if (tail === undefined) return 'unplaced';
    if (
      offset > candidate.size ||
      candidate.from > 0 ||
      !(await standsBefore(candidate.handle, offset, tail))
    )
      continue;
    return offset === candidate.size ? 'known' : 'unplaced';
  }
  return isPlaced ? 'new' : 'unplaced';
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
