// What a receiver shows of itself to whoever watches it: the status that it answers with, and what it has counted.

import type { ReceiverStatus } from '../../common/fleet/daemon-status.ts';
import type { ReceiverCounts } from '../term/counts.ts';
import type { ReceiverStats } from '../term/counts.ts';

export interface ReceiverReading {
  readonly stats: Readonly<ReceiverStats>;
  readonly counts: Readonly<ReceiverCounts>;
  readonly lostBytes: number;
  /** How many partitions the stream has. */
  readonly partitions: number;
  /** Central files that are open. */
  readonly openFiles: number;
  /** Generations of source files that are in memory, and how many there is room for. */
  readonly generations: { readonly count: number; readonly most: number };
  /** The disk takes what is written, as far as is known. */
  readonly hasRoom: boolean;
  /** Undefined while the receiver's name is not its own. */
  readonly status: ReceiverStatus | undefined;
}
