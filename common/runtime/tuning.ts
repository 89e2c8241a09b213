// Numbers that a test may want otherwise: smaller ones make it cheaper or sooner, and no rule depends on them. A program
// never changes them: there is no flag, no variable and no key for them.

export interface Tuning {
  /** Partitions of a stream that is created without saying how many. */
  partitions: number;
  /**
   * How long a shipper waits, in milliseconds, for bytes that were committed once and that no record lists any more: a
   * receiver that runs sets its records again with a heartbeat, 5 s later at the default lease.
   */
  knownAgainMs: number;
  /** The longest pause, in milliseconds, between two tries to ship again from one place with nothing committed since. */
  rewindPauseMs: number;
  /** How long, in milliseconds, a compressed file that ends in the middle is waited for after its last write. */
  packingMs: number;
  /** How long, in milliseconds, an idle central file stays open. */
  idleFileMs: number;
  /** How long, in milliseconds, nothing has to be at a path before a shipper forgets what is committed of it. */
  forgetMs: number;
  /** How long, in milliseconds, a silent shipper or receiver is no risk yet. */
  silentHostMs: number;
  silentReceiverMs: number;
}

/** What counts now. */
export const tuning: Readonly<Tuning> = {
  partitions: 64,
  knownAgainMs: 20_000,
  rewindPauseMs: 30_000,
  packingMs: 60_000,
  idleFileMs: 120_000,
  forgetMs: 120_000,
  silentHostMs: 30_000,
  silentReceiverMs: 10_000,
};

/** For tests alone, before anything else runs. */
export function tune(changes: Partial<Tuning>): void {
  Object.assign(tuning, changes);
}
