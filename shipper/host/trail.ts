// What the lanes of a host hold of one generation, as far as they were read: where a shipper that has lost its memory goes on.
// Pure.

import type { After, Chunk } from '../../common/wire/chunk.ts';

/** Source bytes that stand in one message, or in several of which each goes on where the one before ended. */
interface Stretch {
  readonly start: number;
  end: number;
  /** What stands before `end`, where the last of them was data. */
  tail: string | undefined;
  /** The stream sequence of the last of them. */
  seq: number;
  isEnd: boolean;
}

/** Where a generation has come to. */
export interface Reached {
  readonly position: number;
  readonly ended: boolean;
  /** See tailOf, at the position; undefined when it is not known. */
  readonly tail: string | undefined;
  /** The stream sequence of the message that brought it there, 0 for none. */
  readonly seq: number;
}

export class Trail {
  readonly path: string;
  /** Where the shipping of it began. */
  readonly begin: number;
  readonly after: After | undefined;
  /** The last message with bytes of it; 0 for none. */
  dataSeq = 0;
  /** When the last one was stored, in milliseconds since 1970. */
  storedAt = 0;
  readonly #stretches: Stretch[] = [];

  constructor(path: string, first: Chunk) {
    this.path = path;
    this.begin = first.begin;
    this.after = first.after;
  }

  /** The next chunk of it, in the order of the stream. */
  add(chunk: Chunk, seq: number, storedAt: number): void {
    this.storedAt = storedAt;
    if (chunk.kind === 'data') this.dataSeq = seq;
    const { start, end } = chunk;
    const [tail, isEnd] = [chunk.kind === 'data' ? chunk.tail : undefined, chunk.kind === 'end'];
    const last = this.#stretches.at(-1);
    if (last !== undefined && start === last.end && !last.isEnd)
      Object.assign(last, { end, seq, isEnd, tail: isEnd ? last.tail : tail });
    else this.#stretches.push({ start, end, tail, seq, isEnd });
  }

  /** Where its last message ends, wherever it began. */
  get last(): { readonly end: number; readonly tail: string | undefined } {
    const { end = this.begin, tail } = this.#stretches.at(-1) ?? {};
    return { end, tail };
  }

  /**
   * How far a receiver comes that has everything up to an offset, when it takes these messages in their order: what begins
   * behind the bytes that it has is not written.
   *
   * @param behind those up to this sequence are in the offset already
   */
  follow(from: Reached, behind: number): Reached {
    let reached = from;
    for (const { start, end, tail, seq, isEnd } of this.#stretches) {
      if (seq <= behind || start > reached.position || end < reached.position) continue;
      reached =
        end > reached.position
          ? { position: end, tail, seq, ended: isEnd }
          : { ...reached, seq, ended: isEnd, tail: reached.tail ?? tail };
    }
    return reached;
  }
}
