// `logferry status --forget HOST`: a host that is gone for good is listed no more. Only its name goes: what it has
// shipped, and how far, stays. Never forgets one that answers.

import { Bucket } from '../../common/nats/bucket.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import { ANSWER_MS, answersAs, type FleetNames } from '../../common/fleet/fleet.ts';
import { parseMember } from '../../common/fleet/members.ts';
import type { Link } from '../../common/nats/connection.ts';
import { memberOfKey, membersBucket, shipperKey } from '../../common/wire/topology.ts';
import { nearest } from '../../common/text/nearest.ts';
import { printable } from '../terminal/printable.ts';

/** How many known names an error shows. */
const SHOWN = 5;
/** One that is only slow must not be forgotten; who has let go of its name is not waited for. */
const LONG_MS = 3_000;

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
  const key = shipperKey(host);
  const before = await bucket.read(key);
  const waitMs = parseMember(before.data) === undefined ? ANSWER_MS : LONG_MS;
  const answers = await answersAs(link, names, host, waitMs);
  if (answers || (await bucket.read(key)).revision !== before.revision)
    throw new LogferryError('failed', `host ${printable(host)} answers`, 'stop its shipper first');
  await bucket.erase(key);
}
