// A value that may become another while it is used. Never says who changes it.

export class Changing<T> {
  #value: T;
  readonly #listeners = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  change(value: T): void {
    this.#value = value;
    for (const listener of this.#listeners) listener();
  }

  /** Calls back after each change, until the function that it returns is called. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}
