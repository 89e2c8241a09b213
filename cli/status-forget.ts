// `logferry status --forget HOST`: a host that is gone for good is listed no more. Only its name goes: what it has
// shipped, and how far, stays. Never forgets one that answers.

import { Bucket } from '../common/bucket.ts';
import { LogferryError } from '../common/errors.ts';
import { answersAs, type FleetNames } from '../common/fleet.ts';
import type { Link } from '../common/nats.ts';
import { memberOfKey, membersBucket, shipperKey } from '../common/topology.ts';
import { nearest } from './nearest.ts';
import { printable } from './printable.ts';

/** How many known names an error shows. */
const SHOWN = 5;

/** Throws `failed` when there is no such host, and when it answers. */
export async function forgetHost(link: Link, names: FleetNames, host: string): Promise<void> {
  const bucket = new Bucket(link, membersBucket(names.stream));
  const keys = (await bucket.info()) === undefined ? [] : await bucket.keys('shipper.*');
  const hosts = keys.map((key) => memberOfKey(key)?.name).filter((name) => name !== undefined);
  if (!hosts.includes(host)) {
    const some = nearest(host, hosts, SHOWN).map(printable).join(', ');
    const more = hosts.length > SHOWN ? ` and ${hosts.length - SHOWN} more` : '';
    throw new LogferryError(
      'failed',
      `there is no host ${printable(host)}`,
      hosts.length === 0 ? 'no shipper has ever registered there' : `there is ${some}${more}`,
    );
  }
  if (await answersAs(link, names, host))
    throw new LogferryError('failed', `host ${printable(host)} answers`, 'stop its shipper first');
  await bucket.erase(shipperKey(host));
}
