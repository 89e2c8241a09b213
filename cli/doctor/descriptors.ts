// Whether all files of a daemon can be open at a time.

import { type Finding, warning, ok } from './finding.ts';
import type { Look } from './look.ts';
import { descriptorLimit } from '../../common/runtime/descriptors.ts';
import { fleetOf } from './fleet.ts';
import { filesOf } from './files.ts';

/** Whether all files can be open at a time. */
export async function descriptors(look: Look): Promise<Finding | undefined> {
  const { shipper, receiver } = look.plan;
  if (shipper === undefined && receiver === undefined) return undefined;
  const shipped =
    shipper === undefined || shipper.sources.length === 0 ? undefined : (await filesOf(look)).files;
  let destinations: number | undefined;
  if (receiver !== undefined)
    try {
      destinations = (await fleetOf(look)).files;
    } catch {
      // How many there are the fleet would have said; the check of the fleet says why not.
      destinations = undefined;
    }
  return judgeDescriptors(descriptorLimit(), shipped, destinations);
}

/** What a daemon keeps beside its files. */
const SHIPPER_RESERVED = 96;
const RECEIVER_RESERVED = 256;

/** @param files that a shipper would keep open, undefined without one; `destinations` the same of a receiver */
export function judgeDescriptors(
  limit: number,
  files: number | undefined,
  destinations: number | undefined,
): Finding {
  const raise = 'raise it with ulimit -n, or LimitNOFILE= of the service';
  const says = `${limit === Number.POSITIVE_INFINITY ? 'any number of' : limit} descriptors for a process`;
  if (files !== undefined && files + SHIPPER_RESERVED > limit)
    return warning(
      `${says}, and ${files} files`,
      `those written to least recently are closed in turns: ${raise}`,
    );
  if (destinations !== undefined && 2 * destinations + RECEIVER_RESERVED > limit)
    return warning(
      `${says}, and ${destinations} destinations`,
      `each takes two, and is opened for each write beyond that: ${raise}`,
    );
  return ok(says);
}
