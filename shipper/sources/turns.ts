// Whose turn it is among those that begin one after the other, while some come in between and others go. Pure.

export class Turns<T> {
  readonly #all: T[] = [];
  readonly #begun = new Set<T>();

  /** Oldest first. */
  get all(): readonly T[] {
    return this.#all;
  }

  /** How many have not begun. */
  get waiting(): number {
    return this.#all.length - this.#begun.size;
  }

  /** The one that begins next. */
  get next(): T | undefined {
    return this.#all.find((each) => !this.#begun.has(each));
  }

  /** The one that began last. */
  get latest(): T | undefined {
    return this.#all.findLast((each) => this.#begun.has(each));
  }

  /** Comes before another, or as the last one. */
  insert(one: T, following: T | undefined): void {
    this.#all.splice(following === undefined ? this.#all.length : this.#all.indexOf(following), 0, one);
  }

  begin(one: T): void {
    this.#begun.add(one);
  }

  /** The one that began last waits for others, and begins again. */
  beginAgain(one: T): void {
    this.#begun.delete(one);
  }

  /**
   * It is not wanted any more. False for one that has not begun: it stays until it had its turn, for it may be having it just
   * now, or others may be about to come before it.
   */
  remove(one: T): boolean {
    if (!this.#begun.delete(one)) return false;
    this.#all.splice(this.#all.indexOf(one), 1);
    return true;
  }
}
