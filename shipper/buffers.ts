// A few large read buffers, used again and again: fresh ones cost page faults, and their number bounds the memory.

import { TAIL_BYTES } from '../common/chunk.ts';

/** A buffer on loan. */
export interface Slot {
  readonly buffer: Buffer;
  /** Gives it back. */
  release(): void;
  /** Gives the place back, but not the buffer: somebody may still read from it. */
  abandon(): void;
}

export class Buffers {
  /** The most source bytes a chunk may hold. */
  readonly chunkBytes: number;
  readonly #free: Buffer[] = [];
  #places: number;
  readonly #waiting: (() => void)[] = [];

  constructor(chunkBytes: number, count: number) {
    this.chunkBytes = chunkBytes;
    this.#places = count;
  }

  /** Waits for a buffer; undefined when the signal fires first. Room for a chunk and the bytes before it. */
  async take(signal: AbortSignal): Promise<Slot | undefined> {
    while (this.#places === 0) {
      if (signal.aborted) return undefined;
      const { promise, resolve } = Promise.withResolvers<void>();
      const stop = (): void => {
        resolve();
      };
      this.#waiting.push(stop);
      signal.addEventListener('abort', stop, { once: true });
      await promise;
      signal.removeEventListener('abort', stop);
    }
    this.#places -= 1;
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.chunkBytes + TAIL_BYTES);
    let lent = true;
    const giveBack = (again: boolean): void => {
      if (!lent) return;
      lent = false;
      if (again) this.#free.push(buffer);
      this.#places += 1;
      this.#waiting.shift()?.();
    };
    return {
      buffer,
      release: () => {
        giveBack(true);
      },
      abandon: () => {
        giveBack(false);
      },
    };
  }
}
