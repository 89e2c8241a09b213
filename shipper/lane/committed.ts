// How much of one generation is committed, and since when the rest waits. Pure: the time comes as an argument.

import { Gone } from './gone.ts';
import { Uncommitted } from './progress.ts';

export class Committed {
  /** What of it is in no file any more. */
  readonly gone = new Gone();
  readonly #uncommitted = new Uncommitted();
  #offset = 0;
  #most = 0;
  /** Since when there are bytes that are not in the stream. */
  #unsentSince: number | undefined;

  get offset(): number {
    return this.#offset;
  }

  /** The most that was ever known to be committed: an older reading of the record may say less for a moment. */
  get most(): number {
    return this.#most;
  }

  /** Stream sequence of the oldest chunk that is not committed, undefined for none. */
  get oldest(): number | undefined {
    return this.#uncommitted.oldest;
  }

  /** Before anything of it is published. */
  begin(offset: number): void {
    this.#offset = offset;
    this.#most = Math.max(this.#most, offset);
    this.gone.committed(offset);
  }

  /** It may be less than before. */
  upTo(offset: number): void {
    this.begin(offset);
    this.#uncommitted.committed(offset);
  }

  /** What an earlier run has published. */
  found(end: number, seq: number, nowMs: number): void {
    this.#uncommitted.published(end, seq, nowMs);
  }

  /** The file has been looked at: whether it has bytes that are not in the stream. */
  seen(hasMore: boolean, nowMs: number): void {
    if (hasMore) this.#unsentSince ??= nowMs;
    else this.#unsentSince = undefined;
  }

  /** A chunk was acknowledged by the stream; whether the file has more. */
  published(end: number, seq: number, hasMore: boolean, nowMs: number): void {
    const since = this.#unsentSince ?? nowMs;
    this.#unsentSince = hasMore ? nowMs : undefined;
    this.#uncommitted.published(end, seq, since);
  }

  /** What lies beyond is published again. */
  rewound(): void {
    this.#unsentSince = this.#uncommitted.since ?? this.#unsentSince;
    this.#uncommitted.rewound();
  }

  /** How long the oldest byte that is not committed has been waiting; more may have come since `nowMs`. */
  lagMs(nowMs: number): number {
    const since = this.#uncommitted.since ?? this.#unsentSince;
    return since === undefined ? 0 : Math.max(0, nowMs - since);
  }
}
