// The newest message of a subject: from the stream's leader, where this user may ask it; otherwise by the subject alone,
// which permissions can bound. What a replica then says may be old, so nothing may be decided on it but what a
// compare-and-set, or the fence of a publish, decides again.

import type { StoredMsg } from '@nats-io/jetstream';
import { JetStreamStatusError } from '@nats-io/jetstream/internal';

import { LogferryError } from '../runtime/errors.ts';
import { headersOf } from '../wire/headers.ts';
import { type Link, permissionViolation } from './connection.ts';

/** The streams whose leader a connection's user may not ask for any message. */
const refused = new WeakMap<Link, Set<string>>();

/** Null when there is none. Throws the server's errors, a permission violation too, and `unreachable`. */
export async function lastMessageOf(link: Link, stream: string, subject: string): Promise<StoredMsg | null> {
  const message = await messageAt(link, stream, { last_by_subj: subject });
  return message === undefined ? await bySubject(link, stream, subject) : message;
}

/** From the stream's leader, null when there is none; undefined where this user may not ask it. Throws as lastMessageOf does. */
export async function messageAt(
  link: Link,
  stream: string,
  query: { readonly last_by_subj: string } | { readonly seq: number; readonly next_by_subj?: string },
): Promise<StoredMsg | null | undefined> {
  const streams = refused.get(link) ?? new Set();
  refused.set(link, streams);
  if (streams.has(stream)) return undefined;
  link.handled.add(`${link.js.apiPrefix}.STREAM.MSG.GET.${stream}`);
  try {
    return await link.ask(async () => await link.jsm.streams.getMessage(stream, query));
  } catch (error) {
    if (permissionViolation(error) === undefined) throw error;
    streams.add(stream);
    return undefined;
  }
}

async function bySubject(link: Link, stream: string, subject: string): Promise<StoredMsg | null> {
  const query = { last_by_subj: subject };
  let message: StoredMsg | null;
  try {
    message = await link.ask(async () => await link.jsm.direct.getMessage(stream, query));
  } catch (error) {
    // A status in a stored message is taken for the server's.
    if (error instanceof JetStreamStatusError) throw unusable(stream, error.message);
    throw error;
  }
  // A mirror may answer too.
  const from = message === null ? stream : headersOf(message)?.get('Nats-Stream');
  if (from !== stream) throw unusable(stream, `it is from ${JSON.stringify(from)}`);
  return message;
}

function unusable(stream: string, why: string): LogferryError {
  return new LogferryError('unreachable', `no usable answer from stream ${stream} (${why})`);
}
