// Files that came and went before they could be opened. All that is known of them is what events told: that something has
// happened to a name, and whether anything was there by then.

import type { Logger } from '../../common/runtime/log.ts';

const SAY_EVERY_MS = 60_000;
/** Names that are remembered. */
const MOST_NAMES = 10_000;

export class Unopened {
  readonly #log: Logger;
  /** Names that have gone: what is told of one next is that something came. */
  readonly #gone = new Set<string>();
  /** Since it was said last. */
  #count = 0;
  #one = '';
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * Something happened to a name, and nothing is there: it has gone; or, where it had gone already, it came and has gone
   * again, of which another event tells.
   *
   * @param isOther asked whether it may be a file that is known, under a name that it has for a moment
   */
  nothingAt(file: string, isOther: () => boolean): void {
    if (!this.#gone.delete(file)) {
      if (this.#gone.size >= MOST_NAMES) this.#gone.clear();
      this.#gone.add(file);
    } else if (!isOther()) this.count(file);
  }

  somethingAt(file: string): void {
    this.#gone.delete(file);
  }

  /** It was there, and could not be opened before it went. */
  count(file: string): void {
    this.#count += 1;
    this.#one = file;
  }

  /** Once a minute, or because everything ends. */
  say(isLast: boolean, nowMs = performance.now()): void {
    if (this.#count === 0 || (!isLast && nowMs - this.#saidAt < SAY_EVERY_MS)) return;
    this.#saidAt = nowMs;
    const count = this.#count;
    this.#count = 0;
    this.#log.warn(
      { path: this.#one },
      `${count} ${count === 1 ? 'file' : 'files'} came and went before they could be opened (${this.#one} for one): what was in them is not shipped; a file that stays for a second is, and what nobody wants is left out with --exclude`,
    );
  }
}
