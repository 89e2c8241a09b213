// A daemon as a NATS service: found and asked with `nats micro` and with status, without a list of hosts. The subjects
// and the fields of the answers are those of ADR-32. Never asks anybody: common/fleet/fleet.ts does.

import { randomBytes } from 'node:crypto';

import { headers, type Msg, type NatsConnection } from '@nats-io/transport-node';

import { messageOf } from '../runtime/errors.ts';
import { NANOS_PER_MS } from '../text/units.ts';

/** What all discovery begins with. */
export const SERVICE_PREFIX = '$SRV';

export type ServiceVerb = 'PING' | 'INFO' | 'STATS';

/** Something that a service can be asked for. Every instance answers: there are no queue groups. */
export interface Endpoint {
  readonly name: string;
  readonly subject: string;
  /** What to answer; what it throws is answered as an error, in one line. */
  readonly handle: (data: Uint8Array) => Promise<string | Uint8Array>;
  /** What STATS says of it beside the counters; becomes JSON. */
  readonly data?: () => unknown;
}

export interface ServiceOptions {
  /** The kind: letters, digits, `-` and `_`. */
  readonly name: string;
  /** A semantic version. */
  readonly version: string;
  readonly description: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly endpoints: readonly Endpoint[];
}

interface Counters {
  requests: number;
  errors: number;
  lastError: string;
  nanos: number;
}

/** The headers of an answer that is an error (ADR-32). */
export const SERVICE_ERROR = 'Nats-Service-Error';
export const SERVICE_ERROR_CODE = 'Nats-Service-Error-Code';

/** Answers until the function that it returns is called. */
export function serve(nc: NatsConnection, options: ServiceOptions): () => void {
  const { name, version, description, metadata, endpoints } = options;
  const id = randomBytes(8).toString('hex');
  const started = new Date().toISOString();
  const standard = { name, id, version, metadata };
  const counters = new Map<Endpoint, Counters>();
  for (const endpoint of endpoints)
    counters.set(endpoint, { requests: 0, errors: 0, lastError: '', nanos: 0 });

  const about = (verb: ServiceVerb): unknown => {
    const type = `io.nats.micro.v1.${verb.toLowerCase()}_response`;
    if (verb === 'PING') return { type, ...standard };
    if (verb === 'INFO')
      return {
        ...{ type, ...standard, description },
        endpoints: endpoints.map((each) => ({ ...placeOf(each), metadata: {} })),
      };
    return {
      type,
      ...standard,
      endpoints: [...counters].map(([each, counted]) => statsOf(each, counted)),
      started,
    };
  };

  const subscriptions = (['PING', 'INFO', 'STATS'] as const).flatMap((verb) =>
    [verb, `${verb}.${name}`, `${verb}.${name}.${id}`].map((subject) =>
      nc.subscribe(`${SERVICE_PREFIX}.${subject}`, {
        callback: (error, message) => {
          if (error === null) message.respond(JSON.stringify(about(verb)));
        },
      }),
    ),
  );
  for (const [endpoint, counted] of counters)
    subscriptions.push(
      nc.subscribe(endpoint.subject, {
        callback: (error, message) => {
          if (error === null) void answer(endpoint, counted, message);
        },
      }),
    );
  return () => {
    for (const subscription of subscriptions) subscription.unsubscribe();
  };
}

function placeOf({ name, subject }: Endpoint): Record<string, string> {
  return { name, subject, queue_group: '' };
}

function statsOf(
  endpoint: Endpoint,
  { requests, errors, lastError, nanos }: Counters,
): Record<string, unknown> {
  return {
    ...placeOf(endpoint),
    num_requests: requests,
    num_errors: errors,
    last_error: lastError,
    ...(endpoint.data === undefined ? {} : { data: endpoint.data() }),
    processing_time: nanos,
    average_processing_time: requests === 0 ? 0 : Math.trunc(nanos / requests),
  };
}

async function answer(endpoint: Endpoint, counted: Counters, message: Msg): Promise<void> {
  const began = performance.now();
  try {
    message.respond(await endpoint.handle(message.data));
  } catch (error) {
    counted.errors += 1;
    counted.lastError = messageOf(error).replaceAll(/\s+/g, ' ').slice(0, 500);
    const failed = headers();
    failed.set(SERVICE_ERROR, counted.lastError);
    failed.set(SERVICE_ERROR_CODE, '500');
    message.respond('', { headers: failed });
  } finally {
    counted.requests += 1;
    counted.nanos += Math.round((performance.now() - began) * NANOS_PER_MS);
  }
}
