// Generations that wait for missing bytes: later ones of them were processed, and not written.

import { type Hole, MAX_HOLES } from '../../common/record/record.ts';
import { fileKey, type SourceName, sourceOf } from '../../common/wire/subjects.ts';

/** Beyond so many no more are remembered by name. */
const MOST = 100_000;
/** In a record, with their names and paths: it is written with each commit, and must fit into a message. */
const MAX_HOLES_BYTES = 32 * 1024;
const HOLE_BYTES = 60;

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
  /** The first message of those that are not remembered. */
  #unnamed = Number.POSITIVE_INFINITY;

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
    else this.#unnamed = Math.min(this.#unnamed, seq);
  }

  /** It is written up to there: over when nothing of what was not written is beyond; without an offset, given up. */
  end(source: SourceName, offset = Number.POSITIVE_INFINITY): void {
    const file = fileKey(source.host, source.file);
    const waiting = this.#waiting.get(file);
    if (waiting === undefined) return;
    if (waiting.end <= offset) this.#waiting.delete(file);
    else this.#waiting.set(file, { ...waiting, since: performance.now() });
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

  /** Those whose next bytes have been missing for this time. */
  overdue(ms: number): Waiting[] {
    const before = performance.now() - ms;
    return [...this.#waiting.values()].filter(({ since }) => since <= before);
  }

  /** As the record is told: of many only the first, and the lowest sequence of the others, 0 for none. */
  get known(): { readonly holes: Map<string, Hole>; readonly unnamed: number } {
    const holes = new Map<string, Hole>();
    let [room, unnamed] = [MAX_HOLES_BYTES, Number.POSITIVE_INFINITY];
    for (const [file, { source, seq, end }] of this.#waiting) {
      room -= file.length + Buffer.byteLength(source.path) + HOLE_BYTES;
      if (room > 0 && holes.size < MAX_HOLES) holes.set(file, { path: source.path, seq, end });
      else unnamed = Math.min(unnamed, seq);
    }
    unnamed = Math.min(unnamed, this.#unnamed);
    return { holes, unnamed: Number.isFinite(unnamed) ? unnamed : 0 };
  }
}
