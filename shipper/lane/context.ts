// What all generations of a shipper share. Types alone.

import type { Logger, Throttle } from '../../common/runtime/log.ts';
import type { CursorContext } from '../cursor/context.ts';
import type { Found } from '../files/discover.ts';
import type { HeldFiles } from '../files/held-files.ts';
import type { Listings } from '../files/listings.ts';
import type { ShipperCounts } from '../report/counts.ts';
import type { Backlog } from './backlog.ts';
import type { Host } from '../host/host.ts';
import type { Lanes } from './lanes.ts';
import type { Looks } from './looks.ts';
import type { Trails } from '../host/trails.ts';

/** What all generations of a shipper share. */
export interface ShipperContext extends CursorContext {
  readonly host: Host;
  readonly lanes: Lanes;
  readonly looks: Looks;
  readonly trails: Trails;
  readonly log: Logger;
  readonly throttle: Throttle;
  readonly counts: ShipperCounts;
  /** Whether publishing must wait: the stream is about to drop uncommitted data. */
  readonly isHeld: () => boolean;
  /** How far old bytes run ahead of the receiver. */
  readonly backlog: Backlog;
  /** Waits a little when they have run far enough; false when they may go on. */
  readonly holdBacklog: (signal: AbortSignal) => Promise<boolean>;
  /** Waits for its share of --max-rate. */
  readonly pace: (bytes: number, signal: AbortSignal) => Promise<void>;
  readonly listings: Listings;
  /** New files that are open before it is known whose they are. */
  readonly held: HeldFiles;
  /** Whether a glob names a path. */
  readonly isNamed: (file: string) => boolean;
  /** Tells the source of this path that its file is at another one now, where it may be written to. False if it is not its. */
  readonly tellOwner: (owner: string, found: Found) => Promise<boolean>;
  /** How long a rotated generation keeps its descriptor. */
  readonly rotateWaitMs: number;
  /** The path under which a file is shipped. */
  readonly nameOf: (file: string) => string;
  /** What is at a path that is shipped: undefined when there is no regular file. Says what else is there, once. */
  readonly look: (file: string) => Promise<Found | undefined>;
}
