// Directory listings that many files share: a directory of 50,000 files is not read 50,000 times.

import { readdir } from './disk.ts';
import { keyOf } from './identity.ts';
import path from 'node:path';

import { isForbidden, systemCode } from '../../common/runtime/errors.ts';
import { inParallel } from '../../common/runtime/run.ts';
import { look } from './discover.ts';

const STAMPS_MS = 1_000;
const LOOKS_AT_ONCE = 16;

interface Reading {
  readonly names: Promise<readonly string[]>;
  /** Whoever asks while it is being read wants a later one. */
  next: Reading | undefined;
}

/** The names in directories, as they are when somebody asks or a little later, never as they were before. */
export class Listings {
  readonly #readings = new Map<string, Reading>();
  readonly #stamps = new Map<
    string,
    { readonly at: number; readonly stamps: Promise<ReadonlyMap<string, readonly string[]>> }
  >();

  /** The paths of what is in a directory and has a name with this beginning. None when it is not there or forbidden. */
  async startingWith(directory: string, beginning: string): Promise<string[]> {
    const names = await this.#read(directory);
    const paths: string[] = [];
    for (let index = firstFrom(names, beginning); index < names.length; index += 1) {
      const name = names[index] ?? '';
      if (!name.startsWith(beginning)) break;
      paths.push(path.join(directory, name));
    }
    return paths;
  }

  /**
   * The paths of the regular files in a directory by their stamps (see keyOf), as they were at most a moment ago: of many
   * files that are looked for at once each entry is looked at once.
   */
  async byStamp(directory: string): Promise<ReadonlyMap<string, readonly string[]>> {
    const known = this.#stamps.get(directory);
    if (known !== undefined && performance.now() - known.at < STAMPS_MS) return await known.stamps;
    const stamps = this.#stampsIn(directory);
    this.#stamps.set(directory, { at: performance.now(), stamps });
    const forget = setTimeout(() => this.#stamps.delete(directory), 2 * STAMPS_MS);
    forget.unref();
    return await stamps;
  }

  async #stampsIn(directory: string): Promise<ReadonlyMap<string, readonly string[]>> {
    const stamps = new Map<string, string[]>();
    const names = await this.startingWith(directory, '');
    await inParallel(names, LOOKS_AT_ONCE, async (file) => {
      const found = await look(file).catch(() => undefined);
      if (found === undefined) return;
      const key = keyOf(found.stamp);
      stamps.set(key, [...(stamps.get(key) ?? []), file]);
    });
    return stamps;
  }

  async #read(directory: string): Promise<readonly string[]> {
    const now = this.#readings.get(directory);
    const reading =
      now === undefined
        ? { names: this.#sorted(directory), next: undefined }
        : (now.next ??= { names: this.#after(now, directory), next: undefined });
    if (now === undefined) this.#readings.set(directory, reading);
    try {
      return await reading.names;
    } finally {
      if (this.#readings.get(directory) === reading) this.#forget(directory, reading);
    }
  }

  async #after({ names }: Reading, directory: string): Promise<readonly string[]> {
    await Promise.allSettled([names]);
    return await this.#sorted(directory);
  }

  /** This one is read: the one after it is being read now, if anybody wants it. */
  #forget(directory: string, { next }: Reading): void {
    if (next === undefined) this.#readings.delete(directory);
    else this.#readings.set(directory, next);
  }

  async #sorted(directory: string): Promise<readonly string[]> {
    try {
      return (await readdir(directory)).toSorted(byCodeUnits);
    } catch (error) {
      if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR' || isForbidden(error)) return [];
      throw error;
    }
  }
}

/** The index of the first name that is not before `beginning`. */
function firstFrom(names: readonly string[], beginning: string): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((names[middle] ?? '') < beginning) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** As firstFrom compares. */
function byCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
