// `logferry status --forget NAME`: a host or a receiver that is gone for good is listed no more. Only its name goes: what a
// host has shipped, and how far, stays, and so does what a receiver has written. Never forgets one that answers.

import { Bucket } from '../../common/nats/bucket.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import { ANSWER_MS, answersAs, type FleetNames } from '../../common/fleet/fleet.ts';
import { parseMember } from '../../common/fleet/members.ts';
import type { Link } from '../../common/nats/connection.ts';
import { memberOfKey, membersBucket, receiverKey, shipperKey } from '../../common/wire/topology.ts';
import { nearest } from '../../common/text/nearest.ts';
import { printable } from '../terminal/printable.ts';

/** How many known names an error shows. */
const SHOWN = 5;
/** One that is only slow must not be forgotten; who has let go of its name is not waited for. */
const LONG_MS = 3_000;

/** Which kind it was; of a host and a receiver of the same name, the host. Throws `failed` when there is neither, and when it answers. */
export async function forgetMember(
  link: Link,
  names: FleetNames,
  name: string,
): Promise<'host' | 'receiver'> {
  const bucket = new Bucket(link, membersBucket(names.stream));
  const keys = (await bucket.info()) === undefined ? [] : await bucket.keys('>');
  const members = keys.map(memberOfKey).filter((member) => member !== undefined);
  const isThere = (one: string): boolean =>
    members.some((member) => member.kind === one && member.name === name);
  const kind = (['shipper', 'receiver'] as const).find(isThere);
  if (kind === undefined) throw unknown(name, members);
  const [key, what, hint] =
    kind === 'shipper'
      ? ([shipperKey(name), 'host', 'stop its shipper first'] as const)
      : ([receiverKey(name), 'receiver', 'stop it first'] as const);
  const before = await bucket.read(key);
  const waitMs = parseMember(before.data) === undefined ? ANSWER_MS : LONG_MS;
  const answers = await answersAs(link, names, kind, name, waitMs);
  if (answers || (await bucket.read(key)).revision !== before.revision)
    throw new LogferryError('failed', `${what} ${printable(name)} answers`, hint);
  await bucket.erase(key);
  return what;
}

function unknown(name: string, members: readonly { kind: string; name: string }[]): LogferryError {
  const known = [...new Set(members.map((member) => member.name))];
  const some = nearest(name, known, SHOWN).map(printable).join(', ');
  const more = known.length > SHOWN ? ` and ${known.length - SHOWN} more` : '';
  return new LogferryError(
    'failed',
    `there is no host and no receiver ${printable(name)}`,
    known.length === 0 ? 'nobody has ever registered there' : `there is ${some}${more}`,
  );
}
