// What came of the verification of one generation. Types alone.

import type { ByteRange } from '../../common/wire/ranges.ts';
import type { Difference } from './compare.ts';
import type { Wanted } from './sides.ts';

export interface Unverified {
  readonly start: number;
  readonly end: number;
  readonly why: string;
}

/** What came of one generation. Ranges of source bytes; each byte is in one of them at most, but for `differs`. */
export interface Verified {
  readonly wanted: Wanted;
  /** The same as on the host. */
  readonly byHost: readonly ByteRange[];
  /** The host does not have them any more; the same as when they were written, by the ledger's checksum. */
  readonly byLedger: readonly ByteRange[];
  /** The host does not have them any more, and the ledger has no checksum. */
  readonly unknown: readonly ByteRange[];
  /** Retention removed them. */
  readonly removed: readonly ByteRange[];
  /** Committed, and held by nobody who answers. */
  readonly missing: readonly ByteRange[];
  readonly differs: readonly Difference[];
  readonly unverified: readonly Unverified[];
}
