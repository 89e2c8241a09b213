// What was published and is not committed yet. Pure.

/** Marks beyond this many are joined two by two. */
const MAX_MARKS = 2_000;

interface Mark {
  readonly end: number;
  readonly seq: number;
  readonly since: number;
}

/** Published chunks that are not committed, in bounded memory: a mark stands for one chunk or several. */
export class Uncommitted {
  /** `seq` and `since` are the first message's of a mark, `end` the last one's range end. */
  #marks: Mark[] = [];

  /** A chunk was acknowledged by the stream; its bytes have been waiting since then (a time of any clock). */
  published(end: number, seq: number, since: number): void {
    this.#marks.push({ end, seq, since });
    if (this.#marks.length <= MAX_MARKS) return;
    const joined: Mark[] = [];
    for (let index = 0; index < this.#marks.length; index += 2) {
      const first = this.#marks[index];
      const last = this.#marks[index + 1] ?? first;
      if (first !== undefined && last !== undefined) joined.push({ ...first, end: last.end });
    }
    this.#marks = joined;
  }

  committed(offset: number): void {
    let done = 0;
    while ((this.#marks[done]?.end ?? Number.POSITIVE_INFINITY) <= offset) done += 1;
    if (done > 0) this.#marks = this.#marks.slice(done);
  }

  /** After a rewind: what lies beyond is published again. */
  rewound(): void {
    this.#marks = [];
  }

  /** Since when the oldest chunk that is not committed has been waiting, undefined for none. */
  get since(): number | undefined {
    return this.#marks[0]?.since;
  }

  /** Stream sequence of the oldest chunk that is not committed, undefined for none. */
  get oldest(): number | undefined {
    return this.#marks[0]?.seq;
  }
}
