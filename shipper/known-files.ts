// Which files are some source's already, whatever they are called: asked for each name that a glob gives.

import type { FileStamp } from './identity.ts';

export class KnownFiles {
  /** How often each is known: a file and its later generation are one inode. */
  readonly #counts = new Map<string, number>();

  has(stamp: FileStamp): boolean {
    return this.#counts.has(keyOf(stamp));
  }

  add(stamp: FileStamp): void {
    const key = keyOf(stamp);
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  remove(stamp: FileStamp): void {
    const key = keyOf(stamp);
    const count = (this.#counts.get(key) ?? 0) - 1;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }
}

function keyOf({ ino, birth }: FileStamp): string {
  return `${ino}-${birth}`;
}
