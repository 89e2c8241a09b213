// One KV bucket, as compare-and-set needs it: reads from the leader, never by direct get (which may be old), and a
// set that is never buffered over a reconnect.

import { errors } from '@nats-io/transport-node';
import { JetStreamApiError } from '@nats-io/jetstream';
import { jserrors } from '@nats-io/jetstream/internal';
import { Kvm } from '@nats-io/kv';

import { LogferryError } from './errors.ts';
import { headersOf } from './headers.ts';
import { type Link, permissionViolation, UNAVAILABLE } from './nats.ts';

/** JetStream API error codes. */
const NO_MESSAGE = 10_037;
const STREAM_NOT_FOUND = 10_059;
const WRONG_LAST_SEQUENCE = [10_071, 10_164];

/** A value as it was read: `revision` is 0 when there is none (a deleted key keeps a revision). */
export interface BucketValue {
  readonly data: Uint8Array | undefined;
  readonly revision: number;
  /** The link's epoch at the reading; a set in a later epoch must read again first. */
  readonly epoch: number;
}

/** `unknown`: no answer; read before deciding anything. */
export type SetResult = { readonly revision: number } | 'refused' | 'unknown';

export interface BucketInfo {
  /** When the bucket was created: another value means that it was lost meanwhile. */
  readonly created: string;
  readonly lastSeq: number;
}

export class Bucket {
  readonly name: string;
  readonly #link: Link;

  constructor(link: Link, name: string) {
    this.#link = link;
    this.name = name;
  }

  /** Creates the bucket where it is missing; true when it did. An existing one is left as it is. */
  async ensure(replicas: number): Promise<boolean> {
    if ((await this.info()) !== undefined) return false;
    await new Kvm(this.#link.js).create(this.name, { history: 1, replicas });
    return true;
  }

  /** Undefined when there is no such bucket. */
  async info(): Promise<BucketInfo | undefined> {
    try {
      const info = await this.#link.ask(async () => await this.#link.jsm.streams.info(this.#stream));
      return { created: info.created, lastSeq: info.state.last_seq };
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return undefined;
      throw error;
    }
  }

  async read(key: string): Promise<BucketValue> {
    const epoch = this.#link.epoch();
    const query = { last_by_subj: this.#subject(key) };
    try {
      const message = await this.#link.ask(
        async () => await this.#link.jsm.streams.getMessage(this.#stream, query),
      );
      if (message === null) return { data: undefined, revision: 0, epoch };
      const deleted = (headersOf(message)?.get('KV-Operation') ?? '') !== '';
      return { data: deleted ? undefined : message.data, revision: message.seq, epoch };
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === NO_MESSAGE)
        return { data: undefined, revision: 0, epoch };
      throw error;
    }
  }

  /** Sets the key if its revision is still that of `read`. Never throws for a lost race or a lost answer. */
  async set(
    key: string,
    data: string | Uint8Array,
    read: { revision: number; epoch: number },
  ): Promise<SetResult> {
    if (this.#link.epoch() !== read.epoch) return 'unknown';
    try {
      const expect = { lastSubjectSequence: read.revision };
      const ack = await this.#link.ask(
        async () => await this.#link.js.publish(this.#subject(key), data, { expect }),
      );
      return { revision: ack.seq };
    } catch (error) {
      if (error instanceof JetStreamApiError && WRONG_LAST_SEQUENCE.includes(error.code)) return 'refused';
      if (isUnanswered(error)) return 'unknown';
      throw error;
    }
  }

  /** Keys that are there now and match the filter (NATS wildcards). */
  async keys(filter: string): Promise<string[]> {
    const query = { subjects_filter: this.#subject(filter) };
    const info = await this.#link.ask(async () => await this.#link.jsm.streams.info(this.#stream, query));
    const prefix = this.#subject('');
    return Object.keys(info.state.subjects ?? {}).map((subject) => subject.slice(prefix.length));
  }

  /** Removes a key without a trace: no tombstone stays. */
  async erase(key: string): Promise<void> {
    const filter = this.#subject(key);
    await this.#link.ask(async () => await this.#link.jsm.streams.purge(this.#stream, { filter }));
  }

  /** The link's epoch now. */
  epoch(): number {
    return this.#link.epoch();
  }

  /**
   * Calls back for everything that somebody sets, or tries to set, while this connection hears it: a hint, never the
   * truth. Returns how to stop.
   */
  listen(filter: string, heard: (key: string, data: Uint8Array) => void): () => void {
    const prefix = this.#subject('');
    const subscription = this.#link.nc.subscribe(this.#subject(filter), {
      callback: (error, message) => {
        if (error === null) heard(message.subject.slice(prefix.length), message.data);
      },
    });
    return () => {
      subscription.unsubscribe();
    };
  }

  get #stream(): string {
    return `KV_${this.name}`;
  }

  #subject(key: string): string {
    return `$KV.${this.name}.${key}`;
  }
}

/** Whether an operation may or may not have happened: no answer came, or nobody was there to answer. */
export function isUnanswered(error: unknown): boolean {
  return (
    (error instanceof LogferryError && error.code === 'unreachable') ||
    error instanceof errors.TimeoutError ||
    (error instanceof errors.RequestError && permissionViolation(error) === undefined) ||
    error instanceof errors.NoRespondersError ||
    error instanceof errors.ClosedConnectionError ||
    error instanceof errors.DrainingConnectionError ||
    error instanceof errors.ConnectionError ||
    error instanceof jserrors.JetStreamNotEnabled ||
    isStreamMissing(error) ||
    (error instanceof JetStreamApiError && error.apiError().code === UNAVAILABLE)
  );
}

/** Whether the stream (or the stream behind a bucket) is not there. */
export function isStreamMissing(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND;
}

/** Whether a publish was refused because the subject has moved on. */
export function isWrongSequence(error: unknown): boolean {
  return error instanceof JetStreamApiError && WRONG_LAST_SEQUENCE.includes(error.code);
}
