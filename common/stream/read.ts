// Reads what lies in a stream, in its order, beside everybody else: nothing is acknowledged, no consumer but its own is
// touched. Goes on behind the last message after a lost connection, so each message comes once.

import { type ConsumerConfig, JetStreamApiError } from '@nats-io/jetstream';

import { isUnanswered } from '../nats/bucket.ts';
import { LogferryError } from '../runtime/errors.ts';
import type { Link } from '../nats/connection.ts';
import { sleep, untilAnswered } from '../runtime/run.ts';
import { streamInfo } from './stream.ts';
import { type Delivery, pendingAfter, Puller } from './pull.ts';
import { NANOS_PER_MS } from '../text/units.ts';

export interface ReadOptions {
  readonly stream: string;
  /** Stored subjects, with wildcards; none may match what another matches. */
  readonly subjects: readonly string[];
  /** A stream sequence, a time of storing, or what comes from now on. */
  readonly from: number | Date | 'new';
  /** The last stream sequence of interest; undefined: for ever. */
  readonly until: number | undefined;
  /** Bytes that may be on their way or waiting here. */
  readonly bytes: number;
}

/** The server forgets a consumer that nobody pulls from. */
const CONSUMER_IDLE_MS = 60_000;
const RETRY_MS = 300;
/** With an end: when nothing came for so long, the server is asked whether anything is left. */
const ASK_MS = 500;
/** JetStream API error code. */
const CONSUMER_NOT_FOUND = 10_014;

/**
 * Batches of messages, never empty. Ends at `until` or when the signal fires. When the stream is made anew meanwhile,
 * what comes then is read from its beginning; with an end, that throws `failed`.
 */
export async function* readStream(
  link: Link,
  options: ReadOptions,
  signal: AbortSignal,
): AsyncGenerator<Delivery[], void> {
  const { until = Number.POSITIVE_INFINITY, stream, bytes } = options;
  let { from } = options;
  let created: string | undefined;
  while (!signal.aborted) {
    const epoch = link.epoch();
    const info = await untilThere(link, stream, signal);
    if (info === undefined) return;
    if (from === 'new') from = info.lastSeq + 1;
    if (created !== undefined && info.created !== created) {
      if (options.until !== undefined)
        throw new LogferryError('failed', `stream ${stream} was made anew meanwhile`, 'run it again');
      from = 1;
    }
    ({ created } = info);
    if (typeof from === 'number' && from > until) return;
    const start = from;
    const ask = async (): Promise<Created> => await createConsumer(link, options, start);
    const made = await untilAnswered(ask, isUnanswered, signal, RETRY_MS);
    if (made === undefined) return;
    const consumer = made.name;
    const puller = new Puller(link, stream, consumer);
    try {
      if (options.until !== undefined && made.pending === 0) return;
      let isAtEnd = false;
      while (!signal.aborted && puller.failure === undefined && link.epoch() === epoch) {
        const deliveries = await puller.next(ASK_MS, bytes, signal);
        const wanted = deliveries.filter(({ seq }) => seq <= until);
        const last = wanted.at(-1);
        if (last !== undefined) from = last.seq + 1;
        if (wanted.length > 0) yield wanted;
        if (wanted.length < deliveries.length || (typeof from === 'number' && from > until)) return;
        if (options.until !== undefined && last !== undefined && pendingAfter(last) === 0) {
          if (await hasNoMore(link, stream, consumer)) return;
          continue;
        }
        // What was on its way when the server was asked has come since.
        if (deliveries.length === 0 && isAtEnd) return;
        isAtEnd =
          deliveries.length === 0 && options.until !== undefined && (await hasNoMore(link, stream, consumer));
      }
    } finally {
      puller.close();
      await deleteConsumer(link, stream, consumer);
    }
    await sleep(RETRY_MS, signal);
  }
}

interface Created {
  readonly name: string;
  /** What there is to be delivered. */
  readonly pending: number;
}

async function createConsumer(link: Link, options: ReadOptions, from: ReadOptions['from']): Promise<Created> {
  const config: Partial<ConsumerConfig> = {
    filter_subjects: [...options.subjects],
    ...startOf(from),
    ack_policy: 'none',
    inactive_threshold: CONSUMER_IDLE_MS * NANOS_PER_MS,
    num_replicas: 1,
    mem_storage: true,
  };
  const made = await link.ask(async () => await link.jsm.consumers.add(options.stream, config));
  return { name: made.name, pending: made.num_pending };
}

function startOf(from: ReadOptions['from']): Partial<ConsumerConfig> {
  if (from === 'new') return { deliver_policy: 'new' };
  if (from instanceof Date) return { deliver_policy: 'by_start_time', opt_start_time: from.toISOString() };
  return { deliver_policy: 'by_start_sequence', opt_start_seq: from };
}

/** Undefined when the signal fires first. */
async function untilThere(
  link: Link,
  stream: string,
  signal: AbortSignal,
): Promise<{ created: string; lastSeq: number } | undefined> {
  const ask = async (): Promise<{ created: string; lastSeq: number } | undefined> => {
    const info = await streamInfo(link, stream);
    return info === undefined ? undefined : { created: info.created, lastSeq: info.state.last_seq };
  };
  while (!signal.aborted) {
    const info = await untilAnswered(ask, isUnanswered, signal, RETRY_MS);
    if (info !== undefined) return info;
    await sleep(RETRY_MS, signal);
  }
  return undefined;
}

/** Nothing is left that was not delivered. No answer is none. */
async function hasNoMore(link: Link, stream: string, consumer: string): Promise<boolean> {
  try {
    const { num_pending } = await link.ask(async () => await link.jsm.consumers.info(stream, consumer));
    return num_pending === 0;
  } catch (error) {
    if (isUnanswered(error) || isConsumerGone(error)) return false;
    throw error;
  }
}

async function deleteConsumer(link: Link, stream: string, consumer: string): Promise<void> {
  if (!link.isConnected()) return;
  try {
    await link.ask(async () => await link.jsm.consumers.delete(stream, consumer));
  } catch (error) {
    if (!isUnanswered(error) && !isConsumerGone(error)) throw error;
  }
}

/** It is kept in memory: a server that was started anew does not know it, nor one that was not pulled from for long. */
function isConsumerGone(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === CONSUMER_NOT_FOUND;
}
