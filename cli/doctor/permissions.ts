// What a user may do, tried without doing it: each subject is published to with something that the server or JetStream
// refuses to act on, and whether it minds the subject itself is heard. Never changes anything.

import {
  connect,
  errors,
  headers,
  type MsgHdrs,
  type NatsConnection,
  type PermissionViolationError,
} from '@nats-io/transport-node';

import { type Finding, skipped, failure, ok } from './finding.ts';
import { type Look, Missing } from './look.ts';
import {
  type Permissions,
  receiverPermissions,
  shipperInItsAccount,
  shipperPermissions,
} from '../../common/fleet/permissions.ts';
import { RECEIVER_INBOX, shipperInbox, type Topology } from '../../common/wire/topology.ts';
import type { ServerOptions } from '../../common/nats/connection.ts';
import { connectionOptions } from '../../common/nats/connection-options.ts';
import { tuning } from '../../common/runtime/tuning.ts';

/** Whether this user has what a shipper needs. */
export async function mayShip(look: Look): Promise<Finding | undefined> {
  const { shipper } = look.plan;
  if (shipper === undefined) return undefined;
  const { host } = shipper;
  await look.needConnection();
  const topology = await topologyFor(look);
  const inbox = look.plan.server.inboxPrefix ?? shipperInbox(host);
  const refused = await refusedFor(look, shipperPermissions(topology, host), inbox);
  const isElsewhere = refused.length > 0 && refused.every((one) => one.includes('.STREAM.MSG.GET.'));
  const others = isElsewhere ? await refusedFor(look, shipperInItsAccount(topology, host), inbox) : refused;
  return judgePermissions(`the shipper of ${host}`, others, true);
}

/** Where nobody has said what this user is to be, that it may not is no failure. */
export async function mayReceive(look: Look): Promise<Finding | undefined> {
  const { shipper, receiver, server } = look.plan;
  if (receiver === undefined && shipper !== undefined) return undefined;
  await look.needConnection();
  const inbox = server.inboxPrefix ?? (receiver === undefined ? look.inboxPrefix : RECEIVER_INBOX);
  const refused = await refusedFor(look, receiverPermissions(await topologyFor(look)), inbox);
  return judgePermissions('a receiver', refused, receiver !== undefined);
}

/** Of the stream, or of the one that would be made. */
async function topologyFor(look: Look): Promise<Topology> {
  try {
    return (await look.needStream()).topology;
  } catch (error) {
    if (error instanceof Missing) return { ...look.plan.names, partitions: tuning.partitions };
    throw error;
  }
}

/** The inbox of whoever it would be is heard as well. */
async function refusedFor(look: Look, permissions: Permissions, inbox: string): Promise<string[]> {
  const subscribe = permissions.subscribe.map((subject) =>
    subject.startsWith('_INBOX') ? `${inbox}.>` : subject,
  );
  return await refusedOf(look.plan.server, { ...permissions, subscribe }, inbox);
}

/** @param refused subjects that this user may not use, as `publish <subject>` */
export function judgePermissions(role: string, refused: readonly string[], isWanted: boolean): Finding {
  if (refused.length === 0) return ok(`this user may be ${role}`);
  const some = `${refused.slice(0, 4).join(', ')}${refused.length > 4 ? ` and ${refused.length - 4} more` : ''}`;
  const says = `this user may not be ${role}: refused ${some}`;
  return isWanted
    ? failure(says, 'logferry permissions prints what it needs')
    : skipped(`this user may not be ${role}; as whom it may ship, --host asks`);
}

/** Stands for what a wildcard may be: no stream, no consumer, no host and no key has this name. */
const NOBODY = 'logferry-doctor';

/** Both at once are refused; and should they not be, nothing has this subject. */
const PURGES_NOTHING = JSON.stringify({ filter: `$KV.${NOBODY}.none`, seq: 1, keep: 1 });
/** No JSON: whatever would create or read something answers that it is none. */
const NOT_JSON = '{';

/** Subjects that are refused, as `publish <subject>` or `subscribe <subject>`. Throws when there is no connection. */
export async function refusedOf(
  server: ServerOptions,
  permissions: Permissions,
  inboxPrefix: string,
): Promise<string[]> {
  const nc = await connect({
    ...connectionOptions({ ...server, inboxPrefix }, 'logferry doctor'),
    reconnect: false,
    waitOnFirstConnect: false,
  });
  const violations: PermissionViolationError[] = [];
  void watch(nc, violations);
  try {
    for (const pattern of permissions.publish) probe(nc, pattern);
    for (const subject of permissions.subscribe) nc.subscribe(subject, { callback: () => {} }).unsubscribe();
    await nc.flush();
  } finally {
    await nc.close();
  }
  const patterns = new Map(permissions.publish.map((pattern) => [exampleOf(pattern), pattern]));
  return violations.map(({ operation, subject }) =>
    operation === 'publish' ? `publish ${patterns.get(subject) ?? subject}` : `subscribe ${subject}`,
  );
}

async function watch(nc: NatsConnection, violations: PermissionViolationError[]): Promise<void> {
  for await (const status of nc.status())
    if (status.type === 'error' && status.error instanceof errors.PermissionViolationError)
      violations.push(status.error);
}

function probe(nc: NatsConnection, pattern: string): void {
  const subject = exampleOf(pattern);
  const api = pattern.startsWith('$JS.API.');
  if (!api) nc.publish(subject, '', { headers: forNoStream() });
  else if (pattern.startsWith('$JS.API.STREAM.PURGE.')) nc.publish(subject, PURGES_NOTHING);
  else nc.publish(subject, NOT_JSON);
}

/** A stream takes it only if this is its name. */
function forNoStream(): MsgHdrs {
  const made = headers();
  made.set('Nats-Expected-Stream', NOBODY);
  return made;
}

function exampleOf(pattern: string): string {
  return pattern
    .split('.')
    .map((token) => (token === '*' || token === '>' ? NOBODY : token))
    .join('.');
}
