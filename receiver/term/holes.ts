// Generations that wait for missing bytes: later ones of them were processed, and not written.

import { type Hole, MAX_HOLES } from '../../common/record/record.ts';
import { fileKey, type SourceName, sourceOf } from '../../common/wire/subjects.ts';

/** Beyond so many no more are remembered, to be given up one day. */
const MOST = 100_000;

/** A file that waits: since when, and the first message that was not written for that. */
export interface Waiting {
  readonly source: SourceName;
  readonly since: number;
  readonly seq: number;
  /** Where the furthest chunk ends that was not written. */
  readonly end: number;
}

export class Holes {
  /** By fileKey. */
  readonly #waiting: Map<string, Waiting>;

  /** @param known what an earlier term has seen: counted from now on */
  constructor(known: ReadonlyMap<string, Hole>) {
    const since = performance.now();
    this.#waiting = new Map(
      [...known].map(([file, { path, seq, end }]) => {
        const { host, id } = sourceOf(file);
        return [file, { source: { host, path, file: id }, since, seq, end }];
      }),
    );
  }

  get count(): number {
    return this.#waiting.size;
  }

  /** Undefined when it does not wait. */
  of(source: SourceName): Waiting | undefined {
    return this.#waiting.get(fileKey(source.host, source.file));
  }

  /** A chunk of it that ends there was not written. */
  met(source: SourceName, seq: number, end: number): void {
    const file = fileKey(source.host, source.file);
    const known = this.#waiting.get(file);
    if (known !== undefined) this.#waiting.set(file, { ...known, end: Math.max(known.end, end) });
    else if (this.#waiting.size < MOST)
      this.#waiting.set(file, { source, since: performance.now(), seq, end });
  }

  /** It goes on, or is given up: not again for the same hole. */
  end(file: string): void {
    this.#waiting.delete(file);
  }

  /** What the stream has before this message was looked through. */
  looked({ source }: Waiting, seq: number): void {
    const file = fileKey(source.host, source.file);
    const waiting = this.#waiting.get(file);
    if (waiting !== undefined) this.#waiting.set(file, { ...waiting, seq });
  }

  /** The stream is read from its beginning again, or is another one. */
  readAgain(): void {
    for (const [file, waiting] of this.#waiting) this.#waiting.set(file, { ...waiting, seq: 1 });
  }

  /** Those whose next bytes have been missing for so long. */
  overdue(ms: number): Waiting[] {
    const before = performance.now() - ms;
    return [...this.#waiting.values()].filter(({ since }) => since <= before);
  }

  /** As the record is told: of many only the first. */
  get known(): Map<string, Hole> {
    const first = [...this.#waiting].slice(0, MAX_HOLES);
    return new Map(first.map(([file, { source, seq, end }]) => [file, { path: source.path, seq, end }]));
  }
}
