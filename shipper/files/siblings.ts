// The files beside a source: where rotation puts the old bytes. Finds a file again by its stamp, the copy that
// copytruncate left or a compressor made, and generations that came and went between two looks. Names shift while one
// looks: what counts is the file that was opened, never its name.

import { type FileHandle, readlink } from 'node:fs/promises';
import path from 'node:path';

import { isForbidden, LogferryError } from '../../common/runtime/errors.ts';
import { readFully } from '../../common/runtime/files.ts';
import { sleep } from '../../common/runtime/run.ts';
import { type Placed, placeByName } from './by-name.ts';
import { type Found, foundOf, linksFrom, look, msOf } from './discover.ts';
import {
  type FileStamp,
  type Head,
  HEAD_BYTES,
  headMatches,
  headOf,
  isRotationOf,
  isSameFile,
  rotationOf,
  rotationPrefix,
} from './identity.ts';
import { keyOf } from './known-files.ts';
import type { Listings } from './listings.ts';
import { nearby } from './nearby.ts';
import { type Beside, latestTimes, type TimedName, timedName } from './rotation-times.ts';
import { firstUnpacked, packingOf, unpack } from './unpack.ts';
import { judge, seenOf } from './copies.ts';
import { type Asked, type Content, type Examined, examine } from './examine.ts';
import { firstBytes } from './fingerprint.ts';
import {
  type Opened,
  type Elsewhere,
  type Candidate,
  type Seen,
  type Window,
  type Between,
  openIfThere,
  openStill,
  candidateOf,
} from './candidate.ts';
import { tuning } from '../../common/runtime/tuning.ts';

const FIND_TRIES = 4;
const FIND_PAUSE_MS = 15;
/** Names of one directory that are looked at for a file that has none of the usual ones. */
const MOST_NAMES = 2_000;
/** A directory is read again while it has other files, and so often while names vanish from it. */
const MOST_LISTINGS = 20;
const VANISHED_LISTINGS = 3;
/** A birth is taken from a clock that stands still for up to a tick: 10 ms at 100 Hz. */
const BIRTH_LATE_NS = 10_000_000n;
/** Between the moment that is noted for a file and the read of its first bytes. */
const LOOK_NS = 50_000_000n;
const COMPARED_BYTES = 64 * 1024;
/** And not read at all as long as it is being written. */
const PACKED_QUIET_MS = 1_000;

export class Siblings {
  readonly #source: string;
  readonly #listings: Listings;
  /** Where compressed files are unpacked. */
  readonly #scratch: string;
  readonly #isNamed: (file: string) => boolean;
  /** The base names that rotated files begin with: the source's, and those of what it links to. */
  readonly #bases = new Set<string>();
  /** Where rotated files were seen: beside the source and what it links to, and where it was moved to. */
  readonly #directories = new Set<string>();

  /** @param isNamed whether a glob names a file: then it may be a log of its own */
  constructor(source: string, listings: Listings, scratch: string, isNamed: (file: string) => boolean) {
    this.#source = source;
    this.#listings = listings;
    this.#scratch = scratch;
    this.#isNamed = isNamed;
  }

  /**
   * Whether the name alone says that it was rotated from here, for a file of which nothing else is known: what a glob
   * names is a log of its own unless nobody would call one that, and with a count in it only what nobody has written to
   * since it made way.
   */
  #isToldByName({ path: file, modified }: Found, before: FileStamp | undefined): boolean {
    const { plain } = packingOf(file);
    const kinds = [...this.#bases].map((base) => rotationOf(base, path.basename(plain)));
    if (kinds.includes('behind') || plain === this.#source) return true;
    if (this.#isNamed(plain)) return false;
    return (
      kinds.includes('dated') || before === undefined || modified <= BigInt(before.birth) + BIRTH_LATE_NS
    );
  }

  /** A link may lead elsewhere by now: what was rotated there counts, and so does what was rotated before. */
  async #followLinks(): Promise<void> {
    for (const file of await linksFrom(this.#source)) {
      this.#directories.add(path.dirname(file));
      this.#bases.add(path.basename(file));
    }
  }

  /** An open file was moved: where it is now, others will be. */
  async learnFrom(handle: FileHandle): Promise<void> {
    try {
      const name = await readlink(`/proc/self/fd/${handle.fd}`);
      if (!name.endsWith(' (deleted)')) this.#directories.add(path.dirname(name));
    } catch {
      // No /proc, or closed by now: only known places are looked at then.
    }
  }

  /**
   * The file with this stamp: at the path, under any name in its directory, or in a directory near it. Looked for
   * several times: it may be renamed while one looks. Throws when it cannot be read.
   */
  async find(stamp: FileStamp): Promise<Opened | undefined> {
    await this.#followLinks();
    for (let tries = 0; tries < FIND_TRIES; tries += 1) {
      if (tries > 0) await sleep(FIND_PAUSE_MS);
      const isLast = tries === FIND_TRIES - 1;
      const prefixes = isLast ? [''] : this.#prefixes();
      for (const directory of isLast ? await this.#everywhere() : this.#directories)
        for (const file of (await this.#startingWith(directory, prefixes)).slice(0, MOST_NAMES)) {
          const found = await lookQuietly(file);
          if (found === undefined || !isSameFile(found.stamp, stamp)) continue;
          // Its bytes are not what the file holds: findBytes unpacks them.
          if (file !== this.#source && packingOf(file).packing !== undefined) return undefined;
          const opened = await openStill(found);
          if (opened === undefined) continue;
          this.#directories.add(path.dirname(file));
          return opened;
        }
    }
    return undefined;
  }

  /**
   * The bytes of a generation that is not in its own file any more: in a copy of it, or in a compressed one; of several
   * that have all that is known of it, the oldest. Throws `busy` when one is still being written.
   *
   * Beyond the directories where its rotated files are known to lie, a file of this name may be another log's that
   * begins alike: looked at only for bytes that are known to be missing, and with a whole head to go by.
   *
   * @param isMissing bytes of it were seen that are not shipped
   */
  async findBytes(
    content: Content,
    isMissing: boolean,
    isKnown: (found: Found) => boolean,
  ): Promise<Elsewhere | undefined> {
    await this.#followLinks();
    const isFarSearched = isMissing && content.head.length === HEAD_BYTES;
    for (const directories of [this.#directories, ...(isFarSearched ? [await this.#everywhere()] : [])]) {
      const holders: Opened[] = [];
      try {
        for await (const opened of this.#rotated(directories, (found) => !isKnown(found)))
          if (await this.#holds(opened, content)) holders.push(opened);
          else await opened.handle.close();
      } catch (error) {
        for (const { handle } of holders) await handle.close();
        throw error;
      }
      const [oldest, ...others] = holders.toSorted(inOrder);
      for (const { handle } of others) await handle.close();
      if (oldest === undefined) continue;
      this.#directories.add(path.dirname(oldest.found.path));
      return await this.#bytesOf(oldest, content.position);
    }
    return undefined;
  }

  /** Whether it has all that is known of a generation. Closes it when it throws `busy`. */
  async #holds(opened: Opened, content: Content): Promise<boolean> {
    const { packing } = packingOf(opened.found.path);
    if (packing === undefined && opened.found.size < content.position) return false;
    // A kill may come before its head is saved: what was shipped tells then.
    const isKnown = content.head.length > 0 || (content.position > 0 && content.tail !== undefined);
    if (!isKnown || !(await beginsWith(opened, content.head))) return false;
    const examined = await this.#examined(opened, [{ content }]);
    const isUntold = content.sums.marks.length === 0 && content.position === 0;
    return isUntold || examined.held[0]?.isWhole === true;
  }

  /** Compares it with what is known; throws `busy` for one that is still being compressed, and closes it then. */
  async #examined(opened: Opened, asked: readonly Asked[]): Promise<Examined> {
    const isPacked = packingOf(opened.found.path).packing !== undefined;
    const quietMs = quietOf(opened.found);
    try {
      if (isPacked && quietMs < PACKED_QUIET_MS) throw unfinished(opened.found);
      const examined = await examine(opened, asked, isPacked);
      if (!examined.isComplete && quietMs < tuning.packingMs) throw unfinished(opened.found);
      return examined;
    } catch (error) {
      await opened.handle.close();
      throw error;
    }
  }

  /** What is at the path, and beside it under a rotated name: each file once, also when names shift meanwhile. */
  async all(): Promise<Found[]> {
    await this.#followLinks();
    const files = new Map<string, Found>();
    for (let listings = 0, before = -1; files.size > before && listings < MOST_LISTINGS; listings += 1) {
      before = files.size;
      for (const directory of this.#directories)
        for (const name of [this.#source, ...(await this.#namesIn(directory))]) {
          const found = await lookQuietly(name);
          if (found !== undefined && packingOf(name).packing === undefined)
            files.set(keyOf(found.stamp), found);
        }
    }
    return [...files.values()];
  }

  /** Whether anything stands beside the path that looks like a generation of it. */
  async hasRotated(): Promise<boolean> {
    await this.#followLinks();
    for (const directory of this.#directories) if ((await this.#namesIn(directory)).length > 0) return true;
    return false;
  }

  /** Rotated files that are wanted, oldest first. */
  async rotated(isWanted: (found: Found) => boolean): Promise<Candidate[]> {
    await this.#followLinks();
    const candidates: Candidate[] = [];
    for await (const opened of this.#rotated(this.#directories, isWanted))
      candidates.push({
        ...(await candidateOf(opened, BigInt(opened.found.stamp.birth))),
        wasAtPath: false,
      });
    return candidates.toSorted(inOrder);
  }

  /** Generations that are nothing known and no copy of anything known. Throws as findBytes does. */
  async between(window: Window): Promise<Between> {
    const { before } = window;
    const found: Candidate[] = [];
    try {
      const untold = await this.#collectBetween(window, found);
      found.sort(inOrder);
      if (before !== undefined) {
        const { candidates, unplaced } = await this.#byName(window, before, found);
        return { candidates, unplaced: [...untold, ...unplaced], own: undefined };
      }
    } catch (error) {
      for (const { handle } of found) await handle.close();
      throw error;
    }
    return await this.#beforeNext(found, window);
  }

  async #byName(window: Window, before: FileStamp, found: readonly Candidate[]): Promise<Placed> {
    const around = {
      open: (mayBe: (each: Found) => boolean) => this.#rotated(this.#directories, mayBe),
      leftAlone,
      examine: async (opened: Opened, asked: readonly Asked[]) => await this.#examined(opened, asked),
      candidate: async (opened: Opened) => await this.#candidateBetween(opened),
      placeOf: (file: string) => this.#placeOf(file),
      names: async () => await this.#allNames(),
      isThere: async (file: string) => (await lookQuietly(file)) !== undefined,
      isUnchanged: async () =>
        isSameFile(before, (await look(this.#source))?.stamp ?? { ...before, ino: '' }),
    };
    const isUntimed = (each: Found): boolean =>
      mayBeUntimed(each, window) && this.#isToldByName(each, undefined);
    return await placeByName(around, window, found, isUntimed);
  }

  #placeOf(file: string): (TimedName & { directory: string }) | undefined {
    const timed = timedName(this.#bases, packingOf(path.basename(file)).plain);
    return timed === undefined ? undefined : { ...timed, directory: path.dirname(file) };
  }

  async #allNames(): Promise<string[]> {
    const names: string[] = [];
    for (const directory of this.#directories) names.push(...(await this.#namesIn(directory)));
    return names;
  }

  /** What stands beside the path while this file is there; undefined when it is there no longer. */
  async beside(stamp: FileStamp, isKnown: (found: Found) => boolean): Promise<Beside | undefined> {
    await this.#followLinks();
    const latest: Record<string, Record<string, string>> = {};
    let strangers = false;
    for (const directory of this.#directories) {
      const names = await this.#namesIn(directory);
      latest[directory] = latestTimes(names.flatMap((name) => this.#placeOf(name) ?? []));
      for (const name of names) {
        if (strangers || packingOf(name).packing !== undefined) continue;
        const found = await lookQuietly(name);
        strangers ||= found !== undefined && !isKnown(found);
      }
    }
    const found = await look(this.#source);
    return found !== undefined && isSameFile(found.stamp, stamp) ? { strangers, latest } : undefined;
  }

  /** Returns what may be such a generation, or the rest of a known one, and nothing tells which. */
  async #collectBetween(window: Window, found: Candidate[]): Promise<Found[]> {
    await this.#followLinks();
    const unplaced: Found[] = [];
    const { lost, finished } = window;
    const mayBe = (each: Found): boolean =>
      mayBeBetween(each, window) && this.#isToldByName(each, window.before);
    for await (const opened of this.#rotated(this.#directories, mayBe)) {
      const isPacked = packingOf(opened.found.path).packing !== undefined;
      const known = [...finished, ...lost, ...(isPacked ? found.map(seenOf) : [])];
      const is = await this.#judge(opened, known, isPacked);
      if (is === 'new') found.push(await this.#candidateBetween(opened));
      else await opened.handle.close();
      if (is === 'grown') unplaced.push(opened.found);
    }
    return unplaced;
  }

  async #judge(
    opened: Opened,
    known: readonly Seen[],
    isPacked: boolean,
  ): Promise<'empty' | ReturnType<typeof judge>> {
    if (!isPacked && opened.found.size === 0) return 'empty';
    const examined = await this.#examined(opened, known);
    const size = isPacked ? examined.size : opened.found.size;
    return size === 0 ? 'empty' : judge(size, examined.held, known, isPacked);
  }

  /** Of the copies of a truncated file: those that were made before the next generation, and that one's own. */
  async #beforeNext(copies: readonly Candidate[], { next }: Window): Promise<Between> {
    const current = await openIfThere(this.#source);
    try {
      const stamp = current && foundOf(this.#source, await current.stat({ bigint: true })).stamp;
      const isAtPath = stamp !== undefined && next !== undefined && isSameFile(stamp, next.stamp);
      let end = 0;
      let own: Candidate | undefined;
      for (const copy of copies) {
        // What the file holds now may have been copied, or be copied at this moment.
        if (current !== undefined && (await isBeginningOf(copy, current))) break;
        if (next !== undefined && (isAtPath ? await isCopiedAfter(copy, next) : isBornAfter(copy, next))) {
          if (isAtPath && next.head.length > 0 && headMatches(next.head, await firstBytes(copy.handle)))
            own = copy;
          break;
        }
        end += 1;
      }
      const candidates = copies.slice(0, end);
      for (const copy of copies.slice(end)) if (copy !== own) await copy.handle.close();
      return { candidates, own, unplaced: [] };
    } finally {
      await current?.close();
    }
  }

  async #candidateBetween(opened: Opened): Promise<Candidate> {
    const bytes = await this.#bytesOf(opened, 0);
    const { found } = opened;
    // Nobody has seen it at the path: others may have followed since it was born.
    const since = writtenBeforePacked(found) ?? BigInt(found.stamp.birth);
    return { ...bytes, head: headOf(await firstBytes(bytes.handle)), since, wasAtPath: false };
  }

  /** The known places, and where a rotation may have moved a file to. */
  async #everywhere(): Promise<ReadonlySet<string>> {
    const near: string[] = [];
    for (const directory of this.#directories) near.push(...(await nearby(directory)));
    return new Set([...this.#directories, ...near]);
  }

  #prefixes(): string[] {
    return [...new Set([...this.#bases].map((base) => rotationPrefix(base)))];
  }

  async #startingWith(directory: string, prefixes: readonly string[]): Promise<string[]> {
    const files = new Set<string>();
    for (const prefix of prefixes)
      for (const file of await this.#listings.startingWith(directory, prefix)) files.add(file);
    return [...files];
  }

  /**
   * Opens the files with rotated names that may be what is wanted, each once, as long as there are others; whoever
   * takes one closes it.
   */
  async *#rotated(
    directories: ReadonlySet<string>,
    mayBe: (found: Found) => boolean,
  ): AsyncGenerator<Opened, undefined> {
    const seen = new Set<string>();
    for (let listings = 1; listings <= MOST_LISTINGS; listings += 1) {
      const before = seen.size;
      let hasVanished = false;
      for (const directory of directories)
        for (const file of await this.#namesIn(directory)) {
          const found = await lookQuietly(file);
          if (found !== undefined && (seen.has(found.stamp.ino) || !mayBe(found))) continue;
          const opened = found === undefined ? undefined : await openQuietly(found);
          if (found !== undefined && opened !== undefined) seen.add(found.stamp.ino);
          if (opened === undefined) hasVanished = true;
          else yield opened;
        }
      // Renamed while one looked: another listing has it under its next name.
      if (seen.size === before && (!hasVanished || listings >= VANISHED_LISTINGS)) return;
    }
  }

  async #namesIn(directory: string): Promise<string[]> {
    const bases = [...this.#bases];
    const names = await this.#startingWith(directory, this.#prefixes());
    return names.filter((name) => {
      const { plain, packing } = packingOf(path.basename(name));
      return bases.some((base) => isRotationOf(base, plain) || (packing !== undefined && plain === base));
    });
  }

  /** What a file holds, unpacked from `position` on where it is compressed: then the compressed one is closed. */
  async #bytesOf(opened: Opened, position: number): Promise<Elsewhere> {
    const { handle, found } = opened;
    const { packing } = packingOf(found.path);
    if (packing === undefined) return { ...opened, size: found.size, from: 0 };
    const from = Math.max(0, position - HEAD_BYTES);
    try {
      const unpacked = await unpack(handle, packing, this.#scratch, from);
      return { handle: unpacked.handle, found, size: unpacked.size, from };
    } finally {
      await handle.close();
    }
  }
}

function unfinished({ path: file }: Found): LogferryError {
  return new LogferryError('busy', `${file} is still being written`);
}

/** How long nobody has written to it; a compressor sets the time of the original when it has finished. */
function quietOf(found: Found): number {
  const isFinished = packingOf(found.path).packing !== undefined && writtenBeforePacked(found) !== undefined;
  return isFinished ? tuning.packingMs : Math.abs(Date.now() - msOf(found.modified));
}

/** When the bytes of a compressed file were written last: compressors give it the time of the original. */
function writtenBeforePacked({ modified, stamp }: Found): bigint | undefined {
  return modified < BigInt(stamp.birth) ? modified : undefined;
}

async function beginsWith({ handle, found }: Opened, head: Head): Promise<boolean> {
  const { packing } = packingOf(found.path);
  const first =
    packing === undefined ? await firstBytes(handle) : await firstUnpacked(handle, packing, HEAD_BYTES);
  return headMatches(head, first);
}

function mayBeBetween(found: Found, { after, before, isKnown }: Window): boolean {
  const { stamp } = found;
  if (isKnown(found) || (before !== undefined && isSameFile(stamp, before))) return false;
  if (packingOf(found.path).packing !== undefined) return (writtenBeforePacked(found) ?? 0n) >= after;
  const birth = BigInt(stamp.birth) + BIRTH_LATE_NS;
  return birth >= after && (before === undefined || BigInt(stamp.birth) <= BigInt(before.birth));
}

/** Compressed since the newest that is known was seen at the path, without the time of the original. */
function mayBeUntimed(found: Found, { after, isKnown }: Window): boolean {
  const isPacked = packingOf(found.path).packing !== undefined;
  if (!isPacked || isKnown(found) || writtenBeforePacked(found) !== undefined) return false;
  return BigInt(found.stamp.birth) + BIRTH_LATE_NS >= after;
}

/** Whether a copy was made when the next generation was there already: it is that one's own, or of a later one. */
async function isCopiedAfter(
  { handle, found }: Candidate,
  next: NonNullable<Window['next']>,
): Promise<boolean> {
  const birth = BigInt(found.stamp.birth);
  if (next.head.length === 0 || birth + BIRTH_LATE_NS < next.read) return false;
  return birth > next.read + LOOK_NS || headMatches(next.head, await firstBytes(handle));
}

/** The next generation was renamed by now: what was born since it was found at the path came there after it. */
function isBornAfter({ found }: Candidate, next: NonNullable<Window['next']>): boolean {
  return BigInt(found.stamp.birth) + BIRTH_LATE_NS >= next.found;
}

/** Whether all that a copy holds is what another file begins with: the copy may still be in the making. */
async function isBeginningOf({ handle, size }: Candidate, whole: FileHandle): Promise<boolean> {
  const mine = Buffer.allocUnsafe(COMPARED_BYTES);
  const other = Buffer.allocUnsafe(COMPARED_BYTES);
  for (let at = 0; at < size;) {
    const length = Math.min(COMPARED_BYTES, size - at);
    const [read, there] = [
      await readFully(handle, mine, at, length),
      await readFully(whole, other, at, length),
    ];
    if (read !== length || there < length || mine.compare(other, 0, length, 0, length) !== 0) return false;
    at += length;
  }
  return true;
}

/** As it is when nobody can have written to it for a while; one that is written to later is busy. */
async function leftAlone({ handle, found }: Opened): Promise<Opened> {
  const quietMs = Math.abs(Date.now() - msOf(found.modified));
  if (quietMs < PACKED_QUIET_MS) await sleep(PACKED_QUIET_MS - quietMs + 1);
  return { handle, found: foundOf(found.path, await handle.stat({ bigint: true })) };
}

/** A neighbour that is not to be read is somebody else's. */
async function openQuietly(found: Found): Promise<Opened | undefined> {
  try {
    return await openStill(found);
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}

async function lookQuietly(file: string): Promise<Found | undefined> {
  try {
    return await look(file);
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}

/**
 * Birth times come in steps of a clock tick: of two born in the same one, the older was written to last earlier. A
 * compressed file was born late, and has the time at which its bytes were written.
 */
function inOrder({ found: a }: Opened, { found: b }: Opened): number {
  const byBirth = BigInt(a.stamp.birth) - BigInt(b.stamp.birth);
  const packed = [a, b].some(({ path: file }) => packingOf(file).packing !== undefined);
  const order = packed || byBirth === 0n ? a.modified - b.modified : byBirth;
  return order < 0n ? -1 : order > 0n ? 1 : 0;
}
