// Whether the newest generation of a path goes on in the file that is there now: under another stamp of its own file, or in
// another file that has all of its bytes. Opens what is at the path, and nothing else.

import { type Candidate, type Elsewhere, statOf } from '../files/candidate.ts';
import type { Found } from '../files/discover.ts';
import { isSameFile } from '../files/identity.ts';
import { openQuietly } from '../files/surroundings.ts';
import type { ShipperContext } from '../lane/context.ts';
import type { Generation } from '../lane/generation.ts';
import type { Arrivals } from './arrivals.ts';
import { goesOnIn } from './continued.ts';
import { LEAST_PROOF_BYTES } from './copies.ts';
import type { Lineage } from './lineage.ts';
import type { Search } from './search.ts';

export class Becoming {
  readonly #context: ShipperContext;
  readonly #path: string;
  readonly #lineage: Lineage;
  readonly #arrivals: Arrivals;
  readonly #search: Search;
  readonly #nowhere: Set<Generation>;

  /** @param nowhere those whose file was not found: one that goes on is taken out */
  constructor(
    context: ShipperContext,
    path: string,
    parts: { readonly lineage: Lineage; readonly arrivals: Arrivals; readonly search: Search },
    nowhere: Set<Generation>,
  ) {
    this.#context = context;
    this.#path = path;
    this.#lineage = parts.lineage;
    this.#arrivals = parts.arrivals;
    this.#search = parts.search;
    this.#nowhere = nowhere;
  }

  /** The newest generation goes on in it: its file has another stamp now, or another file has all of its bytes. */
  async isStill(found: Found): Promise<boolean> {
    const { current } = this.#lineage;
    if (current === undefined || !this.#arrivals.isEmpty || current.closing === 'truncated') return false;
    if (current.entry !== this.#lineage.entries.at(-1)) return false;
    const own = await statOf(current.cursor.opened, this.#path);
    if (own !== undefined && isSameFile(own.stamp, found.stamp)) {
      this.#lineage.becomes(current.entry, found.stamp);
      return true;
    }
    if (this.#context.knownFiles.has(found.stamp)) return false;
    const { entry } = current;
    const all = await this.#search.all();
    if (entry.copy !== null || all.some(({ stamp }) => isSameFile(stamp, entry))) return false;
    const bytes = await this.bytesAt(found, current);
    if (bytes === undefined) return false;
    this.#goOnIn(current, bytes);
    return true;
  }

  /** It came when the newest generation had arrived itself, and was not known yet: it may have all of it. */
  async goesOnWith({ handle, found, wasAtPath, shipped }: Candidate): Promise<boolean> {
    const { current } = this.#lineage;
    if (!wasAtPath || shipped !== undefined || current === undefined || current.closing === 'truncated')
      return false;
    const { entry } = current;
    if (entry !== this.#lineage.entries.at(-1) || entry.copy !== null || isSameFile(entry, found.stamp))
      return false;
    const all = await this.#search.all();
    if (all.some(({ stamp }) => isSameFile(stamp, entry))) return false;
    const now = (await statOf(handle, this.#path)) ?? found;
    const bytes = await goesOnIn(current, { handle, found: now });
    if (bytes === undefined) return false;
    this.#goOnIn(current, bytes);
    return true;
  }

  #goOnIn(generation: Generation, bytes: Elsewhere): void {
    const { entry } = generation;
    this.#lineage.becomes(entry, bytes.found.stamp);
    this.#nowhere.delete(generation);
    generation.goOn();
    generation.cursor.moveTo(bytes);
    const { log, throttle } = this.#context;
    const [path, { file }, { position }] = [this.#path, entry, generation.cursor];
    if (position >= LEAST_PROOF_BYTES) log.info({ path, file }, `${path}: goes on in a new file`);
    else
      throttle.run(`goes on ${path}`, (repeated) => {
        log.warn(
          { repeated, path, file, to: position },
          `${path}: goes on in a new file, as that begins with all ${position} bytes of the old one; if it is another that begins alike, they do not come again`,
        );
      });
  }

  /** What is at the path, if it has all bytes of a generation. */
  async bytesAt(found: Found, generation: Generation): Promise<Elsewhere | undefined> {
    const opened = await openQuietly(found);
    const bytes = opened && (await goesOnIn(generation, opened));
    if (bytes === undefined) await opened?.handle.close();
    return bytes;
  }
}
