// Files that were opened as soon as an event named them, and are nobody's yet: by the time at which it is known whose they
// are they may have been deleted. Never chooses one.

import { lstatSync, statSync } from './disk.ts';
import { systemCode } from '../../common/runtime/errors.ts';
import { type Opened, openStill } from './candidate.ts';
import { type Found, foundOf, now } from './discover.ts';
import { keyOf } from './identity.ts';
import type { KnownFiles } from './known-files.ts';
import type { OpenFiles } from './open-files.ts';

interface Held {
  /** As it was when the event came. */
  readonly found: Found;
  /** When it was seen there, in nanoseconds since 1970: it may be rotated away when somebody takes it. */
  readonly since: bigint;
  readonly opened: Promise<Opened | undefined>;
}

export class HeldFiles {
  readonly #known: KnownFiles;
  readonly #openFiles: OpenFiles;
  /** By stamp, in the order in which they came. */
  readonly #held = new Map<string, Held>();

  constructor(known: KnownFiles, openFiles: OpenFiles) {
    this.#known = known;
    this.#openFiles = openFiles;
  }

  /**
   * Opens what is at a path, unless some source knows it, or too many are open: then it is opened when its turn comes. Looks
   * at once. False when there is nothing, or nothing any more.
   */
  async hold(file: string, followSymlinks: boolean): Promise<boolean> {
    const since = now();
    const sight = sightNow(file, followSymlinks);
    if (sight === 'nothing') return false;
    if (sight === 'other' || this.#known.has(sight.stamp) || !this.#openFiles.hasRoom) return true;
    const key = keyOf(sight.stamp);
    const before = this.#held.get(key);
    if (before !== undefined) return (await before.opened) !== undefined;
    let isThere = true;
    const opened = openStill(sight).then(
      (is) => {
        isThere = is !== undefined;
        return is;
      },
      // Whoever begins it gets the error, and says it.
      () => undefined,
    );
    this.#held.set(key, { found: sight, since, opened });
    this.#openFiles.arrived(1);
    await opened;
    return isThere;
  }

  /** Those that were at a path, in the order in which they came there. */
  async at(file: string): Promise<Found[]> {
    const found: Found[] = [];
    for (const held of this.#held.values())
      if (held.found.path === file && (await held.opened) !== undefined) found.push(held.found);
    return found;
  }

  /**
   * A file that is held, as it is now, and when it was seen at its path: it belongs to whoever asks. Without a birth its number
   * may be that of a file that came elsewhere meanwhile.
   */
  async take({ stamp, path }: Found): Promise<(Opened & { readonly since: bigint }) | undefined> {
    const held = this.#held.get(keyOf(stamp));
    if (stamp.birth === '0' && held?.found.path !== path) return undefined;
    const since = held?.since;
    const opened = await this.#remove(keyOf(stamp));
    if (opened === undefined || since === undefined) return undefined;
    const { handle, found } = opened;
    return { handle, found: foundOf(found.path, await handle.stat({ bigint: true })), since };
  }

  /** Closes what nobody took of those that were at these paths, or of all. */
  async release(files?: ReadonlySet<string>): Promise<void> {
    for (const [key, { found }] of [...this.#held])
      if (files?.has(found.path) !== false) await (await this.#remove(key))?.handle.close();
  }

  async #remove(key: string): Promise<Opened | undefined> {
    const held = this.#held.get(key);
    if (held === undefined) return undefined;
    this.#held.delete(key);
    this.#openFiles.arrived(-1);
    return await held.opened;
  }
}

/** At once: a moment later it may be gone. What cannot be looked at is something, too. */
function sightNow(file: string, followSymlinks: boolean): Found | 'nothing' | 'other' {
  try {
    const own = lstatSync(file, { bigint: true, throwIfNoEntry: false });
    if (own === undefined) return 'nothing';
    const isFollowed = own.isSymbolicLink() && followSymlinks;
    const stats = isFollowed ? statSync(file, { bigint: true, throwIfNoEntry: false }) : own;
    return stats?.isFile() === true ? foundOf(file, stats) : 'other';
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return systemCode(error) === 'ENOTDIR' ? 'nothing' : 'other';
  }
}
