// What the time of a file's last change tells: whether it was changed since it was looked into. Never looks itself.

/** A change is seen by its time only when the clock that times are taken from has moved on: a tick of 10 ms at 100 Hz. */
const TICK_MS = 10;
/** FAT counts in two seconds, others in one. */
const COARSE_TICK_MS = 2_000;

/** A change of a file. */
export interface Touch {
  /** In milliseconds since 1970. */
  readonly at: number;
  /** Any later one has a later time. */
  readonly isLast: boolean;
}

export class Touches {
  #lookedInto = 0;
  #mayFollow = false;

  /** Another change may have come in the tick of the one that was looked into last. */
  get mayFollow(): boolean {
    return this.#mayFollow;
  }

  /** All that happened up to this time of a last change (milliseconds since 1970) was looked into. */
  isKnown(at: number): boolean {
    return at === this.#lookedInto;
  }

  /** The change that was not looked into yet; undefined when there was none. */
  since(at: number, nowMs: number): Touch | undefined {
    if (this.isKnown(at)) return undefined;
    const ageMs = nowMs - at;
    const tickMs = at % 1_000 === 0 ? COARSE_TICK_MS : TICK_MS;
    // A time to come was set by hand, or is another machine's: it says nothing of ticks.
    return { at, isLast: ageMs > tickMs || ageMs < 0 };
  }

  /** What it did is known now. One that others may follow at the same time is looked into again. */
  lookedInto({ at, isLast }: Touch): void {
    if (isLast) this.#lookedInto = at;
    this.#mayFollow = !isLast;
  }
}
