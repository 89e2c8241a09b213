// When a generation must be shipped again from its committed offset (design §4.7). Pure. Nothing is believed but what
// the stream and the record say now: an acknowledged message can be gone, and a committed offset can go back.

import { tuning } from '../../common/runtime/tuning.ts';

/** What a generation's publisher knows of itself. */
export interface Published {
  /** End of the last chunk that the stream acknowledged. */
  readonly position: number;
  /** Whether its end marker was acknowledged. */
  readonly ended: boolean;
  /** Stream sequence of its last message, 0 for none. */
  readonly lastSeq: number;
  /** Creation of the stream that acknowledged it. */
  readonly created: string;
  readonly begin: number;
  /** How long nothing of this generation has been published. */
  readonly quietMs: number;
}

/** The record and the stream as they were read; an old answer only delays. */
export interface Observed {
  /** The file's offset in the record, undefined when the record does not know it. */
  readonly offset: number | undefined;
  /** How far the record's owner has processed which stream; undefined when there is no record. */
  readonly processed: { readonly created: string; readonly seq: number } | undefined;
  readonly stream: { readonly created: string; readonly lastSeq: number };
}

export type Repair =
  | { readonly kind: 'none' }
  /** Ship again from `to`. `isLost`: the message that was the last one is not in the stream any more. */
  | { readonly kind: 'rewind'; readonly to: number; readonly isLost: boolean; readonly reason: string }
  /** Nothing to ship, but what was remembered of the old stream counts no more. */
  | { readonly kind: 'forget' }
  /** Look whether the stream still has the last message, then ask afterLook. */
  | { readonly kind: 'look' };

/** Uncommitted for this long without a sign: look whether the stream still has the message (design §4.7). */
export const STALLED_MS = 5_000;

export function committedOffset(state: { begin: number }, observed: Observed): number {
  return observed.offset ?? state.begin;
}

/** Whether all that was published then was processed, and less of it is committed: a receiver did not have what came before. */
export function isMissing(
  { created, lastSeq, position }: Pick<Published, 'created' | 'lastSeq' | 'position'>,
  committed: number,
  processed: Observed['processed'],
): boolean {
  return processed?.created === created && processed.seq >= lastSeq && committed < position;
}

/**
 * Whether published bytes must be shipped again.
 *
 * @param earlier the same generation at an earlier look, when nothing was shipped again since: the last message of a file
 *   that is written to all the time has never been processed
 */
export function decideRepair(state: Published, observed: Observed, earlier = state): Repair {
  const committed = committedOffset(state, observed);
  const { stream, processed } = observed;
  if (stream.created !== state.created) {
    if (committed >= state.position && state.ended) return { kind: 'forget' };
    return { kind: 'rewind', to: committed, isLost: true, reason: 'the stream was recreated' };
  }
  if (stream.lastSeq < state.lastSeq)
    return { kind: 'rewind', to: committed, isLost: true, reason: 'the stream lost its last messages' };
  if (committed >= state.position) return { kind: 'none' };
  for (const each of [state, earlier])
    if (each.created === state.created && isMissing(each, committed, processed))
      return { kind: 'rewind', to: committed, isLost: false, reason: 'bytes were missing at the receiver' };
  return state.quietMs >= STALLED_MS ? { kind: 'look' } : { kind: 'none' };
}

/**
 * It was looked for.
 *
 * @param isThere the stream still has the last message
 * @param isAtRest at an edge: everything that the local stream holds was forwarded, and what came of this host was processed
 */
export function afterLook(state: Published, observed: Observed, isThere: boolean, isAtRest: boolean): Repair {
  const to = committedOffset(state, observed);
  if (!isThere)
    return { kind: 'rewind', to, isLost: true, reason: 'the stream no longer has the last message' };
  if (isAtRest)
    return {
      kind: 'rewind',
      to,
      isLost: false,
      reason: 'it was lost on the way to the central side, or there',
    };
  return { kind: 'none' };
}

/** So often it is shipped again from one place at once. */
const AT_ONCE = 3;
const FIRST_PAUSE_MS = 1_000;

/**
 * Shipping again from where it was shipped again before, with nothing committed since, helps less and less: a receiver
 * that cannot write it would get nothing else, and the stream would be full of it.
 */
export class Rewinds {
  #to = -1;
  #count = 0;
  #next = 0;

  /** Whether to do it now; otherwise it is decided anew at the next look. */
  isDue(to: number, nowMs: number): boolean {
    if (to !== this.#to) [this.#to, this.#count, this.#next] = [to, 0, 0];
    if (nowMs < this.#next) return false;
    this.#count += 1;
    const pauseMs = FIRST_PAUSE_MS * 2 ** (this.#count - AT_ONCE);
    if (this.#count >= AT_ONCE) this.#next = nowMs + Math.min(pauseMs, tuning.rewindPauseMs);
    return true;
  }
}
