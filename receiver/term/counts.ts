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
