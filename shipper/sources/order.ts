// The order of one path's generations: each begins when the one before is in the stream as a whole (design §4.3), behind
// the copies of what its file held before. Never opens a file.

import type { Between, Candidate, Window } from '../files/candidate.ts';
import { nanosOf } from '../files/discover.ts';
import { isSameFile } from '../files/identity.ts';
import type { GenerationState } from '../files/generation-state.ts';
import { Bell, sleep } from '../../common/runtime/run.ts';
import type { ShipperContext } from '../lane/context.ts';
import type { Generation } from '../lane/generation.ts';
import type { Arrivals } from './arrivals.ts';
import type { Lineage } from './lineage.ts';
import type { Naming } from './naming.ts';
import type { Search } from './search.ts';

/** How often it is asked whether the next generation may begin. */
const ORDER_LOOK_MS = 20;
const RETRY_MS = 250;

/** Of one path. */
interface Parts {
  readonly lineage: Lineage;
  readonly arrivals: Arrivals;
  readonly search: Search;
  readonly naming: Naming;
}

/** What it asks of its source. */
interface Host {
  /** One look at a time. */
  readonly alone: <T>(work: () => Promise<T>) => Promise<T>;
  /** One that gave up its descriptor is opened again. */
  readonly openAgain: (generation: Generation) => Promise<void>;
  readonly warn: (error: unknown) => void;
}

export class Order {
  readonly #context: ShipperContext;
  readonly #lineage: Lineage;
  readonly #arrivals: Arrivals;
  readonly #search: Search;
  readonly #naming: Naming;
  readonly #signal: AbortSignal;
  readonly #host: Host;
  readonly #bell = new Bell();
  readonly #running = new Set<Promise<void>>();
  /** Copies that come before a generation, which waits for them. */
  #unseen: { copies: Candidate[]; next: Generation } | undefined;

  constructor(context: ShipperContext, parts: Parts, signal: AbortSignal, host: Host) {
    this.#context = context;
    this.#lineage = parts.lineage;
    this.#arrivals = parts.arrivals;
    this.#search = parts.search;
    this.#naming = parts.naming;
    this.#signal = signal;
    this.#host = host;
  }

  /** There may be another one to begin. */
  ring(): void {
    this.#bell.ring();
  }

  /** Begins one after the other until the signal fires, and all of them have stopped. */
  async run(): Promise<void> {
    while (!this.#signal.aborted)
      try {
        await this.#startNext();
      } catch (error) {
        this.#host.warn(error);
        await sleep(RETRY_MS, this.#signal);
      }
    await Promise.allSettled([...this.#running]);
  }

  async #startNext(): Promise<void> {
    const { next, latest: before } = this.#lineage;
    if (next === undefined) await this.#bell.wait(Number.POSITIVE_INFINITY, this.#signal);
    else if (before === undefined || before.isDrained) {
      // Now, while all of it is in the stream: it may have to be shipped again from the next moment on.
      const after = this.#lineage.afterFor(next);
      if (await this.#insertUnseen(next)) return;
      next.entry.after ??= after;
      await this.#context.state.save();
      this.#lineage.started(next);
      const run = next.run(this.#signal).finally(() => this.#running.delete(run));
      this.#running.add(run);
    } else {
      // A single writer has left the old file once the new one has bytes.
      await next.cursor.askSize();
      const more = this.#lineage.hasMore || !this.#arrivals.isEmpty;
      if (next.cursor.size > 0 || more || this.#context.once) {
        if (before.cursor.restedAt !== undefined && before.closing === undefined)
          await this.#host.openAgain(before);
        before.close('rotated');
      }
      await this.#bell.wait(ORDER_LOOK_MS, this.#signal);
    }
  }

  /**
   * A file may have been written to, copied and truncated between two looks: those copies come before what it holds
   * now. True when there are some: they begin first.
   */
  async #insertUnseen(next: Generation): Promise<boolean> {
    let copies = this.#unseen?.next === next ? this.#unseen.copies : [];
    this.#unseen = undefined;
    if (copies.length === 0 && next.isFresh) {
      const { candidates, own } = await this.#unseenBefore(next, undefined);
      copies = candidates;
      if (own !== undefined && next.closing === undefined) {
        next.cursor.moveTo(own);
        next.close('truncated');
      }
    }
    for (const [index, copy] of copies.entries()) {
      // Kept for the next try, if this one fails.
      this.#unseen = { copies: copies.slice(index), next };
      await this.#naming.append(copy, undefined, undefined, next);
      this.#arrivals.settled(copy);
    }
    this.#unseen = undefined;
    return copies.length > 0;
  }

  /** Asked when a file that was found empty has bytes: what it held before that was copied comes first. */
  async mayBegin(generation: Generation, readAt: number): Promise<boolean> {
    if (this.#lineage.latest !== generation) return true;
    const { candidates, own } = await this.#unseenBefore(generation, readAt);
    await own?.handle.close();
    if (candidates.length === 0) return true;
    this.#unseen = { copies: candidates, next: generation };
    this.#lineage.unstarted(generation);
    this.#bell.ring();
    return false;
  }

  /** @param readAt when its first bytes were read, where it was found without any (milliseconds since 1970) */
  async #unseenBefore(
    { entry }: Generation,
    readAt: number | undefined,
  ): Promise<Pick<Between, 'candidates' | 'own'>> {
    if (this.#naming.wasBeside(entry)) return { candidates: [], own: undefined };
    return await this.#host.alone(async () => {
      const between = await this.#search.between(this.#windowBefore(entry, readAt));
      for (const copy of between.candidates) this.#arrivals.claim(copy);
      return between;
    });
  }

  #windowBefore(
    entry: GenerationState,
    readAt: number | undefined,
  ): Pick<Window, 'after' | 'seen' | 'before' | 'next' | 'beside'> {
    const earlier = this.#lineage.before(entry);
    const truncated = earlier.findLast((each) => isSameFile(each, entry));
    const found = BigInt(entry.since);
    const read = readAt === undefined ? found : nanosOf(readAt);
    const { head, size } = entry;
    const next = {
      ...{ stamp: entry, head, size, found, read },
      // It may be found while others are looked at.
      get copied() {
        return entry.copy === null || entry.copy.birth === '0' ? undefined : BigInt(entry.copy.birth);
      },
    };
    // Of the very first file nobody can tell what it held before it was found.
    const first = earlier.length > 0 && entry.birth !== '0' ? entry.birth : entry.since;
    const after = BigInt(truncated?.since ?? first);
    const beside = truncated === undefined ? undefined : entry.beside;
    return { after, seen: 0n, before: undefined, next, beside };
  }
}
