// Generations that came and went between two looks at a path: rotated away, or copied and truncated. Opens what it may be,
// compares it with all that is known, and says in which order they came.

import {
  type Between,
  type Candidate,
  inOrder,
  openIfThere,
  type Opened,
  type Seen,
  statOf,
  type Window,
} from '../files/candidate.ts';
import {
  bytesOf,
  compared,
  isBeginningOf,
  leftAlone,
  unfinished,
  writtenBeforePacked,
} from '../files/contents.ts';
import { type Found, look } from '../files/discover.ts';
import { contentOf } from '../files/examine.ts';
import { firstBytes } from '../files/fingerprint.ts';
import { type FileStamp, headMatches, headOf, isSameFile } from '../files/identity.ts';
import { lookQuietly, openQuietly, type Surroundings } from '../files/surroundings.ts';
import { packingOf } from '../files/unpack.ts';
import { type Placed, placeByName } from './by-name.ts';
import { judge, LEAST_PROOF_BYTES, seenOf } from './copies.ts';
import { BIRTH_LATE_NS, isBornAfter, madeAt, mayBeBetween, mayBeUntimed } from './window.ts';

/** Between the moment that is noted for a file and the read of its first bytes. */
const LOOK_NS = 50_000_000n;

export class Unseen {
  readonly #path: string;
  readonly #around: Surroundings;
  readonly #scratch: string;
  readonly #isNamed: (file: string) => boolean;

  /**
   * @param scratch where compressed files are unpacked
   * @param isNamed whether a glob names a file: then it may be a log of its own
   */
  constructor(path: string, around: Surroundings, scratch: string, isNamed: (file: string) => boolean) {
    this.#path = path;
    this.#around = around;
    this.#scratch = scratch;
    this.#isNamed = isNamed;
  }

  /** Generations that are nothing known and no copy of anything known. Throws `busy` while one is being compressed. */
  async between(window: Window): Promise<Between> {
    const { before } = window;
    const found: Candidate[] = [];
    try {
      const grown = await this.#collectBetween(window, found);
      found.sort(inOrder);
      if (before === undefined) {
        const unplaced = await this.#untimed(window, found);
        return { ...(await this.#beforeNext(found, window)), unplaced, grown };
      }
      const { candidates, unplaced } = await this.#byName(window, before, found);
      return { candidates, unplaced, grown, own: undefined };
    } catch (error) {
      for (const { handle } of found) await handle.close();
      throw error;
    }
  }

  async #byName(window: Window, before: FileStamp, found: readonly Candidate[]): Promise<Placed> {
    const around = {
      open: (mayBe: (each: Found) => boolean) => this.#around.rotated(this.#around.directories, mayBe),
      leftAlone,
      examine: compared,
      dropCopies,
      candidate: async (opened: Opened) => await this.#candidateBetween(opened),
      placeOf: (file: string) => this.#around.placeOf(file),
      names: async () => await this.#around.allNames(),
      isThere: async (file: string) => (await lookQuietly(file)) !== undefined,
      isUnchanged: async () => isSameFile(before, (await look(this.#path))?.stamp ?? { ...before, ino: '' }),
    };
    const isUntimed = (each: Found): boolean =>
      mayBeUntimed(each, window) && this.#isToldByName(each, undefined);
    return await placeByName(around, window, found, isUntimed);
  }

  /**
   * Whether the name alone says that it was rotated from here, for a file of which nothing else is known: what a glob
   * names is a log of its own unless nobody would call one that, and with a count in it only what nobody has written to
   * since it made way.
   */
  #isToldByName({ path: file, modified }: Found, before: FileStamp | undefined): boolean {
    const { plain } = packingOf(file);
    const kinds = this.#around.rotationOf(file);
    if (kinds.includes('behind') || plain === this.#path) return true;
    if (this.#isNamed(plain)) return false;
    return (
      kinds.includes('dated') || before === undefined || modified <= BigInt(before.birth) + BIRTH_LATE_NS
    );
  }

  /** Returns those that begin with all of a finished generation and have more. */
  async #collectBetween(window: Window, found: Candidate[]): Promise<Found[]> {
    await this.#around.followLinks();
    const grown: Found[] = [];
    const { lost, finished } = window;
    const mayBe = (each: Found): boolean =>
      mayBeBetween(each, window) && this.#isToldByName(each, window.before);
    for await (const opened of this.#around.rotated(this.#around.directories, mayBe)) {
      const isPacked = packingOf(opened.found.path).packing !== undefined;
      const born = madeAt(opened.found);
      const known = [...finished, ...lost, ...(isPacked ? found.map(seenOf) : [])];
      const is = await this.#judge(opened, known, isPacked || born < window.seen ? 1 : LEAST_PROOF_BYTES);
      const isOwn = (is === 'new' || is === 'grown') && !(await this.#isCopyOfFile(opened, window));
      if (isOwn && is === 'new') found.push(await this.#candidateBetween(opened));
      else await opened.handle.close();
      if (isOwn && is === 'grown') grown.push(opened.found);
    }
    await dropCopies(found);
    return grown;
  }

  /** Checksums tell of few places only how far a copy is the same: files that are there tell it of each byte. */
  async #isCopyOfFile(opened: Opened, { isKnown }: Window): Promise<boolean> {
    if (opened.found.size < LEAST_PROOF_BYTES) return false;
    for (const each of await this.#around.all()) {
      if (isSameFile(each.stamp, opened.found.stamp)) continue;
      // Of two that hold the same, and of which nothing is known, none is the copy.
      if (each.path !== this.#path && !isKnown(each) && each.size <= opened.found.size) continue;
      const whole = await openQuietly(each);
      if (whole === undefined) continue;
      try {
        const { size, held } = await compared(opened, [{ content: contentOf({}), handle: whole.handle }]);
        if (size >= LEAST_PROOF_BYTES && held[0]?.isBeginning === true) return true;
      } finally {
        await whole.handle.close();
      }
    }
    return false;
  }

  async #judge(
    opened: Opened,
    known: readonly Seen[],
    least: number,
  ): Promise<'empty' | ReturnType<typeof judge>> {
    const { size, held } = await compared(opened, known);
    return size === 0 ? 'empty' : judge(size, held, known, least, madeAt(opened.found));
  }

  /** Compressed files that hold nothing known, and do not tell when that was written: where copies are made no name tells it. */
  async #untimed(window: Window, found: readonly Candidate[]): Promise<Found[]> {
    const unplaced: Found[] = [];
    // A file from before the first start may have been compressed by now.
    if (window.beside === undefined || window.beside?.strangers === true) return unplaced;
    const known = [...window.finished, ...window.lost, ...found.map(seenOf)];
    const mayBe = (each: Found): boolean => mayBeUntimed(each, window) && this.#isToldByName(each, undefined);
    for await (const opened of this.#around.rotated(this.#around.directories, mayBe)) {
      const left = await leftAlone(opened);
      const is = await this.#judge(left, known, 1);
      const isOwn = is === 'new' && window.next !== undefined && (await isCopyOfNext(left, window.next));
      await opened.handle.close();
      if (is === 'new' && !isOwn) unplaced.push(opened.found);
    }
    return unplaced;
  }

  /** Of the copies of a truncated file: those that were made before the next generation, and that one's own. */
  async #beforeNext(
    copies: readonly Candidate[],
    { next }: Window,
  ): Promise<Pick<Between, 'candidates' | 'own'>> {
    const current = await openIfThere(this.#path);
    try {
      const stamp = (await statOf(current, this.#path))?.stamp;
      const isAtPath = stamp !== undefined && next !== undefined && isSameFile(stamp, next.stamp);
      let end = 0;
      let own: Candidate | undefined;
      for (const copy of copies) {
        await assertIsWhole(copy);
        if (next?.copied !== undefined && madeAt(copy.found) >= next.copied) break;
        // What the file holds now may have been copied, or be copied at this moment.
        if (current !== undefined && (await isBeginningOf(copy, current))) break;
        if (next !== undefined && isAtPath && (await isAllOf(copy, next))) {
          own = copy;
          break;
        }
        if (next !== undefined && (isAtPath ? await isCopiedAfter(copy, next) : isBornAfter(copy, next))) {
          if (isAtPath && (await hasHead(copy, next))) own = copy;
          break;
        }
        end += 1;
      }
      const candidates = copies.slice(0, end);
      for (const copy of copies.slice(end)) if (copy !== own) await copy.handle.close();
      return { candidates, own };
    } finally {
      await current?.close();
    }
  }

  async #candidateBetween(opened: Opened): Promise<Candidate> {
    const bytes = await bytesOf(opened, 0, this.#scratch);
    const { found } = opened;
    // Nobody has seen it at the path: others may have followed since it was born.
    const { modified, stamp } = found;
    const since = writtenBeforePacked(found) ?? (stamp.birth === '0' ? modified : BigInt(stamp.birth));
    return { ...bytes, head: headOf(await firstBytes(bytes.handle)), since, wasAtPath: false };
  }
}

/** Without those with which another of them begins: copies that were made by hand, before it was rotated. */
async function dropCopies(found: Candidate[]): Promise<void> {
  for (const copy of [...found]) {
    if (copy.size < LEAST_PROOF_BYTES) continue;
    for (const other of found) {
      if (other === copy || other.size < copy.size) continue;
      if (!(await isBeginningOf(copy, other.handle))) continue;
      found.splice(found.indexOf(copy), 1);
      await copy.handle.close();
      break;
    }
  }
}

/** Throws `busy` when a copy has more by now than when it was looked at: it was still being made. */
async function assertIsWhole({ handle, size, found }: Candidate): Promise<void> {
  if (packingOf(found.path).packing === undefined && (await handle.stat()).size !== size)
    throw unfinished(found);
}

/** Whether a copy was made when the next generation was there already: it is that one's own, or of a later one. */
async function isCopiedAfter(copy: Candidate, next: NonNullable<Window['next']>): Promise<boolean> {
  const birth = madeAt(copy.found);
  if (next.head.length === 0 || birth + BIRTH_LATE_NS < next.read) return false;
  return birth > next.read + LOOK_NS || (await hasHead(copy, next));
}

/** Whether it begins with all that was seen of the next generation. */
async function isCopyOfNext(opened: Opened, { head, size }: NonNullable<Window['next']>): Promise<boolean> {
  const examined = await compared(opened, [{ content: contentOf({ head }) }]);
  return head.length > 0 && examined.size >= size && examined.held[0]?.isOther === false;
}

/** Whether it has just what the next generation had when it was found: it is that one's own, whenever it was made. */
async function isAllOf(copy: Candidate, next: NonNullable<Window['next']>): Promise<boolean> {
  return copy.size === next.size && (await hasHead(copy, next));
}

/** Whether it begins as the next generation did when it was found; false where nothing was read of that. */
async function hasHead({ handle }: Candidate, { head }: NonNullable<Window['next']>): Promise<boolean> {
  return head.length > 0 && headMatches(head, await firstBytes(handle));
}
