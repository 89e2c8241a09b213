// What the server refused or did not answer, in words a person can act on. Never touches any other error: that would
// call a bug a network problem.

import { JetStreamApiError } from '@nats-io/jetstream';

import { isUnanswered } from './bucket.ts';
import { explain, permissionViolation, type ServerOptions } from './connection.ts';

/** Waits for an operation; an error of the client's is thrown again as a LogferryError. */
export async function inClearWords<T>(server: ServerOptions, operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (error) {
    const fromServer =
      error instanceof JetStreamApiError || permissionViolation(error) !== undefined || isUnanswered(error);
    throw fromServer ? explain(error, server.server) : error;
  }
}
