// One KV bucket, as compare-and-set needs it: reads from the leader (see last-message.ts), and a set that is never
// buffered over a reconnect.

import { errors } from '@nats-io/transport-node';
import { JetStreamApiError } from '@nats-io/jetstream';
import { jserrors } from '@nats-io/jetstream/internal';

import { LogferryError, messageOf } from '../runtime/errors.ts';
import { headersOf } from '../wire/headers.ts';
import { lastMessageOf } from './last-message.ts';
import { isUnavailable, type Link, permissionViolation } from './connection.ts';

/** JetStream API error codes. */
const NO_MESSAGE = 10_037;
const STREAM_NOT_FOUND = 10_059;
const WRONG_LAST_SEQUENCE = [10_071, 10_164];
/** A stream of that name exists with another configuration. */
export const NAME_IN_USE = 10_058;

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
  readonly replicas: number;
}

/** Nothing is wrong that time, or somebody else, would not mend. */
export class MustWait extends LogferryError {}

/** Somebody else has to create it: a receiver, or `logferry setup`. */
export class NotThere extends MustWait {
  constructor(what: string, cause: unknown) {
    const hint = 'start a receiver that may, or run logferry setup as somebody who may';
    super('unreachable', `${what} is not there, and this user may not create it`, hint, { cause });
  }
}

/** The servers cannot have it now, and will be asked again. */
export class NotNow extends MustWait {
  constructor(what: string, cause: unknown) {
    const hint = 'it is tried again; logferry setup can create it with fewer replicas, or smaller';
    super('unreachable', `${what} is not there and cannot be created (${messageOf(cause)})`, hint, { cause });
  }
}

export class Bucket {
  readonly name: string;
  readonly #link: Link;

  constructor(link: Link, name: string) {
    this.#link = link;
    this.name = name;
  }

  /**
   * Creates the bucket where it is missing; true when it did. An existing one is left as it is. Throws `unreachable`
   * (NotThere, NotNow) when it is missing and this user may not create it, or no server can have it now.
   */
  async ensure(replicas: number): Promise<boolean> {
    if ((await this.info()) !== undefined) return false;
    try {
      await this.#link.jsm.streams.add({
        name: this.#stream,
        subjects: [this.#subject('>')],
        ...{ max_msgs_per_subject: 1, discard: 'new', num_replicas: replicas },
        ...{ allow_direct: true, deny_delete: true },
        // Whoever may set one key could remove all others with a header.
        allow_rollup_hdrs: false,
      });
      return true;
    } catch (error) {
      // Somebody else was faster, with other defaults.
      if (error instanceof JetStreamApiError && error.code === NAME_IN_USE) return false;
      if (permissionViolation(error) !== undefined) throw new NotThere(`bucket ${this.name}`, error);
      if (error instanceof JetStreamApiError && !isUnavailable(error))
        throw new NotNow(`bucket ${this.name}`, error);
      throw error;
    }
  }

  /** Changes how many copies the cluster keeps of an existing bucket. */
  async setReplicas(replicas: number): Promise<void> {
    const { config } = await this.#link.jsm.streams.info(this.#stream);
    await this.#link.jsm.streams.update(this.#stream, { ...config, num_replicas: replicas });
  }

  /** Undefined when there is no such bucket. */
  async info(): Promise<BucketInfo | undefined> {
    try {
      const info = await this.#link.ask(async () => await this.#link.jsm.streams.info(this.#stream));
      return {
        created: info.created,
        lastSeq: info.state.last_seq,
        replicas: info.config.num_replicas,
      };
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return undefined;
      throw error;
    }
  }

  async read(key: string): Promise<BucketValue> {
    const epoch = this.#link.epoch();
    try {
      const message = await lastMessageOf(this.#link, this.#stream, this.#subject(key));
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
    (error instanceof JetStreamApiError && isUnavailable(error))
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
