// Files that were written a moment ago are looked at every few milliseconds, and right before a message is sent: all of them in
// one round, with one question each.

import { systemCode } from '../../common/runtime/errors.ts';

/** What waits until there is something to do. */
export interface Looked {
  /** Whether there is; asked often, and on the spot. */
  readonly hasNews: boolean;
  /** How long from now on no look is needed; Infinity: it is woken otherwise. */
  readonly lookAgainMs: number;
  readonly wake: () => void;
}

/** The more there are, the longer from one round to the next. */
const SHORTEST_MS = 5;
const LONGEST_MS = 25;
const MS_EACH = 0.1;
/** So many questions are asked before anything else gets its turn. */
const AT_ONCE = 1_000;

export class Looks {
  readonly #dueAt = new Map<Looked, number>();
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  /** Asks it after this time, and again, until there is something; then it is woken, once. */
  add(looked: Looked, ms: number): void {
    const at = performance.now() + Math.max(0, ms);
    this.#dueAt.set(looked, at);
    this.#look(at);
  }

  remove(looked: Looked): void {
    this.#dueAt.delete(looked);
    if (this.#dueAt.size > 0) return;
    clearTimeout(this.#timer);
    this.#timerAt = Number.POSITIVE_INFINITY;
  }

  #look(at: number): void {
    if (at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(
      () => {
        this.#timerAt = Number.POSITIVE_INFINITY;
        this.#round();
      },
      Math.max(0, at - performance.now()),
    );
  }

  /** Looks now at what is due soon: what there is goes with the message that is about to be sent. */
  now(): void {
    this.#round(LONGEST_MS);
  }

  #round(early = 0): void {
    const now = performance.now();
    let next = Number.POSITIVE_INFINITY;
    let asked = 0;
    for (const [looked, dueAt] of this.#dueAt) {
      let at = dueAt;
      if (dueAt <= now + early && asked < AT_ONCE) {
        asked += 1;
        const hasNews = hasNewsNow(looked);
        at = hasNews ? Number.POSITIVE_INFINITY : now + looked.lookAgainMs;
        if (at === Number.POSITIVE_INFINITY) this.#dueAt.delete(looked);
        else this.#dueAt.set(looked, at);
        if (hasNews) looked.wake();
      }
      next = Math.min(next, at);
    }
    if (next === Number.POSITIVE_INFINITY) return;
    const pause = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, this.#dueAt.size * MS_EACH));
    this.#look(asked === AT_ONCE ? now : Math.max(next, now + pause));
  }
}

/** A file that cannot be asked is news too: its loop says what is wrong with it. */
function hasNewsNow(looked: Looked): boolean {
  try {
    return looked.hasNews;
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return true;
  }
}
