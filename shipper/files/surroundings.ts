// The files around a path: at it, where its links lead, beside it under the names that rotations give, and near it. Finds
// a file again by its stamp. Names shift while one looks: what counts is the file that was opened, never its name.

import path from 'node:path';

import { type FileHandle, readlink } from './disk.ts';
import { isForbidden } from '../../common/runtime/errors.ts';
import { sleep } from '../../common/runtime/run.ts';
import { candidateOf, type Candidate, inOrder, type Opened, openStill } from './candidate.ts';
import { isBeingPacked } from './contents.ts';
import { type Found, linksFrom, look } from './discover.ts';
import {
  type FileStamp,
  isRotationOf,
  isSameFile,
  type Rotation,
  rotationOf,
  rotationPrefix,
  keyOf,
} from './identity.ts';
import type { Listings } from './listings.ts';
import { nearby } from './nearby.ts';
import { type Beside, latestTimes, type TimedName, timedName } from './rotation-times.ts';
import { packingOf } from './unpack.ts';

const FIND_TRIES = 4;
const FIND_PAUSE_MS = 15;
/** A directory is read again while it has other files, and so often while names vanish from it. */
const MOST_LISTINGS = 20;
const VANISHED_LISTINGS = 3;
export class Surroundings {
  readonly #source: string;
  readonly #listings: Listings;
  /** The base names that rotated files begin with: the source's, and those of what it links to. */
  readonly #bases = new Set<string>();
  /** Where rotated files were seen: beside the source and what it links to, and where it was moved to. */
  readonly #directories = new Set<string>();

  constructor(source: string, listings: Listings) {
    this.#source = source;
    this.#listings = listings;
  }

  /** Where rotated files are known to lie. */
  get directories(): ReadonlySet<string> {
    return this.#directories;
  }

  /** Others will be there. */
  learn(directory: string): void {
    this.#directories.add(directory);
  }

  /** How its name, without what a compressor adds, is made of the path's. */
  rotationOf(file: string): readonly Rotation[] {
    const { plain } = packingOf(path.basename(file));
    return [...this.#bases].flatMap((base) => rotationOf(base, plain) ?? []);
  }

  /** A link may lead elsewhere by now: what was rotated there counts, and so does what was rotated before. */
  async followLinks(): Promise<void> {
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
    await this.followLinks();
    for (let tries = 0; tries < FIND_TRIES; tries += 1) {
      if (tries > 0) await sleep(FIND_PAUSE_MS);
      const isLast = tries === FIND_TRIES - 1;
      for (const directory of isLast ? await this.everywhere() : this.#directories)
        for (const file of await this.#namesOf(stamp, directory, isLast)) {
          const found = await lookQuietly(file);
          if (found === undefined || !isSameFile(found.stamp, stamp)) continue;
          // Its bytes are not what the file holds: whoever wants them unpacks them.
          if (file !== this.#source && packingOf(file).packing !== undefined) return undefined;
          const opened = await openStill(found);
          if (opened === undefined) continue;
          this.#directories.add(path.dirname(file));
          return opened;
        }
    }
    return undefined;
  }

  /** Those that it may have: what rotations give, or any. */
  async #namesOf(stamp: FileStamp, directory: string, isAny: boolean): Promise<readonly string[]> {
    if (!isAny) return await this.#startingWith(directory, this.#prefixes());
    return (await this.#listings.byStamp(directory)).get(keyOf(stamp)) ?? [];
  }

  /** What is at the path, and beside it under a rotated name: each file once, also when names shift meanwhile. */
  async all(): Promise<Found[]> {
    await this.followLinks();
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
    await this.followLinks();
    for (const directory of this.#directories) if ((await this.#namesIn(directory)).length > 0) return true;
    return false;
  }

  /** Rotated files that are wanted, oldest first. */
  async candidates(isWanted: (found: Found) => boolean): Promise<Candidate[]> {
    await this.followLinks();
    const candidates: Candidate[] = [];
    for await (const opened of this.rotated(this.#directories, isWanted))
      candidates.push({
        ...(await candidateOf(opened, BigInt(opened.found.stamp.birth))),
        wasAtPath: false,
      });
    return candidates.toSorted(inOrder);
  }

  /** Where its name stands among those with a time; undefined for one without. */
  placeOf(file: string): (TimedName & { directory: string }) | undefined {
    const timed = timedName(this.#bases, packingOf(path.basename(file)).plain);
    return timed === undefined ? undefined : { ...timed, directory: path.dirname(file) };
  }

  /** All rotated names, compressed and not. */
  async allNames(): Promise<string[]> {
    const names: string[] = [];
    for (const directory of this.#directories) names.push(...(await this.#namesIn(directory)));
    return names;
  }

  /** What stands beside the path while this file is there; undefined when it is there no longer. */
  async beside(stamp: FileStamp, isKnown: (found: Found) => boolean): Promise<Beside | undefined> {
    await this.followLinks();
    const latest: Record<string, Record<string, string>> = {};
    let strangers = false;
    for (const directory of this.#directories) {
      const names = await this.#namesIn(directory);
      latest[directory] = latestTimes(names.flatMap((name) => this.placeOf(name) ?? []));
      for (const name of names) {
        if (strangers || packingOf(name).packing !== undefined) continue;
        const found = await lookQuietly(name);
        strangers ||= found !== undefined && found.size > 0 && !isKnown(found);
      }
    }
    const found = await look(this.#source);
    return found !== undefined && isSameFile(found.stamp, stamp) ? { strangers, latest } : undefined;
  }

  /** The known places, and where a rotation may have moved a file to. */
  async everywhere(): Promise<ReadonlySet<string>> {
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
  async *rotated(
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
          if (found !== undefined && (seen.has(keyOf(found.stamp)) || !mayBe(found))) continue;
          if (found !== undefined && (await this.#isStillPlain(found))) continue;
          const opened = found === undefined ? undefined : await openQuietly(found);
          if (found !== undefined && opened !== undefined) seen.add(keyOf(found.stamp));
          if (opened === undefined) hasVanished = true;
          else yield opened;
        }
      // Renamed while one looked: another listing has it under its next name.
      if (seen.size === before && (!hasVanished || listings >= VANISHED_LISTINGS)) return;
    }
  }

  /** It is being compressed: till that is done the plain one counts, which is rotated too. */
  async #isStillPlain(found: Found): Promise<boolean> {
    const { plain } = packingOf(found.path);
    if (plain === found.path || plain === this.#source || !isBeingPacked(found)) return false;
    return (await lookQuietly(plain)) !== undefined;
  }

  async #namesIn(directory: string): Promise<string[]> {
    const bases = [...this.#bases];
    const names = await this.#startingWith(directory, this.#prefixes());
    return names.filter((name) => {
      const { plain, packing } = packingOf(path.basename(name));
      return bases.some((base) => isRotationOf(base, plain) || (packing !== undefined && plain === base));
    });
  }
}

/** A neighbour that is not to be read is somebody else's. */
export async function openQuietly(found: Found): Promise<Opened | undefined> {
  try {
    return await openStill(found);
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}

/** The same of one that may not be looked at. */
export async function lookQuietly(file: string): Promise<Found | undefined> {
  try {
    return await look(file);
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}
