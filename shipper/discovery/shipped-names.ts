// Whose path is shipped under which name, and where the links of each path lead: two files never arrive as one, and one
// with two names arrives once. Never opens a file.

import { linksFrom } from '../files/discover.ts';

export class Names {
  /** The path that is shipped, by where its links led when it was begun. */
  readonly ends = new Map<string, string>();
  readonly #endOf = new Map<string, string>();
  /** Whose path is shipped under a name. */
  readonly #named = new Map<string, string>();

  /** The other path that is shipped under this name, if there is one; else it is this one's. */
  take(name: string, file: string): string | undefined {
    const other = this.#named.get(name);
    if (other !== undefined && other !== file) return other;
    this.#named.set(name, file);
    return undefined;
  }

  /** Gives back the name of a path that is not shipped. */
  giveBack(name: string, file: string): void {
    if (this.#named.get(name) === file) this.#named.delete(name);
  }

  /** Notes where its links lead, when it is begun. */
  async begun(file: string): Promise<void> {
    const end = endOf(await linksFrom(file));
    this.ends.set(end, file);
    this.#endOf.set(file, end);
  }

  /** The path that was begun, and led to where the links of this one lead; undefined when it leads elsewhere by now. */
  async sameAs(file: string): Promise<string | undefined> {
    const end = endOf(await linksFrom(file));
    const shipped = this.ends.get(end);
    if (shipped === undefined) return undefined;
    return endOf(await linksFrom(shipped)) === end ? shipped : undefined;
  }

  /** Of paths that are shipped no longer. */
  keep(isShipped: (file: string) => boolean): void {
    for (const [name, file] of this.#named) if (!isShipped(file)) this.#named.delete(name);
  }

  forget(name: string, file: string): void {
    this.giveBack(name, file);
    const end = this.#endOf.get(file);
    this.#endOf.delete(file);
    if (end !== undefined && this.ends.get(end) === file) this.ends.delete(end);
  }
}

function endOf(links: readonly string[]): string {
  return links.at(-1) ?? '';
}
