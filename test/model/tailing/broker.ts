// A stream and a receiver in memory, as one shipper sees them: messages fenced by their lane's last sequence, each processed
// a little later. While the server is down nothing is answered, and whether something was stored nobody is told.

import { JetStreamApiError } from '@nats-io/jetstream';

import { LogferryError } from '../../../common/runtime/errors.ts';
import { Bundle, type Packed } from '../../../common/wire/bundle.ts';
import type { Chunk } from '../../../common/wire/chunk.ts';
import type { HostLanes, LaneMessage } from '../../../shipper/host/host-lanes.ts';
import type { Host, HostView, Notice } from '../../../shipper/host/host.ts';
import { clock } from './clock.ts';
import { trace } from './trace.ts';

const HOST = 'web1';
const CREATED = '2026-11-20T00:00:00Z';
const WRONG_LAST_SEQUENCE = 10_071;
const MAX_PAYLOAD = 1_048_576;
/** The longest that most answers, and the processing of most messages, take, in milliseconds. */
const ANSWER_MS = 2;
const PROCESS_MS = 30;
const UNANSWERED_MS = 1_000;

interface Stored {
  readonly seq: number;
  readonly lane: number;
  readonly bundle: Bundle;
  readonly storedAt: number;
}

interface Entry {
  readonly path: string;
  readonly offset: number;
  readonly tail: string | null;
}

export class Broker {
  readonly #random: () => number;
  readonly #stored: Stored[] = [];
  #processed = 0;
  readonly #waiting: Stored[] = [];
  #isProcessing = false;
  readonly #files = new Map<string, Entry>();
  readonly #arrived = new Map<string, Buffer[]>();
  #serves = true;
  /** Counts the connections. */
  #epoch = 0;
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
    this.#epoch += 1;
    void this.#process();
  }

  // --- as a shipper asks ----------------------------------------------------------------------------------------

  /** What a shipper uses of its host, for one that runs now. */
  host(): Host {
    const host = {
      name: HOST,
      topology: { stream: 'LOGS', prefix: 'logs', partitions: 4 },
      link: { isConnected: () => this.#serves, epoch: () => this.#epoch },
      view: async () => ((await this.#isAnswered()) ? this.#view() : undefined),
      needView: async () => await this.#answer(() => this.#view()),
      lanes: {
        maxPayload: () => MAX_PAYLOAD,
        publish: async (...all: Parameters<HostLanes['publish']>) => await this.#publish(...all),
        lastOf: async (lane: number) =>
          await this.#answer(() => {
            const last = this.#lastOf(lane);
            return last === undefined ? undefined : { seq: last.seq, stamp: last.bundle.stamp };
          }),
        from: (first: number) => this.#messagesFrom(first),
        isThere: async (seq: number) => await this.#answer(() => this.#stored.some((one) => one.seq === seq)),
        bytesIn: async (seq: number, file: string) => await this.#bytesIn(seq, file),
      },
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

  async #publish(lane: number, { header, payload }: Packed, expected: number): Promise<number> {
    return await this.#answer(() => {
      if ((this.#lastOf(lane)?.seq ?? 0) !== expected)
        throw new JetStreamApiError({
          code: 400,
          err_code: WRONG_LAST_SEQUENCE,
          description: 'wrong last sequence',
        });
      const bundle = new Bundle(header, payload);
      const stored = { seq: this.#stored.length + 1, lane, bundle, storedAt: Math.floor(clock.now) };
      this.#stored.push(stored);
      this.#waiting.push(stored);
      void this.#process();
      return stored.seq;
    });
  }

  #lastOf(lane: number): Stored | undefined {
    return this.#stored.findLast((one) => one.lane === lane);
  }

  async *#messagesFrom(first: number): AsyncGenerator<LaneMessage, void> {
    for (let seq = first; ; seq += 1) {
      const message = await this.#answer(() => this.#stored[seq - 1]);
      if (message === undefined) return;
      yield { seq, storedAt: message.storedAt, listed: message.bundle.listed };
    }
  }

  async #bytesIn(seq: number, file: string): ReturnType<HostLanes['bytesIn']> {
    const bundle = await this.#answer(() => this.#stored[seq - 1]?.bundle);
    const index = bundle?.listed.findLastIndex((one) => one.file === file && one.chunk.kind === 'data') ?? -1;
    const [start, bytes] = [bundle?.listed[index]?.chunk.start, await bundle?.bytesOf(index)];
    return start === undefined || bytes === undefined ? undefined : { start, bytes };
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
      extent: {
        firstSeq: 1,
        lastSeq: this.#stored.length,
        bytes: 0,
        maxBytes: -1,
        messages: 0,
        maxMessages: -1,
      },
      processed: { created: CREATED, seq: this.#processed },
      isRecordKnown: true,
      isAtRest: false,
      entry,
      files: () => files.keys(),
    };
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
        const files: Record<string, number | null> = {};
        for (const [index, { path, file, chunk }] of stored.bundle.listed.entries()) {
          this.#accept(path, file, chunk, (await stored.bundle.bytesOf(index)) ?? new Uint8Array());
          files[file] = this.#files.get(file)?.offset ?? null;
        }
        this.#processed = stored.seq;
        this.#notify?.({ stream: { created: CREATED, seq: stored.seq }, files });
      }
    });
  }

  /** What goes on where the file ended; what is there already is left out, and what leaves a hole waits for it. */
  #accept(path: string, file: string, chunk: Chunk, bytes: Uint8Array): void {
    trace(`accepts ${path} ${file} ${chunk.kind} ${chunk.start} to ${chunk.end}`);
    const before = this.#files.get(file);
    const offset = before?.offset ?? chunk.begin;
    if (chunk.start > offset || (chunk.end <= offset && before !== undefined)) return;
    if (chunk.kind === 'data') {
      const pieces = this.#arrived.get(path) ?? [];
      pieces.push(Buffer.from(bytes.subarray(offset - chunk.start)));
      this.#arrived.set(path, pieces);
    }
    const tail = chunk.kind === 'data' ? chunk.tail : null;
    this.#files.set(file, { path, offset: chunk.end, tail });
  }
}
