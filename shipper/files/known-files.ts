// Which source knows a file, whatever the file is called: a generation, a copy of one, or what is about to become one.

import { type FileStamp, hasIdentity, keyOf } from './identity.ts';

export class KnownFiles {
  /** The paths of its sources, once for each time: a file and its later generation are one inode. */
  readonly #owners = new Map<string, readonly string[]>();

  has(stamp: FileStamp): boolean {
    return this.#owners.has(keyOf(stamp));
  }

  /** The path whose file it became first. */
  ownerOf(stamp: FileStamp): string | undefined {
    return this.#owners.get(keyOf(stamp))?.[0];
  }

  isOf(stamp: FileStamp, owner: string): boolean {
    return this.#owners.get(keyOf(stamp))?.includes(owner) === true;
  }

  add(stamp: FileStamp, owner: string): void {
    if (!hasIdentity(stamp)) return;
    const key = keyOf(stamp);
    this.#owners.set(key, [...(this.#owners.get(key) ?? []), owner]);
  }

  /** Takes back one `add`. */
  remove(stamp: FileStamp, owner: string): void {
    if (!hasIdentity(stamp)) return;
    const key = keyOf(stamp);
    const owners = this.#owners.get(key) ?? [];
    const rest = owners.toSpliced(owners.lastIndexOf(owner), 1);
    if (rest.length > 0) this.#owners.set(key, rest);
    else this.#owners.delete(key);
  }
}
