// Work that must not overlap, one after the other in the order in which it was asked for.

export class Turns {
  #last: Promise<void> = Promise.resolve();

  /** Runs the work when all that was asked for before has ended, well or not. */
  async take<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = promise;
    await before;
    try {
      return await work();
    } finally {
      resolve();
    }
  }
}
