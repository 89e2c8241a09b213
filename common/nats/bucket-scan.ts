// All values of a bucket in one go, with when they were set: a thousand keys cost as much as one. A picture that may be
// old by a moment: nobody sets anything by it (bucket.ts reads for that).

import { createInbox, type Msg } from '@nats-io/transport-node';

import { isStreamMissing } from './bucket.ts';
import { LogferryError } from '../runtime/errors.ts';
import { headersOf } from '../wire/headers.ts';
import type { Link } from './connection.ts';
import { Bell } from '../runtime/run.ts';
import { NANOS_PER_MS } from '../text/units.ts';

export interface ScannedValue {
  readonly key: string;
  /** Undefined for a deleted key. */
  readonly data: Uint8Array | undefined;
  readonly revision: number;
  /** When it was set, by the server's clock: milliseconds since 1970. */
  readonly setAt: number;
}

/** The server forgets the consumer by itself, should it not be told. */
const CONSUMER_IDLE_MS = 5_000;
const SILENT_MS = 3_000;
/** What is set while it is read comes too. */
const SPARE = 1_000;
/** Beyond this nothing more is taken. */
const MAX_BYTES = 256 * 1024 * 1024;

/** Keys that match the filter (NATS wildcards); none when there is no such bucket. Throws when there is no answer. */
export async function scanBucket(link: Link, bucket: string, filter: string): Promise<ScannedValue[]> {
  const stream = `KV_${bucket}`;
  const prefix = `$KV.${bucket}.`;
  const consumer = await createConsumer(link, stream, `${prefix}${filter}`);
  if (consumer === undefined) return [];
  const { name, pending } = consumer;
  try {
    const values = new Map<string, ScannedValue>();
    if (pending === 0) return [];
    for (const value of await pullAll(link, stream, name, pending)) {
      const key = value.key.slice(prefix.length);
      values.set(key, { ...value, key });
    }
    return [...values.values()];
  } finally {
    // Not waited for: it would be forgotten anyway.
    link.jsm.consumers.delete(stream, name).catch(() => {});
  }
}

async function createConsumer(
  link: Link,
  stream: string,
  filter: string,
): Promise<{ name: string; pending: number } | undefined> {
  try {
    const info = await link.ask(
      async () =>
        await link.jsm.consumers.add(stream, {
          filter_subject: filter,
          deliver_policy: 'last_per_subject',
          ack_policy: 'none',
          inactive_threshold: CONSUMER_IDLE_MS * NANOS_PER_MS,
          num_replicas: 1,
          mem_storage: true,
        }),
    );
    return { name: info.name, pending: info.num_pending };
  } catch (error) {
    if (isStreamMissing(error)) return undefined;
    throw error;
  }
}

/** Until the server says that nothing is left. Throws `unreachable` when it says nothing any more. */
async function pullAll(link: Link, stream: string, name: string, pending: number): Promise<ScannedValue[]> {
  const inbox = createInbox(link.inboxPrefix);
  const values: ScannedValue[] = [];
  const bell = new Bell();
  let isDone = false;
  let failure: Error | undefined;
  let bytes = 0;
  const take = (message: Msg): void => {
    const place = placeOf(message.reply ?? '');
    // A status: nothing is left, or the server cannot go on.
    if (place === undefined) isDone = true;
    else {
      const { revision, setAt, left } = place;
      const isDeleted = (headersOf(message)?.get('KV-Operation') ?? '') !== '';
      const data = isDeleted ? undefined : message.data;
      values.push({ key: message.subject, data, revision, setAt });
      bytes += message.data.length;
      isDone ||= left === 0 || bytes > MAX_BYTES;
    }
  };
  const subscription = link.nc.subscribe(inbox, {
    callback: (error, message) => {
      if (error === null) take(message);
      else failure = error;
      bell.ring();
    },
  });
  try {
    const request = { batch: 2 * pending + SPARE, no_wait: true };
    link.nc.publish(`${link.js.apiPrefix}.CONSUMER.MSG.NEXT.${stream}.${name}`, JSON.stringify(request), {
      reply: inbox,
    });
    while (!isDone) {
      const before = values.length;
      await bell.wait(SILENT_MS);
      if (failure !== undefined) throw failure;
      if (!isDone && values.length === before)
        throw new LogferryError('unreachable', `bucket ${stream.slice(3)} cannot be read: no answer`);
    }
    return values;
  } finally {
    subscription.unsubscribe();
  }
}

/** What an acknowledgement subject says of its message (ADR-15); undefined for a status. */
function placeOf(reply: string): { revision: number; setAt: number; left: number } | undefined {
  const tokens = reply.split('.');
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK' || tokens.length < 9) return undefined;
  const from = tokens.length >= 11 ? 7 : 5;
  const [revision, , nanos, left] = tokens.slice(from, from + 4).map(Number);
  if (revision === undefined || nanos === undefined || left === undefined) return undefined;
  return { revision, setAt: nanos / NANOS_PER_MS, left };
}
