// Which bytes of one generation there are: ranges that grow as messages are looked at, in any order. Pure.

export class Coverage {
  /** In order, none touching the next. */
  #ranges: [start: number, end: number][] = [];

  get isEmpty(): boolean {
    return this.#ranges.length === 0;
  }

  /** Nothing changes for an empty range. */
  add(start: number, end: number): void {
    if (start >= end) return;
    const last = this.#ranges.at(-1);
    if (last === undefined || start > last[1]) {
      this.#ranges.push([start, end]);
      return;
    }
    // Mostly it goes on where the last one ends.
    if (start >= last[0]) {
      last[1] = Math.max(last[1], end);
      return;
    }
    const before = this.#ranges.filter((range) => range[1] < start);
    const behind = this.#ranges.filter((range) => range[0] > end);
    const joined = this.#ranges.slice(before.length, this.#ranges.length - behind.length);
    const first = Math.min(start, joined[0]?.[0] ?? start);
    const furthest = Math.max(end, joined.at(-1)?.[1] ?? end);
    this.#ranges = [...before, [first, furthest], ...behind];
  }

  /** Whether the byte at this offset is there. */
  has(offset: number): boolean {
    return this.#ranges.some(([start, end]) => start <= offset && offset < end);
  }

  /** Where the next range behind a byte that is not there begins; undefined when nothing comes. */
  next(offset: number): number | undefined {
    return this.#ranges.find(([start]) => start > offset)?.[0];
  }
}
