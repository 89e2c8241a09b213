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

import { connectionOptions } from '../../common/nats/connection-options.ts';
import type { ServerOptions } from '../../common/nats/connection.ts';
import type { Permissions } from '../../common/fleet/permissions.ts';

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
