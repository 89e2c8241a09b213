// The clock by which files are told to be older or newer: one that is set back would have all that came since the last look
// be born before what is known.

import { nanosOf } from '../files/discover.ts';
import type { GenerationState } from '../files/generation-state.ts';

export class Clock {
  /** The last look, by the clock and by one that nobody sets. Before the first, what is kept may be ahead of the clock. */
  #lookedAt = { clock: Number.POSITIVE_INFINITY, steady: 0 };

  /**
   * To be called at each look. What is known began before the look before, as the clock tells it now: times that say
   * otherwise are set to that.
   *
   * @returns whether one was
   */
  setBack(entries: readonly GenerationState[]): boolean {
    const [clock, steady] = [Date.now(), performance.now()];
    const { clock: before, steady: steadyBefore } = this.#lookedAt;
    this.#lookedAt = { clock, steady };
    if (clock >= before) return false;
    const agoMs = before === Number.POSITIVE_INFINITY ? 0 : Math.ceil(steady - steadyBefore);
    const latest = nanosOf(clock - agoMs);
    let isSet = false;
    for (const entry of entries)
      for (const time of ['since', 'seen'] as const)
        if (BigInt(entry[time]) > latest) {
          entry[time] = String(latest);
          isSet = true;
        }
    return isSet;
  }
}
