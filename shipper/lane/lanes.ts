// A host's lanes: chunks of many files become messages. One message is on its way in each lane, fenced by the lane's last
// sequence. Small chunks go together, as many as have come since the last message; large ones do not hold them up.

import { setImmediate } from 'node:timers/promises';

import { isUnanswered, isWrongSequence } from '../../common/nats/bucket.ts';
import { messageOf } from '../../common/runtime/errors.ts';
import type { Logger } from '../../common/runtime/log.ts';
import { sleep } from '../../common/runtime/run.ts';
import {
  MAX_CHUNKS,
  MAX_TABLE_BYTES,
  packBundle,
  type Packed,
  type Sent,
  SHARED_BYTES,
} from '../../common/wire/bundle.ts';
import { MAX_CHUNK_BYTES } from '../../common/wire/chunk.ts';
import { LANES } from '../../common/wire/subjects.ts';
import type { ShipperCounts } from '../report/counts.ts';
import { afterDoubt } from '../host/doubt.ts';
import type { HostLanes } from '../host/host-lanes.ts';

/** Source bytes of a message, unless one chunk has more. */
const BUNDLE_BYTES = 1024 * 1024;
/** Subject, headers and protocol of a message beside its payload. */
export const HEADER_ROOM = 2_048;
/** What a table has for a chunk beside path and ids. */
const ROW_BYTES = 160;
/** From one message of small chunks to the next: the less it carries, the sooner. */
const SHORTEST_PACE_MS = 5;
const LONGEST_PACE_MS = 25;
const MANY_CHUNKS = 50;
/** So many bytes need not wait for more. */
const ENOUGH_BYTES = 256 * 1024;
const RETRY_MS = 250;

interface Waiting {
  readonly sent: Sent;
  readonly signal: AbortSignal;
  readonly onStored: (seq: number) => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface Lane {
  /** The first is for small chunks; the others take large ones, whichever is free. */
  readonly number: number;
  /** The last sequence of its subject; undefined before it was asked for. */
  expected: number | undefined;
  isBusy: boolean;
  /** Everything below was stored when its message was sent. */
  floor: number;
}

export interface LanesOptions {
  readonly lanes: HostLanes;
  /** 8 hex digits that no other run of a shipper has. */
  readonly incarnation: string;
  readonly compress: boolean;
  readonly counts: ShipperCounts;
  readonly log: Logger;
  /** No answer is waited for any more. */
  readonly stop: AbortSignal;
  /** Told when small chunks can be sent, for more to come. */
  readonly onFree: () => void;
  /** All messages up to this sequence are stored, and those who sent them know it. */
  readonly onStored: (seq: number) => void;
}

export class Lanes {
  readonly #options: LanesOptions;
  #built = 0;
  readonly #lanes: readonly Lane[];
  readonly #small: Waiting[] = [];
  readonly #large: Waiting[] = [];
  #stored = 0;

  constructor(options: LanesOptions) {
    this.#options = options;
    this.#lanes = Array.from({ length: LANES }, (_, number) => ({
      number,
      expected: undefined,
      isBusy: false,
      floor: 0,
    }));
  }

  /** The stream ends here as far as is known: at a start, or when it has lost what was known of it. */
  restart(stored: number): void {
    this.#stored = stored;
    for (const lane of this.#lanes) lane.floor = Math.min(lane.floor, stored);
  }

  /**
   * Sends a chunk with whatever else there is. Resolves when the stream has it; throws the server's error, or the signal's
   * reason when that fires while there is no answer: then it is not known.
   *
   * @param onStored told the message's sequence before anything else is
   */
  async send(sent: Sent, signal: AbortSignal, onStored: (seq: number) => void): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const isSmall = sent.payload.length <= SHARED_BYTES;
      (isSmall ? this.#small : this.#large).push({ sent, signal, onStored, resolve, reject });
      const lane = this.#lanes.find(({ number, isBusy }) => !isBusy && (number === 0) === isSmall);
      if (lane !== undefined) void this.#run(lane, isSmall ? this.#small : this.#large);
    });
  }

  async #run(lane: Lane, queue: Waiting[]): Promise<void> {
    lane.isBusy = true;
    while (queue.length > 0) {
      const began = performance.now();
      // What comes in the same moment goes with it.
      if (lane.number === 0) this.#options.onFree();
      await setImmediate();
      const waiting = this.#take(queue);
      // Another lane has taken it.
      if (waiting.length === 0) break;
      try {
        await this.#deliver(lane, waiting);
      } catch (error) {
        lane.expected = undefined;
        for (const { reject } of waiting) reject(error);
      }
      if (lane.number > 0 || bytesOf(queue) >= ENOUGH_BYTES) continue;
      const share = Math.min(1, waiting.length / MANY_CHUNKS);
      const pace = SHORTEST_PACE_MS + (LONGEST_PACE_MS - SHORTEST_PACE_MS) * share;
      const rest = began + pace - performance.now();
      if (rest > 0) await sleep(rest, this.#options.stop);
    }
    lane.isBusy = false;
  }

  /** What fits into one message, the oldest first; one chunk always does. */
  #take(queue: Waiting[]): Waiting[] {
    const most = Math.min(BUNDLE_BYTES, this.#options.lanes.maxPayload() - HEADER_ROOM);
    let [count, bytes, table, source] = [0, 0, 0, 0];
    for (const { sent } of queue) {
      const row = rowBytes(sent);
      const content = sent.chunk.kind === 'data' ? sent.chunk.end - sent.chunk.start : 0;
      const isFull =
        bytes + sent.payload.length + table + row > most ||
        table + row > MAX_TABLE_BYTES ||
        source + content > MAX_CHUNK_BYTES;
      if (count > 0 && (isFull || count === MAX_CHUNKS)) break;
      count += 1;
      bytes += sent.payload.length;
      table += row;
      source += content;
    }
    return queue.splice(0, count);
  }

  /** Until the stream has it, or says what is wrong with it, or no sender waits for it any more. */
  async #deliver(lane: Lane, waiting: readonly Waiting[]): Promise<void> {
    const { lanes, counts, log, stop } = this.#options;
    let left = waiting;
    let bundle = this.#pack(left);
    lane.floor = this.#stored;
    for (let refusals = 0; ; refusals += 1) {
      // The server that answers may be behind, or another process publishes here.
      if (refusals > 1) await sleep(RETRY_MS, stop);
      try {
        lane.expected ??= (await lanes.lastOf(lane.number))?.seq ?? 0;
        this.#acknowledged(lane, left, await lanes.publish(lane.number, bundle, lane.expected));
        return;
      } catch (error) {
        if (!isWrongSequence(error) && !isUnanswered(error)) throw error;
        log.debug({ lane: lane.number, why: messageOf(error) }, 'publish refused or unanswered; looking');
        if (isWrongSequence(error)) counts.refused += 1;
        else counts.unanswered += 1;
      }
      const last = await this.#look(lane, left);
      if (last === undefined) {
        for (const { reject } of left) reject(stop.reason);
        return;
      }
      const verdict = afterDoubt(bundle.stamp, last ?? undefined);
      if (verdict.kind === 'stored') {
        this.#acknowledged(lane, left, verdict.seq);
        return;
      }
      lane.expected = verdict.expected;
      const wanted = left.filter(({ signal }) => !signal.aborted);
      if (wanted.length === left.length) continue;
      for (const { signal, reject } of left) if (signal.aborted) reject(signal.reason);
      if (wanted.length === 0) return;
      left = wanted;
      bundle = this.#pack(left);
    }
  }

  /** The last message of the lane, null for none; undefined when no sender waits for an answer any more. */
  async #look(
    lane: Lane,
    left: readonly Waiting[],
  ): Promise<Awaited<ReturnType<HostLanes['lastOf']>> | null> {
    const { lanes, stop } = this.#options;
    while (!stop.aborted && left.some(({ signal }) => !signal.aborted)) {
      try {
        return (await lanes.lastOf(lane.number)) ?? null;
      } catch (error) {
        if (!isUnanswered(error)) throw error;
      }
      await sleep(RETRY_MS, stop);
    }
    return undefined;
  }

  #pack(waiting: readonly Waiting[]): Packed {
    this.#built += 1;
    const { compress, incarnation } = this.#options;
    return packBundle(
      `${incarnation}.${this.#built}`,
      waiting.map(({ sent }) => sent),
      compress,
    );
  }

  #acknowledged(lane: Lane, waiting: readonly Waiting[], seq: number): void {
    lane.expected = seq;
    lane.floor = Number.POSITIVE_INFINITY;
    this.#stored = Math.max(this.#stored, seq);
    for (const { onStored } of waiting) onStored(seq);
    const floors = this.#lanes.map(({ isBusy, floor }) => (isBusy ? floor : Number.POSITIVE_INFINITY));
    this.#options.onStored(Math.min(this.#stored, ...floors));
    for (const { resolve } of waiting) resolve();
  }
}

function rowBytes({ path, file }: Sent): number {
  return Buffer.byteLength(JSON.stringify(path)) + file.length * 2 + ROW_BYTES;
}

function bytesOf(queue: readonly Waiting[]): number {
  let bytes = 0;
  for (const { sent } of queue) bytes += sent.payload.length;
  return bytes;
}
