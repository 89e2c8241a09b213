// Byte-bounded pulls from one consumer. Holds at most what was asked for; never acknowledges.

import { createInbox, type Msg, type Subscription } from '@nats-io/transport-node';

import { headerBytes, headersOf } from '../wire/headers.ts';
import type { Link } from '../nats/connection.ts';
import { Bell } from '../runtime/run.ts';
import { NANOS_PER_MS } from '../text/units.ts';

/** One message as it was delivered. */
export interface Delivery {
  readonly subject: string;
  readonly seq: number;
  /** '' when there is no such header. */
  readonly header: (name: string) => string;
  readonly data: Uint8Array;
  /** Where the acknowledgement goes; says more: see storedAt. */
  readonly reply: string;
}

/** How long a pull waits at the server. */
const EXPIRES_MS = 20_000;
/** The server says at least this often that a pull is still waiting. */
const HEARTBEAT_MS = 4_000;
/** A pull that is silent for this long was lost. */
const SILENT_MS = 2.5 * HEARTBEAT_MS;
/** The bound that counts is bytes; this one only has to be there. */
const MAX_BATCH = 100_000;

/** What all pulls of a receiver may have on their way together: 64 partitions times 16 MiB would be a gigabyte. */
export class PullMemory {
  readonly #total: number;
  readonly #least: () => number;
  readonly #busy = new Set<number>();

  /** @param least what one pull needs at least: the largest message with its headers */
  constructor(total: number, least: () => number) {
    this.#total = total;
    this.#least = least;
  }

  /** The bytes for the next pull of a partition; those that had nothing last time get room for one message. */
  share(partition: number, busy: boolean): number {
    if (busy) this.#busy.add(partition);
    else this.#busy.delete(partition);
    const least = this.#least() + MESSAGE_OVERHEAD;
    return busy ? Math.max(least, Math.min(MOST_PER_PULL, this.#total / this.#busy.size)) : least;
  }

  forget(partition: number): void {
    this.#busy.delete(partition);
  }
}

/** Subject, reply and headers of a message. */
const MESSAGE_OVERHEAD = 16 * 1024;
const MOST_PER_PULL = 3 * 1024 * 1024;
/** nats-server takes no larger max_payload. */
const MOST_PAYLOAD = 64 * 1024 * 1024 + MESSAGE_OVERHEAD;

export class Puller {
  readonly #link: Link;
  readonly #nextSubject: string;
  readonly #inbox: string;
  readonly #subscription: Subscription;
  readonly #bell = new Bell();
  /** Pulls that the server has not finished, oldest first, by number. */
  readonly #pulls = new Map<number, { readonly asked: number; left: number }>();
  /** What has to be asked for: a message was larger than a whole pull. */
  #least = 0;
  #pullCount = 0;
  #heardAt = performance.now();
  #queue: Delivery[] = [];
  #failure: string | undefined;

  constructor(link: Link, stream: string, consumer: string) {
    this.#link = link;
    this.#nextSubject = `${link.js.apiPrefix}.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
    this.#inbox = createInbox(link.inboxPrefix);
    this.#subscription = link.nc.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error !== null) this.#fail(error.message);
        else this.#receive(message);
      },
    });
  }

  /** Why nothing more will come; undefined while all is well. */
  get failure(): string | undefined {
    return this.#failure;
  }

  wake(): void {
    this.#bell.ring();
  }

  /**
   * All that was delivered, in order; empty when nothing came in time.
   *
   * @param share how many bytes may be on their way or waiting here
   */
  async next(waitMs: number, share: number, signal: AbortSignal): Promise<Delivery[]> {
    this.#refill(share);
    if (this.#queue.length === 0) await this.#bell.wait(waitMs, signal);
    if (this.#pulls.size > 0 && performance.now() - this.#heardAt > SILENT_MS) this.#pulls.clear();
    const queue = this.#queue;
    this.#queue = [];
    // Its ring came with what is taken here: kept, it would make the next wait look like silence.
    this.#bell.clear();
    this.#refill(share);
    return queue;
  }

  close(): void {
    this.#subscription.unsubscribe();
  }

  #refill(share: number): void {
    if (this.#failure !== undefined || this.#queue.length > 0) return;
    let asked = 0;
    for (const { left } of this.#pulls.values()) asked += left;
    if (asked > share / 2 || this.#pulls.size > 1) return;
    const bytes = Math.floor(Math.max(share, this.#least));
    this.#pullCount += 1;
    this.#pulls.set(this.#pullCount, { asked: bytes, left: bytes });
    this.#heardAt = performance.now();
    const request = {
      batch: MAX_BATCH,
      max_bytes: bytes,
      expires: EXPIRES_MS * NANOS_PER_MS,
      idle_heartbeat: HEARTBEAT_MS * NANOS_PER_MS,
    };
    this.#link.nc.publish(this.#nextSubject, JSON.stringify(request), {
      reply: `${this.#inbox}.${this.#pullCount}`,
    });
  }

  #receive(message: Msg): void {
    this.#heardAt = performance.now();
    if (message.subject.startsWith(`${this.#inbox}.`)) this.#status(message);
    else this.#deliver(message);
  }

  #status(message: Msg): void {
    const headers = headersOf(message);
    const code = headers?.code ?? 0;
    const text = headers?.description ?? '';
    if (code === 100) return;
    const number = Number(message.subject.slice(this.#inbox.length + 1));
    const pull = this.#pulls.get(number);
    this.#pulls.delete(number);
    const exceeds = code === 409 && /max.?bytes/i.test(text);
    // Published while the server's max_payload was larger than it is now.
    if (exceeds && pull?.left === pull?.asked)
      this.#least = Math.min(MOST_PAYLOAD, 2 * Math.max(this.#least, pull?.asked ?? 0));
    const finished =
      code === 404 || code === 408 || exceeds || (code === 409 && /batch completed/i.test(text));
    if (!finished) this.#fail(`${code} ${text}`);
    this.#bell.ring();
  }

  #deliver(message: Msg): void {
    const seq = acknowledgement(message.reply ?? '')?.seq;
    if (seq === undefined || message.reply === undefined) return;
    this.#least = 0;
    const [oldest] = this.#pulls;
    if (oldest !== undefined) {
      const [number, pull] = oldest;
      pull.left -= messageBytes(message);
      if (pull.left <= 0) this.#pulls.delete(number);
    }
    const headers = headersOf(message);
    this.#queue.push({
      subject: message.subject,
      seq,
      header: (name) => headers?.get(name) ?? '',
      data: message.data,
      reply: message.reply,
    });
    this.#bell.ring();
  }

  #fail(why: string): void {
    this.#failure ??= why;
    this.#bell.ring();
  }
}

/** What the server counts against a pull's max_bytes. */
function messageBytes(message: Msg): number {
  return message.subject.length + (message.reply?.length ?? 0) + headerBytes(message) + message.data.length;
}

/** When the stream stored a message, in milliseconds since 1970. */
export function storedAt({ reply }: Pick<Delivery, 'reply'>): number {
  return Math.trunc((acknowledgement(reply)?.nanos ?? Number.NaN) / NANOS_PER_MS);
}

/** How many messages behind this one the consumer was still to deliver, when it was sent. */
export function pendingAfter({ reply }: Pick<Delivery, 'reply'>): number {
  return acknowledgement(reply)?.pending ?? Number.NaN;
}

/**
 * What an acknowledgement subject says:
 * `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`, with domain and account
 * before the stream (and a token behind) in the longer form (ADR-15).
 */
function acknowledgement(reply: string): { seq: number; nanos: number; pending: number } | undefined {
  const tokens = reply.split('.');
  if (tokens[0] !== '$JS' || tokens[1] !== 'ACK' || tokens.length < 9) return undefined;
  const at = tokens.length >= 11 ? 7 : 5;
  const seq = Number(tokens[at]);
  if (!Number.isSafeInteger(seq)) return undefined;
  return { seq, nanos: Number(tokens[at + 2]), pending: Number(tokens[at + 3]) };
}
