// --max-rate: a share of the bytes a second for all files together. It may change meanwhile.

import { sleep } from '../../common/runtime/run.ts';

/** At most so many bytes a second (undefined: no limit), with at most a second's worth at once. */
export class Pace {
  #rate: number | undefined;
  #freeAt = performance.now();
  #changed = new AbortController();

  constructor(rate: number | undefined) {
    this.#rate = rate;
  }

  /** Whoever waits waits for the rest at the new rate. */
  change(rate: number | undefined): void {
    if (rate === this.#rate) return;
    this.#rate = rate;
    // What was borrowed at the old rate is not owed at the new one.
    this.#freeAt = performance.now();
    this.#changed.abort();
    this.#changed = new AbortController();
  }

  /** Waits for its share. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    while (this.#rate !== undefined) {
      const now = performance.now();
      this.#freeAt = Math.max(this.#freeAt, now - 1_000) + (bytes / this.#rate) * 1_000;
      if (this.#freeAt <= now) return;
      const { signal: changed } = this.#changed;
      await sleep(this.#freeAt - now, AbortSignal.any([signal, changed]));
      if (!changed.aborted || signal.aborted) return;
    }
  }
}
