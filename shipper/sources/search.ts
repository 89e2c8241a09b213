// Where the bytes of one path's generations are when they are not, or not only, in the file at the path: its rotated
// names, copies and compressed files. Looks, and opens what it found; which generation it becomes others decide.

import type { Arrivals } from './arrivals.ts';
import type { Found } from '../files/discover.ts';
import type { ShipperContext } from '../lane/context.ts';
import type { Generation } from '../lane/generation.ts';
import {
  baseOf,
  fileIdOf,
  type FileStamp,
  headOf,
  isSameFile,
  splitFileId,
  stampOf,
} from '../files/identity.ts';
import type { Lineage } from './lineage.ts';
import type { Beside } from '../files/rotation-times.ts';
import { NO_SUMS } from '../files/sums.ts';
import type { GenerationState } from '../files/state.ts';
import { Siblings } from '../files/siblings.ts';
import { firstBytes } from '../files/fingerprint.ts';
import type { Shipped, Between, Candidate, Elsewhere, Opened, Seen, Window } from '../files/candidate.ts';

/** A birth is late by up to a clock tick. */
const TICK_NS = 10_000_000n;

/** For a shipper without state: what stream or record know for a file's base. */
export type Known = (base: string) => { readonly number: number; readonly path: string } | undefined;

export class Search {
  readonly #context: ShipperContext;
  readonly #path: string;
  readonly #siblings: Siblings;
  readonly #lineage: Lineage;
  readonly #arrivals: Arrivals;

  constructor(context: ShipperContext, path: string, lineage: Lineage, arrivals: Arrivals) {
    this.#context = context;
    this.#path = path;
    this.#siblings = new Siblings(path, context.listings, context.state.location, context.isNamed);
    this.#lineage = lineage;
    this.#arrivals = arrivals;
  }

  /** The file itself, whatever it is called now. */
  async file(stamp: FileStamp): Promise<Opened | undefined> {
    return await this.#siblings.find(stamp);
  }

  /** A file that has the bytes of a generation behind its position. Throws `busy` for one that is still being written. */
  async bytesOf(generation: Generation): Promise<Elsewhere | undefined> {
    const { entry, cursor } = generation;
    const isMine = ({ stamp }: Found): boolean =>
      isSameFile(entry, stamp) || (entry.copy !== null && isSameFile(entry.copy, stamp));
    const isOthers = (found: Found): boolean => !isMine(found) && this.#context.knownFiles.has(found.stamp);
    return await this.#siblings.findBytes(cursor.content, !cursor.isTaken, isOthers);
  }

  /** What came and went in between. */
  async between(window: Pick<Window, 'after' | 'before' | 'next' | 'beside'>): Promise<Between> {
    let shipped: Promise<Shipped[]> | undefined;
    return await this.#siblings.between({
      ...window,
      isKnown: ({ stamp }) => this.#context.knownFiles.has(stamp),
      lost: this.#lineage.entries
        .filter(({ closed, copy }) => closed === 'truncated' && copy === null)
        .map((entry) => this.#seen(entry)),
      finished: await this.#finished(window.before !== undefined),
      laterShipped: async () => await (shipped ??= this.#laterShipped()),
    });
  }

  /** What stands beside the path while this file is there; undefined when it is there no longer. */
  async beside(stamp: FileStamp): Promise<Beside | undefined> {
    return await this.#siblings.beside(stamp, (found) => this.#context.knownFiles.has(found.stamp));
  }

  /** An older state was put back: stream and record know generations that came after its newest one. */
  async #laterShipped(): Promise<Shipped[]> {
    const { host, nameOf } = this.#context;
    const newest = this.#lineage.entries.at(-1);
    if (newest === undefined) return [];
    const name = nameOf(this.#path);
    const view = await host.needView();
    const known = await host.knownGenerations(view);
    const shipped: Shipped[] = [];
    for (const [base, { number, path }] of known) {
      const file = fileIdOf(base, number);
      if (path !== '' && path !== name) continue;
      const isLater = BigInt(stampOf(file)?.birth ?? 0) + TICK_NS >= BigInt(newest.since);
      if (!isLater && base !== splitFileId(newest.file)?.base) continue;
      if (this.#lineage.entries.some((entry) => entry.file === file)) continue;
      const { chunk } = await host.lastMessage(name, file);
      const entry = view.entry(file);
      const offset = chunk?.end ?? entry?.offset ?? 0;
      const recorded = entry?.offset === offset ? (entry.tail ?? undefined) : undefined;
      if (offset > 0) shipped.push({ offset, tail: chunk?.kind === 'data' ? chunk.tail : recorded });
    }
    return shipped;
  }

  /** What may be copied or compressed by now: whatever was seen, once another file is at the path. */
  async #finished(hasMoved: boolean): Promise<Seen[]> {
    const finished: Seen[] = [];
    for (const entry of this.#lineage.entries)
      if (hasMoved || entry.closed !== null) finished.push(this.#seen(entry));
    for (const { handle, head, size } of this.#arrivals.queue) {
      const known = head.length > 0 ? head : headOf(await firstBytes(handle));
      finished.push({
        content: { head: known, sums: NO_SUMS, position: 0, tail: undefined },
        size,
        handle,
        isDone: false,
      });
    }
    return finished;
  }

  #seen(entry: GenerationState): Seen {
    const generation = this.#lineage.generationOf(entry);
    if (generation !== undefined) return generation.cursor.seen;
    const { head, sums, size } = entry;
    return { content: { head, sums, position: 0, tail: undefined }, size, isDone: entry.done };
  }

  /** Rotated files beside the path that stream or record know under this name, oldest first. */
  async rotatedAndKnown(name: string, known: Known): Promise<Candidate[]> {
    return await this.#siblings.rotated(({ stamp }) => {
      const of = known(baseOf(stamp) ?? '');
      return of !== undefined && (of.path === '' || of.path === name);
    });
  }

  /** What is at the path, and all rotated files. */
  async all(): Promise<Found[]> {
    return await this.#siblings.all();
  }

  /** Whether there is any rotated file. */
  async hasRotated(): Promise<boolean> {
    return await this.#siblings.hasRotated();
  }

  /** Where the newest file is, others may be. */
  async learnPlace(generation: Generation | undefined): Promise<void> {
    await generation?.cursor.learnPlace(this.#siblings);
  }
}
