// Bytes of a generation that are in no file on the host any more: whether to wait for a receiver that has them, and what
// of them was not reported yet. Pure: the time comes as an argument.

import { type ByteRange, joinRanges, withoutRanges } from '../../common/wire/ranges.ts';
import { tuning } from '../../common/runtime/tuning.ts';

/** What is said of bytes that are gone; each byte once. */
export interface GoneReport {
  /** Committed once: a receiver has them, or says that they are lost. */
  readonly committed: readonly ByteRange[];
  /** Nobody ever had them. */
  readonly lost: readonly ByteRange[];
}

export class Gone {
  /** The most that was ever seen committed. */
  #mostCommitted = 0;
  #missedSince: number | undefined;
  #reported: readonly ByteRange[] = [];

  /** The record says that the bytes before this offset are committed. */
  committed(offset: number): void {
    this.#mostCommitted = Math.max(this.#mostCommitted, offset);
  }

  /** Whether the bytes from this offset on may be committed again in a moment. */
  isAwaited(offset: number, nowMs: number): boolean {
    if (this.#mostCommitted <= offset) return false;
    this.#missedSince ??= nowMs;
    return nowMs - this.#missedSince < tuning.knownAgainMs;
  }

  /** Bytes are missed, and waited for. */
  get isWaiting(): boolean {
    return this.#missedSince !== undefined;
  }

  /** Nothing is waited for any more: it goes on. */
  settled(): void {
    this.#missedSince = undefined;
  }

  /** The bytes [from, to) are passed over: what is to be said of it now. */
  report(from: number, to: number): GoneReport {
    const fresh = withoutRanges([[from, to]], this.#reported);
    this.#reported = joinRanges([...this.#reported, [from, to]]);
    const ever: ByteRange = [0, this.#mostCommitted];
    const lost = withoutRanges(fresh, [ever]);
    return { committed: withoutRanges(fresh, lost), lost };
  }
}
