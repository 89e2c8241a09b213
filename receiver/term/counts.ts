// What a receiver counts from its start on beside its bytes and messages (ReceiverStats): it outlives a lost name. Only
// ever grows.

export interface ReceiverCounts {
  /** Partitions that it took, and those that it let go because it could not go on with them. */
  terms: number;
  termsLost: number;
  /** Commits that failed, of the disk or of the record. */
  commitFailures: number;
  /** Times that a partition was begun again: nats-server did not answer, or the disk did not take what was written. */
  unanswered: number;
  diskFailures: number;
  /** Central files that became segments. */
  rotations: number;
}

export function noReceiverCounts(): ReceiverCounts {
  return { terms: 0, termsLost: 0, commitFailures: 0, unanswered: 0, diskFailures: 0, rotations: 0 };
}

/** Counters of one receiver, for status and progress. */
export interface ReceiverStats {
  bytes: number;
  /** Chunks that the bytes were in. */
  chunks: number;
  /** Lines that ended in them; undefined where nobody wants them counted. */
  lines?: number;
  duplicates: number;
  missing: number;
  foreign: number;
}

export function noReceiverStats(countsLines = false): ReceiverStats {
  return { ...(countsLines ? { lines: 0 } : {}), bytes: 0, chunks: 0, duplicates: 0, missing: 0, foreign: 0 };
}
