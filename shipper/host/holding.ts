// Whether to hold back: the stream is about to drop what no receiver has committed. Says so when that begins and ends.

import type { Logger } from '../../common/runtime/log.ts';
import { formatBytes } from '../../common/text/units.ts';

export class Holding {
  readonly #log: Logger;
  #isHeld = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Judges by what was read just now: true when what was held back may go on. */
  judge(
    generations: Iterable<{ readonly oldestUncommitted: number | undefined }>,
    { extent, isRecordKnown }: { readonly extent: StreamExtent; readonly isRecordKnown: boolean },
  ): boolean {
    let oldest: number | undefined;
    for (const { oldestUncommitted: seq } of generations)
      if (seq !== undefined && seq >= extent.firstSeq && (oldest === undefined || seq < oldest)) oldest = seq;
    // Since the start nobody could be asked: any message may be one that only this stream has.
    if (!isRecordKnown && oldest !== undefined) oldest = extent.firstSeq;
    const wasHeld = this.#isHeld;
    this.#isHeld = shouldHoldBack(extent, oldest);
    if (this.#isHeld && !wasHeld) {
      const full = `the stream is nearly full (${formatBytes(extent.bytes)} of ${formatBytes(extent.maxBytes)})`;
      this.#log.warn(`${full} and would drop what no receiver has committed: holding back`);
    } else if (wasHeld && !this.#isHeld) this.#log.info('publishing again');
    return wasHeld && !this.#isHeld;
  }
}

/** The stream's extent and limits as they were read. */
export interface StreamExtent {
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly bytes: number;
  /** -1 for none. */
  readonly maxBytes: number;
  readonly messages: number;
  /** -1 for none. */
  readonly maxMessages: number;
}

/** A stream this full drops its oldest messages soon. */
const FULL = 0.9;
/** Within this share of its length from its beginning, a message is about to be dropped. */
const ABOUT_TO_DROP = 0.1;

/**
 * Whether to stop publishing: the stream is nearly full, and what it would drop next is mine and not committed. What
 * was dropped already does not count (it is repaired), nor does age: publishing less would not help.
 */
export function shouldHoldBack(extent: StreamExtent, oldestUncommitted: number | undefined): boolean {
  if (oldestUncommitted === undefined || oldestUncommitted < extent.firstSeq) return false;
  const full =
    (extent.maxBytes > 0 && extent.bytes >= extent.maxBytes * FULL) ||
    (extent.maxMessages > 0 && extent.messages >= extent.maxMessages * FULL);
  const length = extent.lastSeq - extent.firstSeq + 1;
  return full && oldestUncommitted - extent.firstSeq < length * ABOUT_TO_DROP;
}
