// What a shipper counts from its start on, over all its files: it outlives a lost name. Only ever grows, but for what is on
// its way.

import type { EndReason } from '../../common/wire/chunk.ts';

export interface ShipperCounts {
  /** Source bytes, and the chunks that they were in, that the stream acknowledged; what is shipped again counts again. */
  publishedBytes: number;
  publishedChunks: number;
  /** Lines that ended in them; undefined where nobody wants them counted. */
  publishedLines: number | undefined;
  /** Messages that wait for the stream's acknowledgement now. */
  inFlight: number;
  /** Source bytes that became known as committed. */
  committedBytes: number;
  /** Source bytes that it has reported as gone. */
  lostBytes: number;
  /** Times that it could not tell what became of a file, and what it said last. */
  untold: number;
  lastUntold: string | undefined;
  /** Publishes that were not acknowledged in time, and those that the lane's last sequence was against. */
  unanswered: number;
  refused: number;
  /** Everything else that was tried again: files that cannot be read, refusals of the server. */
  failures: number;
  /** Times that something was shipped again because the stream had lost it, and its source bytes. */
  repairs: number;
  repairedBytes: number;
  /** Generations that were shipped to their end. */
  readonly ended: Record<EndReason, number>;
}

export function noShipperCounts(countsLines: boolean): ShipperCounts {
  return {
    publishedLines: countsLines ? 0 : undefined,
    ...{ publishedBytes: 0, publishedChunks: 0, inFlight: 0, committedBytes: 0, lostBytes: 0 },
    ...{ untold: 0, lastUntold: undefined },
    ...{ unanswered: 0, refused: 0, failures: 0, repairs: 0, repairedBytes: 0 },
    ended: { rotated: 0, truncated: 0, deleted: 0 },
  };
}
