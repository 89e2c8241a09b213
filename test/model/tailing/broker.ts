// A stream and a receiver in memory, as one shipper sees them: messages fenced by their subject's last sequence, each processed
// a little later. While the server is down nothing is answered, and whether something was stored nobody is told.

import type { MsgHdrs } from '@nats-io/nats-core';
import { JetStreamApiError } from '@nats-io/jetstream';

import { LogferryError } from '../../../common/runtime/errors.ts';
import { type Chunk, parseChunk } from '../../../common/wire/chunk.ts';
import { decodeToken, publishSubject } from '../../../common/wire/subjects.ts';
import { splitFileId } from '../../../shipper/files/identity.ts';
import type { Host, HostView, LastMessage, Notice } from '../../../shipper/lane/host.ts';
import { clock } from './clock.ts';
import { trace } from './trace.ts';

const HOST = 'web1';
const PREFIX = 'logs';
const CREATED = '2026-11-20T00:00:00Z';
const WRONG_LAST_SEQUENCE = 10_071;
const MAX_PAYLOAD = 1_048_576;
/** The longest that most answers, and the processing of most messages, take, in milliseconds. */
const ANSWER_MS = 2;
const PROCESS_MS = 30;
const UNANSWERED_MS = 1_000;

interface Stored {
  readonly seq: number;
  readonly chunk: Chunk;
  readonly payload: Buffer;
  readonly storedAt: number;
  readonly path: string;
  readonly file: string;
}

interface Entry {
  readonly path: string;
  readonly offset: number;
  readonly tail: string | null;
}

export class Broker {
  readonly #random: () => number;
  readonly #bySubject = new Map<string, Stored>();
  #lastSeq = 0;
  #processed = 0;
  readonly #waiting: Stored[] = [];
  #isProcessing = false;
  readonly #files = new Map<string, Entry>();
  readonly #arrived = new Map<string, Buffer[]>();
  #serves = true;
  #notify: ((notice: Notice) => void) | undefined;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** What has arrived of a path. */
  arrived(path: string): Buffer {
    return Buffer.concat(this.#arrived.get(path) ?? []);
  }

  get paths(): string[] {
    return [...this.#arrived.keys()];
  }

  down(): void {
    this.#serves = false;
  }

  up(): void {
    this.#serves = true;
    void this.#process();
  }

  // --- as a shipper asks ----------------------------------------------------------------------------------------

  /** What a shipper uses of its host, for one that runs now. */
  host(): Host {
    const host = {
      name: HOST,
      topology: { stream: 'LOGS', prefix: PREFIX, partitions: 4 },
      link: {
        isConnected: () => this.#serves,
        maxPayload: () => MAX_PAYLOAD,
        ask: async <T>(work: () => Promise<T>) => await work(),
        js: { publish: async (...all: Parameters<Broker['publish']>) => await this.publish(...all) },
      },
      view: async () => ((await this.#isAnswered()) ? this.#view() : undefined),
      needView: async () => await this.#answer(() => this.#view()),
      knownGenerations: async () => await this.#answer(() => this.#known()),
      lastMessage: async (path: string, file: string) => await this.#answer(() => this.#last(path, file)),
      lastBytes: async (path: string, file: string) =>
        await this.#answer(() => {
          const { chunk, payload } = this.#last(path, file);
          return chunk?.kind === 'data' ? { start: chunk.start, bytes: payload } : undefined;
        }),
      lastCentralMessage: async () => await Promise.resolve(undefined),
      onCommitted: (notify: (notice: Notice) => void) => {
        this.#notify = notify;
        return () => {
          if (this.#notify === notify) this.#notify = undefined;
        };
      },
      onReceived: () => () => {},
    };
    return host as unknown as Host;
  }

  async publish(
    subject: string,
    payload: Uint8Array,
    { headers, expect }: { headers: MsgHdrs; expect: { lastSubjectSequence: number } },
  ): Promise<{ seq: number }> {
    const sent = Buffer.from(payload);
    return await this.#answer(() => {
      if ((this.#bySubject.get(subject)?.seq ?? 0) !== expect.lastSubjectSequence)
        throw new JetStreamApiError({
          code: 400,
          err_code: WRONG_LAST_SEQUENCE,
          description: 'wrong last sequence',
        });
      const chunk = parseChunk((name) => headers.get(name), sent.length);
      const [path = '', file = ''] = subject
        .split('.')
        .slice(-2)
        .map((token) => decodeToken(token));
      const stored = {
        seq: (this.#lastSeq += 1),
        chunk,
        payload: sent,
        storedAt: Math.floor(clock.now),
        path,
        file,
      };
      this.#bySubject.set(subject, stored);
      this.#waiting.push(stored);
      void this.#process();
      return { seq: stored.seq };
    });
  }

  /** Applied or not, when the server goes down meanwhile nobody hears of it. */
  async #answer<T>(work: () => T): Promise<T> {
    if (!(await this.#isAnswered())) throw new LogferryError('unreachable', 'no answer');
    const result = work();
    if (await this.#isAnswered()) return result;
    throw new LogferryError('unreachable', 'no answer');
  }

  async #isAnswered(): Promise<boolean> {
    await clock.latency(this.#random, ANSWER_MS);
    if (!this.#serves) await clock.after(UNANSWERED_MS);
    return this.#serves;
  }

  #view(): HostView {
    const files = new Map(this.#files);
    const entry = (file: string): ReturnType<HostView['entry']> => {
      const its = files.get(file);
      return its === undefined ? undefined : { ...its, held: [], after: null, final: null };
    };
    return {
      created: CREATED,
      extent: { firstSeq: 1, lastSeq: this.#lastSeq, bytes: 0, maxBytes: -1, messages: 0, maxMessages: -1 },
      processed: { created: CREATED, seq: this.#processed },
      isRecordKnown: true,
      isAtRest: false,
      entry,
      files: () => files.keys(),
    };
  }

  #known(): Map<string, { number: number; path: string }> {
    const known = new Map<string, { number: number; path: string }>();
    for (const { path, file } of this.#bySubject.values()) {
      const split = splitFileId(file);
      if (split !== undefined && (known.get(split.base)?.number ?? -1) < split.number)
        known.set(split.base, { number: split.number, path });
    }
    return known;
  }

  #last(path: string, file: string): LastMessage {
    const stored = this.#bySubject.get(publishSubject(PREFIX, { host: HOST, path, file }));
    if (stored === undefined)
      return { seq: 0, chunk: undefined, payload: new Uint8Array(), storedAt: undefined };
    return stored;
  }

  // --- the receiver ---------------------------------------------------------------------------------------------

  async #process(): Promise<void> {
    if (this.#isProcessing) return;
    this.#isProcessing = true;
    // Nobody's life: it goes on when the shipper is killed.
    await clock.outside(async () => {
      for (;;) {
        await clock.latency(this.#random, PROCESS_MS);
        const [stored] = this.#waiting;
        if (!this.#serves || stored === undefined) {
          // At once: what is stored in the next moment is processed.
          this.#isProcessing = false;
          return;
        }
        this.#waiting.shift();
        this.#accept(stored);
        this.#processed = stored.seq;
        const offset = this.#files.get(stored.file)?.offset ?? null;
        this.#notify?.({ stream: { created: CREATED, seq: stored.seq }, files: { [stored.file]: offset } });
      }
    });
  }

  /** What goes on where the file ended; what is there already is left out, and what leaves a hole waits for it. */
  #accept({ chunk, payload, path, file }: Stored): void {
    trace(`accepts ${path} ${file} ${chunk.kind} ${chunk.start} to ${chunk.end}`);
    const before = this.#files.get(file);
    const offset = before?.offset ?? chunk.begin;
    if (chunk.start > offset || (chunk.end <= offset && before !== undefined)) return;
    if (chunk.kind === 'data') {
      const pieces = this.#arrived.get(path) ?? [];
      pieces.push(payload.subarray(offset - chunk.start));
      this.#arrived.set(path, pieces);
    }
    const tail = chunk.kind === 'data' ? chunk.tail : null;
    this.#files.set(file, { path, offset: chunk.end, tail });
  }
}
