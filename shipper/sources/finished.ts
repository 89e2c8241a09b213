// Where the files of finished generations are: one that still has a name may be written to, for however long it is there.
// Asks for their sizes, and opens none.

import { type FileHandle, readlinkSync } from '../files/disk.ts';
import { type Found, lookNow } from '../files/discover.ts';
import { isSameFile, keyOf } from '../files/identity.ts';
import type { GenerationState } from '../files/generation-state.ts';

export class Finished {
  /** Null for a file that has no name here any more. */
  readonly #places = new WeakMap<GenerationState, string | null>();

  /** Its file is about to be closed: where that is now, also under a name that no rotation gives, it is looked for first. */
  closing(entry: GenerationState, handle: FileHandle): void {
    try {
      const name = readlinkSync(`/proc/self/fd/${handle.fd}`);
      this.#places.set(entry, name.endsWith(' (deleted)') ? null : name);
    } catch {
      // No /proc: it is found beside the path, if it is there.
    }
  }

  /** Whether it is finished, and its file, where it still has a name, has nothing more. */
  isLeft(entry: GenerationState): boolean {
    if (!entry.done) return false;
    const place = this.#places.get(entry);
    // Truncated, the file is a later generation's.
    if (place === undefined) return entry.closed === 'truncated';
    return place === null || this.#at(entry, place)?.size === entry.size;
  }

  /** Its file, if it is still there. */
  #at(entry: GenerationState, place: string | null | undefined): Found | undefined {
    const found = place === null || place === undefined ? undefined : lookNow(place);
    return found !== undefined && isSameFile(entry, found.stamp) ? found : undefined;
  }

  /** Whether it is finished, and nothing here has its file, or nothing of its own is in it. */
  isGone(entry: GenerationState): boolean {
    return entry.done && (this.#places.get(entry) === null || entry.closed === 'truncated');
  }

  /**
   * Those whose files have grown, with their sizes.
   *
   * @param entries of one path, oldest first
   * @param current the one that is being read
   * @param all what is at the path and beside it; asked only when a file is not where it was
   */
  async grown(
    entries: readonly GenerationState[],
    current: GenerationState | undefined,
    all: () => Promise<readonly Found[]>,
  ): Promise<[GenerationState, number][]> {
    const finished = entries.filter((entry) => entry.done && entry !== current);
    if (finished.every((entry) => this.isLeft(entry))) return [];
    const there = new Map<string, Found>();
    for (const found of await all()) there.set(keyOf(found.stamp), found);
    const grown: [GenerationState, number][] = [];
    for (const entry of finished) {
      const isNewest = entries.findLast((each) => isSameFile(each, entry)) === entry;
      const its = this.#at(entry, this.#places.get(entry)) ?? there.get(keyOf(entry));
      const found = isNewest && entry.closed !== 'truncated' ? its : undefined;
      this.#places.set(entry, found?.path ?? null);
      if (found !== undefined && found.size > entry.size) grown.push([entry, found.size]);
    }
    return grown;
  }
}
