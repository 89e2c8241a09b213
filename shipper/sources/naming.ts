// Which generation a file that has arrived is: its number, as far as the stream knows some, and its place among the others.
// Never looks for files.

import { directoryOf, type Found, nanosOf } from '../files/discover.ts';
import type { Candidate } from '../files/candidate.ts';
import { fileIdOf, NO_HEAD } from '../files/identity.ts';
import { type GenerationState, newGeneration } from '../files/generation-state.ts';
import { endOfSums } from '../files/sums.ts';
import type { ShipperContext } from '../lane/context.ts';
import { Generation, type GenerationOwner } from '../lane/generation.ts';
import type { Lineage } from './lineage.ts';
import type { Known } from './search.ts';

/** Whose files they are. */
export interface Named {
  /** The path under which they are shipped. */
  readonly name: string;
  readonly owner: GenerationOwner;
  readonly signal: AbortSignal;
}

export class Naming {
  readonly #context: ShipperContext;
  readonly #lineage: Lineage;
  readonly #named: Named;
  readonly #onInserted: () => void;
  readonly #finishElsewhere: (generation: Generation) => Promise<Found | undefined>;
  /** Generations that were found beside the path and never at it: nothing was copied from them. */
  readonly #besides = new WeakSet<GenerationState>();

  /** @param finishElsewhere ends one whose file has other bytes by now: goes on in a copy, whose file is returned */
  constructor(
    context: ShipperContext,
    lineage: Lineage,
    named: Named,
    onInserted: () => void,
    finishElsewhere: (generation: Generation) => Promise<Found | undefined>,
  ) {
    this.#context = context;
    this.#lineage = lineage;
    this.#named = named;
    this.#onInserted = onInserted;
    this.#finishElsewhere = finishElsewhere;
  }

  /** Whether it was found beside the path and never at it. */
  wasBeside(entry: GenerationState): boolean {
    return this.#besides.has(entry);
  }

  /** Chooses the generation of a file: the first number whose bytes in the stream are this file's. */
  async append(
    candidate: Candidate,
    begin: (found: Found) => number = () => 0,
    known: Known = () => undefined,
    following?: Generation,
  ): Promise<void> {
    const { path } = this.#named.owner;
    const { handle, found, head, size, since, shipped } = candidate;
    const from = shipped === undefined ? begin(found) : endOfSums(shipped);
    const directory = await directoryOf(path);
    const base = this.#lineage.baseOf(found.stamp);
    for (let number = this.#lineage.nextNumber(base, known(base)?.number ?? 0); ; number += 1) {
      const entry: GenerationState = {
        ...newGeneration(fileIdOf(base, number), found.stamp, from, size),
        ...{ since: String(since), seen: candidate.wasAtPath ? String(since) : '0', head, directory },
        ...(shipped === undefined ? {} : { sums: shipped }),
      };
      const generation = new Generation(this.#context, this.#named.name, entry, handle, this.#named.owner);
      const matches = await generation.resume(this.#named.signal);
      if (!matches && generation.cursor.position > entry.begin) {
        generation.cursor.disown();
        await this.#appendForgotten({ ...entry, head: NO_HEAD, size: 0 }, following);
        continue;
      }
      entry.beside = candidate.beside ?? null;
      this.#insert(generation, following);
      if (!candidate.wasAtPath) this.#besides.add(entry);
      this.#context.log.info(
        { path, file: entry.file, from: generation.cursor.position },
        `shipping ${path}`,
      );
      if (!matches) await this.#finishElsewhere(generation);
      return;
    }
  }

  /**
   * The stream has a generation of the file that the state does not know, and the file has other bytes by now: the
   * state was lost, or an older one was put back. It may have ended in a copy, which goes on where the stream ends.
   */
  async #appendForgotten(entry: GenerationState, following: Generation | undefined): Promise<void> {
    const generation = new Generation(this.#context, this.#named.name, entry, undefined, this.#named.owner);
    await generation.resume(this.#named.signal);
    this.#insert(generation, following);
    const copy = await this.#finishElsewhere(generation);
    // What was copied after it comes between it and the next: its own copy is older, and so is its last message.
    const { storedAt } = generation;
    if (copy !== undefined) entry.since = String(earlier(BigInt(copy.stamp.birth), copy.modified));
    else if (storedAt !== undefined) entry.since = String(nanosOf(storedAt));
  }

  #insert(generation: Generation, following: Generation | undefined): void {
    this.#lineage.insert(generation, following);
    this.#onInserted();
  }
}

function earlier(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
