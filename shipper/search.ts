// Where the bytes of one path's generations are when they are not, or not only, in the file at the path: its rotated
// names, copies and compressed files. Looks, and opens what it found; which generation it becomes others decide.

import type { Arrivals } from './arrivals.ts';
import type { Found } from './discover.ts';
import type { Generation, ShipperContext } from './generation.ts';
import { baseOf, type FileStamp, headOf, isSameFile } from './identity.ts';
import type { Lineage } from './lineage.ts';
import {
  type Between,
  type Candidate,
  type Elsewhere,
  type Opened,
  type Seen,
  Siblings,
  type Window,
} from './siblings.ts';
import { firstBytes } from './tailer.ts';

/** For a shipper without state: what stream or record know for a file's base. */
export type Known = (base: string) => { readonly number: number; readonly path: string } | undefined;

export class Search {
  readonly #context: ShipperContext;
  readonly #siblings: Siblings;
  readonly #lineage: Lineage;
  readonly #arrivals: Arrivals;

  constructor(context: ShipperContext, path: string, lineage: Lineage, arrivals: Arrivals) {
    this.#context = context;
    this.#siblings = new Siblings(path, context.listings, context.state.location);
    this.#lineage = lineage;
    this.#arrivals = arrivals;
  }

  /** The file itself, whatever it is called now. */
  async file(stamp: FileStamp): Promise<Opened | undefined> {
    return await this.#siblings.find(stamp);
  }

  /** A file that has the bytes of a generation behind its position. Throws `busy` for one that is still being written. */
  async bytesOf(generation: Generation): Promise<Elsewhere | undefined> {
    const { entry } = generation;
    const isMine = ({ stamp }: Found): boolean =>
      isSameFile(entry, stamp) || (entry.copy !== null && isSameFile(entry.copy, stamp));
    const isOthers = (found: Found): boolean => !isMine(found) && this.#context.knownFiles.has(found.stamp);
    return await this.#siblings.findBytes(
      {
        head: entry.head,
        position: generation.position,
        isMissing: generation.position < entry.size,
        hasTail: generation.hasTail,
        isContinuedBy: async (handle) => await generation.isContinuedBy(handle),
      },
      isOthers,
    );
  }

  /** What came and went in between. */
  async between(window: Pick<Window, 'after' | 'before' | 'next'>): Promise<Between> {
    return await this.#siblings.between({
      ...window,
      isKnown: ({ stamp }) => this.#context.knownFiles.has(stamp),
      lost: this.#lineage.entries.filter(({ closed, copy }) => closed === 'truncated' && copy === null),
      finished: await this.#finished(window.before !== undefined),
    });
  }

  /** What may be compressed by now: whatever was seen, once another file is at the path. */
  async #finished(hasMoved: boolean): Promise<Seen[]> {
    const finished: Seen[] = [];
    for (const entry of this.#lineage.entries) {
      if (!hasMoved && entry.closed === null) continue;
      finished.push((await this.#lineage.generationOf(entry)?.seen()) ?? entry);
    }
    for (const { handle, head, size } of this.#arrivals.queue)
      finished.push({ head: head.length > 0 ? head : headOf(await firstBytes(handle)), size, handle });
    return finished;
  }

  /** Rotated files beside the path that stream or record know under this name, oldest first. */
  async rotatedAndKnown(name: string, known: Known): Promise<Candidate[]> {
    return await this.#siblings.rotated(({ stamp }) => {
      const of = known(baseOf(stamp) ?? '');
      return of !== undefined && (of.path === '' || of.path === name);
    });
  }

  /** Whether there is any rotated file. */
  async hasRotated(): Promise<boolean> {
    return await this.#siblings.hasRotated();
  }

  /** Where the newest file is, others may be. */
  async learnPlace(generation: Generation | undefined): Promise<void> {
    await generation?.learnPlace(this.#siblings);
  }
}
