// The stream of the model's broker, as far as logferry relies on it: a fence per lane, consumers with explicit acks,
// and the ways in which a broker loses what it has acknowledged.

import type { Chunk } from '../../common/wire/chunk.ts';
import type { SourceName } from '../../common/wire/subjects.ts';
import type { LastOfLane } from '../../shipper/host/doubt.ts';
import type { Random } from './random.ts';

/** A chunk, and whose it is. */
export interface Sent {
  readonly source: SourceName;
  readonly chunk: Chunk;
}

/** A bundle on a lane of its host: stored, lost and delivered as a whole. */
export interface Message {
  readonly seq: number;
  readonly host: string;
  readonly lane: number;
  readonly stamp: string;
  readonly partition: number;
  readonly chunks: readonly Sent[];
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

export interface Read {
  readonly messages: readonly Message[];
  readonly info: StreamInfo;
}

export type Pulled = Read | 'no consumer';

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
  /** How often something that it had acknowledged was taken away. */
  losses = 0;
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

  /**
   * Takes a message only when the lane's last one has the expected sequence, 0 for none. The answer says nothing of the
   * stream's creation.
   */
  publish(message: Omit<Message, 'seq'>, expected: number): { readonly seq: number } | 'refused' {
    this.attempts += 1;
    if ((this.lastOfLane(message.host, message.lane)?.seq ?? 0) !== expected) return 'refused';
    this.#lastSeq += 1;
    this.#messages.set(this.#lastSeq, { ...message, seq: this.#lastSeq });
    return { seq: this.#lastSeq };
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
    // Sequences only grow, and a Map keeps the order of insertion.
    for (const message of this.#messages.values()) if (message.host === host) newest = message;
    return newest;
  }

  lastOfLane(host: string, lane: number): LastOfLane | undefined {
    let last: Message | undefined;
    for (const message of this.#messages.values())
      if (message.host === host && message.lane === lane) last = message;
    return last;
  }

  /** Whether a message with this sequence is on a lane of the host. */
  has(host: string, seq: number): boolean {
    return this.#messages.get(seq)?.host === host;
  }

  /** Whether it has these bytes of a generation. */
  holds({ host, file }: SourceName, from: number, to: number): boolean {
    const held = new Set<number>();
    for (const { chunks } of this.#messages.values())
      for (const { source, chunk } of chunks)
        if (source.host === host && source.file === file)
          for (let byte = Math.max(from, chunk.start); byte < Math.min(to, chunk.end); byte += 1)
            held.add(byte);
    return held.size === Math.max(0, to - from);
  }

  /** The next messages of all lanes of a host. */
  read(host: string, from: number, max: number): Read {
    const messages: Message[] = [];
    for (const message of this.#messages.values())
      if (message.seq >= from && message.host === host && messages.length < max) messages.push(message);
    return { messages, info: this.info() };
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
    this.losses += 1;
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
    this.losses += 1;
    this.#created += 1;
    this.#lastSeq = this.#countsOn ? this.#lastSeq + BEYOND : 0;
    this.#messages.clear();
    this.#consumers.clear();
  }

  /** One of the newest messages is gone, as after a flipped bit. */
  loseOne(random: Random): void {
    this.losses += 1;
    const newest = [...this.#messages.keys()].slice(-12);
    if (newest.length > 0) this.#messages.delete(random.pick(newest));
  }

  /** The oldest messages are gone, as when the stream is over its limit. */
  dropOldest(random: Random): void {
    this.losses += 1;
    const seqs = [...this.#messages.keys()];
    if (seqs.length === 0) return;
    for (const seq of seqs.slice(0, random.integer(1, seqs.length))) this.#messages.delete(seq);
  }
}
