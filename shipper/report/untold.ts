// What a shipper cannot tell of a file is said at level error, and counted for `status`: it is data at risk.

import type { Logger } from '../../common/runtime/log.ts';
import type { ShipperCounts } from './counts.ts';

/** Of which file, its generation where that is known, and which bytes. */
export interface About {
  readonly path: string;
  readonly file?: string;
  readonly from?: number;
  readonly to?: number;
}

export function sayUntold(
  { log, counts }: { readonly log: Logger; readonly counts: ShipperCounts },
  about: About,
  text: string,
): void {
  log.error(about, text);
  counts.untold += 1;
  counts.lastUntold = text;
}
