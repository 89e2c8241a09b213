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
