// Which of several start next, one after the other, while some come in between and others go. Pure.

export class StartOrder<T> {
  readonly #all: T[] = [];
  readonly #started = new Set<T>();

  /** Oldest first. */
  get all(): readonly T[] {
    return this.#all;
  }

  /** How many have not started. */
  get waiting(): number {
    return this.#all.length - this.#started.size;
  }

  /** The one that starts next. */
  get next(): T | undefined {
    return this.#all.find((each) => !this.#started.has(each));
  }

  /** The one that started last. */
  get latest(): T | undefined {
    return this.#all.findLast((each) => this.#started.has(each));
  }

  /** Comes before another, or as the last one. */
  insert(one: T, following: T | undefined): void {
    this.#all.splice(following === undefined ? this.#all.length : this.#all.indexOf(following), 0, one);
  }

  start(one: T): void {
    this.#started.add(one);
  }

  /** The one that started last waits for others, and starts again. */
  startAgain(one: T): void {
    this.#started.delete(one);
  }

  /**
   * It is not wanted any more. False for one that has not started: it stays until then, for it may be starting just now, or others
   * may be about to come before it.
   */
  remove(one: T): boolean {
    if (!this.#started.delete(one)) return false;
    this.#all.splice(this.#all.indexOf(one), 1);
    return true;
  }
}
