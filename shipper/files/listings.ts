// Directory listings that many files share: a directory of 50,000 files is not read 50,000 times.

import { readdir } from 'node:fs/promises';
import path from 'node:path';

import { isForbidden, systemCode } from '../../common/runtime/errors.ts';

interface Reading {
  readonly names: Promise<readonly string[]>;
  /** Whoever asks while it is being read wants a later one. */
  next: Reading | undefined;
}

/** The names in directories, as they are when somebody asks or a little later, never as they were before. */
export class Listings {
  readonly #readings = new Map<string, Reading>();

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
