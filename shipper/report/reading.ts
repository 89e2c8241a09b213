// What a shipper shows of itself to whoever watches it: the status that it answers with, and what it has counted.

import type { ShipperStatus } from '../../common/fleet/daemon-status.ts';
import type { ShipperCounts } from './counts.ts';

export interface ShipperReading {
  readonly counts: Readonly<ShipperCounts>;
  /** Undefined while the host's name is not its own. */
  readonly now: ShipperNow | undefined;
}

/** What there is under the host's name. */
export interface ShipperNow {
  readonly status: ShipperStatus;
  /** Source files that have a descriptor. */
  readonly openFiles: number;
  /** Paths that should be shipped and cannot be read. */
  readonly unreadableFiles: number;
}

/** Bytes over all files. */
export interface ShipProgress {
  readonly files: number;
  readonly size: number;
  readonly published: number;
  readonly committed: number;
  /** The same for each generation of each file. */
  readonly each: () => readonly FileProgress[];
}

/** Where one generation of a source file is. */
export interface FileProgress {
  readonly path: string;
  /** Its file id. */
  readonly file: string;
  /** Bytes: as last seen, in the stream, on a receiver's disk. */
  readonly size: number;
  readonly published: number;
  readonly committed: number;
  /** How much is not committed, and how long the oldest of it has been waiting here. */
  readonly lagBytes: number;
  readonly lagMs: number;
  /** What went wrong last, until something works. */
  readonly error: string | undefined;
}
