// Whether the work of a daemon goes on: each of its loops says when it goes round, and one that has not done so for long
// is stuck. Never ends anything: whoever asks decides. Asks the clock only where the time is not given.

import { formatDuration } from '../text/units.ts';

/** A disk under load answers a sync within tens of seconds; what takes longer than this will hardly come back. */
export const STUCK_MS = 120_000;

/** One loop, while it runs. Times are in milliseconds of performance.now(). */
export interface Loop {
  /** It has gone round, or has done a part of a long round. */
  readonly beat: (nowMs?: number) => void;
  /** It has come to its end; may be called again. */
  readonly end: () => void;
}

export class Pulse {
  readonly #loops = new Map<object, { readonly what: string; at: number }>();

  /** @param what what it does, as it stands in `… has not gone on` */
  begin(what: string, nowMs = performance.now()): Loop {
    const beaten = { what, at: nowMs };
    const loop: Loop = {
      beat: (now = performance.now()) => {
        beaten.at = now;
      },
      end: () => {
        this.#loops.delete(loop);
      },
    };
    this.#loops.set(loop, beaten);
    return loop;
  }

  /**
   * One line about the loop that has been silent for longest, undefined when all go on.
   *
   * @param awayAtMs when nats-server was last away: what waits for it is not stuck
   */
  stuck(nowMs: number, awayAtMs = Number.NEGATIVE_INFINITY): string | undefined {
    let longest: { readonly what: string; readonly at: number } | undefined;
    for (const loop of this.#loops.values())
      if (longest === undefined || loop.at < longest.at) longest = loop;
    if (longest === undefined || nowMs - Math.max(longest.at, awayAtMs) < STUCK_MS) return undefined;
    return `${longest.what} has not gone on for ${formatDuration(nowMs - longest.at)}`;
  }
}
