// Commit notices, handed to the generations that they speak of.

import type { Notice } from '../host/host.ts';
import type { Generation } from './generation.ts';

export class Notices {
  readonly #generations: () => Generation[];
  /** By file id, as they were when a notice last spoke of one that is not among them. */
  #files = new Map<string, Generation>();

  constructor(generations: () => Generation[]) {
    this.#generations = generations;
  }

  /** Some generations are gone. */
  forget(): void {
    this.#files = new Map();
  }

  /** Whether it shows that something is missing: record and stream tell for certain. */
  take({ stream, files }: Notice): boolean {
    let [isFresh, isOdd] = [false, false];
    for (const [file, offset] of Object.entries(files)) {
      if (!isFresh && !this.#files.has(file)) {
        this.#files = new Map(this.#generations().map((each) => [each.entry.file, each]));
        isFresh = true;
      }
      const generation = this.#files.get(file);
      if (generation === undefined || offset === null) continue;
      if (generation.noticed(offset, stream)) isOdd = true;
    }
    return isOdd;
  }
}
