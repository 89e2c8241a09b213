// Which destinations are open, over all partitions of a receiver: the least recently used one is closed when there are
// as many as the system lets this process have, or it is idle for long. Closing makes durable what was written.

import { descriptorLimit } from '../../common/runtime/descriptors.ts';
import { inParallel, sleep } from '../../common/runtime/run.ts';
import { tuning } from '../../common/runtime/tuning.ts';
import type { Destination } from './destination.ts';

/** Descriptors for everything else: ledgers, connections, segments that are read or compressed. */
const RESERVED = 256;
/** rotating-file-stream keeps one, we another. */
const EACH = 2;
const LEAST = 16;

/** How many destinations may be open under this process's limit of descriptors. */
export function mostOpen(): number {
  return Math.max(LEAST, Math.floor((descriptorLimit() - RESERVED) / EACH));
}

/** One that is written to has a pause between two writes. */
const BUSY_MS = 20;

/** Closed together: the file system joins syncs that wait together. */
const CLOSED_AT_ONCE = 8;
/** How often it is asked which ones are idle, and how many are closed then. */
const IDLE_LOOK_MS = 1_000;
const MOST_IDLE = 256;

export class OpenDestinations {
  readonly #most: number;
  /** Least recently used first, each with when that was, by performance.now(). */
  readonly #open = new Map<Destination, number>();
  /** Room that is given to destinations that are being opened. */
  #opening = 0;
  #closing: Promise<boolean> | undefined;
  #closed = 0;
  #idleLookAt = 0;

  constructor(most: number) {
    this.#most = most;
  }

  get count(): number {
    return this.#open.size;
  }

  /** How many were closed so far. */
  get closed(): number {
    return this.#closed;
  }

  /** Opens one more, when others were closed to make room for it. Those that are being written to now stay open. */
  async open(openOne: () => Promise<Destination>): Promise<Destination> {
    while (this.#open.size + this.#opening >= this.#most) {
      this.#closing ??= this.#closeOldest();
      if (!(await this.#closing)) break;
    }
    this.#opening += 1;
    try {
      const destination = await openOne();
      this.use(destination);
      return destination;
    } finally {
      this.#opening -= 1;
    }
  }

  /** False when there was none that could be closed. */
  async #closeOldest(): Promise<boolean> {
    const closing: Destination[] = [];
    for (const destination of this.#open.keys()) {
      if (closing.length === CLOSED_AT_ONCE) break;
      if (!destination.isBusy) closing.push(destination);
    }
    try {
      await this.#close(closing);
    } finally {
      this.#closing = undefined;
    }
    return closing.length > 0;
  }

  /** Those that are not written to just now, some at a time. */
  async #close(closing: readonly Destination[]): Promise<void> {
    await inParallel(closing, CLOSED_AT_ONCE, async (destination) => {
      if (destination.isBusy) return;
      try {
        await destination.retire();
      } finally {
        this.remove(destination);
      }
    });
  }

  /** Closes some of those that are idle for long; called often. One that is rotated by the clock waits for that. */
  async closeIdle(): Promise<void> {
    const now = performance.now();
    if (now < this.#idleLookAt) return;
    this.#idleLookAt = now + IDLE_LOOK_MS;
    const idle: Destination[] = [];
    for (const [destination, usedAt] of this.#open) {
      if (now - usedAt < tuning.idleFileMs || idle.length === MOST_IDLE) break;
      if (!destination.isBusy && destination.mayRest) idle.push(destination);
    }
    await this.#close(idle);
  }

  /** Closes all that are open now, each when nobody writes to it; they are opened again as they are to be then. */
  async renew(signal: AbortSignal): Promise<void> {
    const old = new Set(this.#open.keys());
    while (old.size > 0 && !signal.aborted) {
      for (const destination of old) {
        if (destination.isBusy && this.#open.has(destination)) continue;
        old.delete(destination);
        if (this.#open.has(destination)) await this.#close([destination]);
      }
      if (old.size > 0) await sleep(BUSY_MS, signal);
    }
  }

  /** It is used again. */
  use(destination: Destination): void {
    this.#open.delete(destination);
    this.#open.set(destination, performance.now());
  }

  /** It was closed. */
  remove(destination: Destination): void {
    if (this.#open.delete(destination)) this.#closed += 1;
  }
}
