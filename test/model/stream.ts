// The stream of the model's broker, as far as logferry relies on it: a fence per subject, consumers with explicit
// acks, and the ways in which a broker loses what it has acknowledged.

import type { Chunk } from '../../common/wire/chunk.ts';
import { fileKey, type SourceName } from '../../common/wire/subjects.ts';
import type { Random } from './random.ts';

export interface Message {
  readonly seq: number;
  readonly source: SourceName;
  readonly partition: number;
  readonly chunk: Chunk;
  /** The sequence that it has in the stream from which it was forwarded. */
  readonly origin?: number;
}

export interface StreamInfo {
  readonly created: string;
  readonly lastSeq: number;
  /** Counts the restarts of the server that a client notices by its reconnect. */
  readonly connection: number;
}

/** A stream that is created anew counts on from beyond the one before, as an edge's does (docs/edge.md). */
const BEYOND = 50;

export type Pulled = { readonly messages: readonly Message[]; readonly info: StreamInfo } | 'no consumer';

interface Consumer {
  readonly partition: number;
  next: number;
  /** When an unacknowledged message is delivered again. */
  readonly pending: Map<number, number>;
}

const ACK_WAIT = 150;
const MAX_PENDING = 8;

export class Stream {
  /** Publishes that were tried, refused ones too. */
  attempts = 0;
  #created = 0;
  #lastSeq = 0;
  #connection = 0;
  #messages = new Map<number, Message>();
  #consumers = new Map<string, Consumer>();

  readonly #countsOn: boolean;

  constructor(countsOn = false) {
    this.#countsOn = countsOn;
    this.wipe();
  }

  info(): StreamInfo {
    return { created: `stream ${this.#created}`, lastSeq: this.#lastSeq, connection: this.#connection };
  }

  /** Takes a message only when the subject's last one has the expected sequence, 0 for none. */
  publish(message: Omit<Message, 'seq'>, expected: number): { seq: number; created: string } | 'refused' {
    this.attempts += 1;
    if ((this.#last(message.source)?.seq ?? 0) !== expected) return 'refused';
    this.#lastSeq += 1;
    this.#messages.set(this.#lastSeq, { ...message, seq: this.#lastSeq });
    return { seq: this.#lastSeq, created: this.info().created };
  }

  /** Takes a message from another stream: without a fence, as a source brings it. */
  forward(message: Message): void {
    this.#lastSeq += 1;
    this.#messages.set(this.#lastSeq, { ...message, seq: this.#lastSeq, origin: message.seq });
  }

  /** The first message from this sequence on. */
  from(seq: number): Message | undefined {
    for (const message of this.#messages.values()) if (message.seq >= seq) return message;
    return undefined;
  }

  /** The origin of the last message that was forwarded, 0 for none. */
  lastOrigin(): number {
    let last = 0;
    for (const { origin } of this.#messages.values()) last = origin ?? last;
    return last;
  }

  newestOf(host: string): Message | undefined {
    let newest: Message | undefined;
    for (const message of this.#messages.values()) if (message.source.host === host) newest = message;
    return newest;
  }

  lastOf(source: SourceName): { message: Message | undefined; info: StreamInfo } {
    return { message: this.#last(source), info: this.info() };
  }

  createConsumer(name: string, partition: number, start: number): true {
    this.#consumers.set(name, { partition, next: start, pending: new Map() });
    return true;
  }

  /** Up to `max` messages: first those whose ack is overdue, then new ones. */
  pull(name: string, max: number, now: number): Pulled {
    const consumer = this.#consumers.get(name);
    if (consumer === undefined) return 'no consumer';
    const messages: Message[] = [];
    for (const [seq, due] of [...consumer.pending].toSorted((a, b) => a[0] - b[0])) {
      if (messages.length >= max) break;
      const message = this.#messages.get(seq);
      if (message === undefined) consumer.pending.delete(seq);
      else if (due <= now) messages.push(message);
    }
    for (const { seq } of messages) consumer.pending.set(seq, now + ACK_WAIT);
    while (messages.length < max && consumer.next <= this.#lastSeq && consumer.pending.size < MAX_PENDING) {
      const message = this.#messages.get(consumer.next);
      consumer.next += 1;
      if (message?.partition !== consumer.partition) continue;
      consumer.pending.set(message.seq, now + ACK_WAIT);
      messages.push(message);
    }
    return { messages, info: this.info() };
  }

  acknowledge(name: string, seqs: readonly number[]): true {
    const consumer = this.#consumers.get(name);
    for (const seq of seqs) consumer?.pending.delete(seq);
    return true;
  }

  /** The server comes back without its last messages; its consumers may be gone, or know of the future. */
  rollBack(random: Random, losesConsumers: boolean): void {
    this.#connection += 1;
    this.#lastSeq = Math.max(0, this.#lastSeq - random.integer(1, 8));
    for (const seq of this.#messages.keys()) if (seq > this.#lastSeq) this.#messages.delete(seq);
    if (losesConsumers) this.#consumers.clear();
    for (const consumer of this.#consumers.values()) {
      for (const seq of consumer.pending.keys()) if (seq > this.#lastSeq) consumer.pending.delete(seq);
      if (random.chance(0.5)) consumer.next = Math.min(consumer.next, this.#lastSeq + 1);
    }
  }

  /** Deleted and created again. */
  wipe(): void {
    this.#created += 1;
    this.#lastSeq = this.#countsOn ? this.#lastSeq + BEYOND : 0;
    this.#messages.clear();
    this.#consumers.clear();
  }

  /** One of the newest messages is gone, as after a flipped bit. */
  loseOne(random: Random): void {
    const newest = [...this.#messages.keys()].slice(-12);
    if (newest.length > 0) this.#messages.delete(random.pick(newest));
  }

  /** The oldest messages are gone, as when the stream is over its limit. */
  dropOldest(random: Random): void {
    const seqs = [...this.#messages.keys()];
    if (seqs.length === 0) return;
    for (const seq of seqs.slice(0, random.integer(1, seqs.length))) this.#messages.delete(seq);
  }

  #last(source: SourceName): Message | undefined {
    const subject = fileKey(source.host, source.file);
    let last: Message | undefined;
    // Sequences only grow, and a Map keeps the order of insertion.
    for (const message of this.#messages.values())
      if (fileKey(message.source.host, message.source.file) === subject) last = message;
    return last;
  }
}
