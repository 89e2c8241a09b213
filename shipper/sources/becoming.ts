// Whether the newest generation of a path goes on in the file that is there now: under another stamp of its own file, or in
// another file that has all of its bytes. Opens what is at the path, and nothing else.

import { type Candidate, type Elsewhere, statOf } from '../files/candidate.ts';
import { type Found, now } from '../files/discover.ts';
import { firstBytes } from '../files/fingerprint.ts';
import { headOf, isSameFile } from '../files/identity.ts';
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
    const newest = this.#newest;
    if (newest === undefined || !this.#arrivals.isEmpty) return false;
    const own = await statOf(newest.cursor.opened, this.#path);
    if (own !== undefined && isSameFile(own.stamp, found.stamp)) {
      this.#lineage.becomes(newest.entry, found.stamp);
      return true;
    }
    if (this.#context.knownFiles.has(found.stamp) || (await this.#isKept(newest))) return false;
    return await this.#goesOnIn(newest, await this.bytesAt(found, newest));
  }

  /** It came when the newest generation had arrived itself, and was not known yet: it may have all of it. */
  async goesOnWith({ handle, found, wasAtPath, shipped }: Candidate): Promise<boolean> {
    const newest = this.#newest;
    if (newest === undefined || !wasAtPath || shipped !== undefined || isSameFile(newest.entry, found.stamp))
      return false;
    if (await this.#isKept(newest)) return false;
    const is = (await statOf(handle, this.#path)) ?? found;
    return await this.#goesOnIn(newest, await goesOnIn(newest, { handle, found: is }));
  }

  /** Undefined when there is none that may go on in another file. */
  get #newest(): Generation | undefined {
    const { current, entries } = this.#lineage;
    if (current === undefined || current.closing === 'truncated') return undefined;
    return current.entry === entries.at(-1) ? current : undefined;
  }

  /** Whether its own file, or its copy, is there under a rotated name. */
  async #isKept({ entry }: Generation): Promise<boolean> {
    if (entry.copy !== null) return true;
    return (await this.#search.all()).some(({ stamp }) => isSameFile(stamp, entry));
  }

  /** @param bytes all of it, in another file; false where there is none */
  async #goesOnIn(generation: Generation, bytes: Elsewhere | undefined): Promise<boolean> {
    if (bytes === undefined) return false;
    const { entry } = generation;
    // Of one that was empty nothing else would tell where its bytes are, should it be copied before it is read.
    if (entry.head.length === 0) {
      // What was copied until now comes before it.
      entry.since = String(now());
      entry.head = headOf(await firstBytes(bytes.handle));
    }
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
    return true;
  }

  /** What was found, if it has all bytes of a generation. */
  async bytesAt(found: Found, generation: Generation): Promise<Elsewhere | undefined> {
    const opened = await openQuietly(found);
    const bytes = opened && (await goesOnIn(generation, opened));
    if (bytes === undefined) await opened?.handle.close();
    return bytes;
  }
}
