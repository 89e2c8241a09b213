// A replay that has begun: the messages once in the stream's order, then those again that came before their turn; on disk
// as often as a receiver commits.

import type { StreamInfo } from '@nats-io/jetstream';

import { isUnanswered } from '../../common/nats/bucket.ts';
import { workIn } from '../../common/runtime/files.ts';
import type { Link } from '../../common/nats/connection.ts';
import { untilAnswered } from '../../common/runtime/run.ts';
import type { Selection } from '../../common/fleet/selection.ts';
import { streamInfo } from '../../common/stream/stream.ts';
import { fileKey, hostFilter, type SourceName } from '../../common/wire/subjects.ts';
import type { Topology } from '../../common/wire/topology.ts';
import type { Delivery } from '../../common/stream/pull.ts';
import { readStream } from '../../common/stream/read.ts';
import type { IsAsked } from './asked.ts';
import type { Gaps } from './gaps.ts';
import type { ReplayOptions, ReplayReport } from './options.ts';
import type { ReplayOutput } from './output.ts';
import { type ReplayState, saveState, type Waiting } from './state.ts';

/** On their way, or waiting here. */
const READ_BYTES = 3 * 1024 * 1024;
const SAVE_EVERY_MS = 1_000;
/** More hosts are picked out of all that was asked for. */
const MOST_FILTERS = 64;

/** What there is to do. */
export interface Begun {
  readonly topology: Topology;
  readonly state: ReplayState;
  /** Messages to be read, at most; and at least, as long as the stream drops none. */
  readonly total: number;
  readonly least: number;
  /** Messages that were still to be read when an earlier start stopped, and may not be there any more: at most. */
  readonly missing: number;
}

export class Replay {
  readonly #link: Link;
  readonly #options: ReplayOptions;
  readonly #selection: Selection;
  readonly #topology: Topology;
  readonly #total: number;
  readonly #least: number;
  readonly #missing: number;
  readonly #written: ReplayOutput;
  readonly #gaps: Gaps;
  readonly #isAsked: IsAsked;
  #state: ReplayState;
  #savedAt = performance.now();
  #done = 0;

  constructor(
    link: Link,
    options: ReplayOptions,
    asked: { readonly selection: Selection; readonly isAsked: IsAsked },
    { topology, state, total, least, missing }: Begun,
    written: ReplayOutput,
    gaps: Gaps,
  ) {
    this.#link = link;
    this.#options = options;
    this.#selection = asked.selection;
    this.#isAsked = asked.isAsked;
    this.#topology = topology;
    this.#state = state;
    this.#total = total;
    this.#least = least;
    this.#missing = missing;
    this.#written = written;
    this.#gaps = gaps;
  }

  async run(signal: AbortSignal): Promise<ReplayReport | undefined> {
    const before = this.#written.totals().bytes;
    try {
      await this.#readAll(signal);
      // What is read again was counted.
      const { foreign } = this.#written.stats;
      const stuck = await this.#readWaiting(signal);
      this.#state = { ...this.#state, done: !signal.aborted };
      await this.#save();
      if (signal.aborted) return undefined;
      const { waiting: _, ...notes } = this.#gaps.notes;
      const left = stuck.map(({ end: to, ...one }) => ({
        ...one,
        from: this.#written.offsetOf(one.host, one.file),
        to,
      }));
      return {
        ...this.#written.totals(),
        ...notes,
        dropped: this.#state.dropped,
        stuck: left,
        foreign,
        before,
      };
    } catch (error) {
      if (signal.aborted && error === signal.reason) return undefined;
      throw error;
    }
  }

  /** The whole range once, in the stream's order. */
  async #readAll(signal: AbortSignal): Promise<void> {
    const from = await this.#noteDropped(this.#state.reached, this.#missing, signal);
    this.#state = { ...this.#state, reached: from };
    if (this.#total === 0) return;
    let at = from;
    for await (const deliveries of this.#read(this.#selection.subjects(this.#topology), at + 1, signal)) {
      await this.#written.write(deliveries, this.#isAsked);
      at = deliveries.at(-1)?.seq ?? at;
      this.#done += deliveries.length;
      this.#progress();
      // Silence would say so too, a second later.
      if (this.#done >= this.#total) break;
      if (this.#written.isCommitDue) await this.#commit(at);
    }
    await this.#commit(at);
    const end = await this.#noteDropped(at, this.#total - this.#done, signal);
    // The end is there, and something before it was dropped while it was being read.
    if (end === at && !signal.aborted) await this.#noteDropped(from, this.#least - this.#done, signal);
    await this.#commit(signal.aborted ? end : this.#state.last);
  }

  /**
   * Notes what the stream no longer has behind this sequence; returns the last sequence of that, or the same.
   *
   * @param missing so many messages of what was asked for may be among them
   */
  async #noteDropped(at: number, missing: number, signal: AbortSignal): Promise<number> {
    if (missing <= 0) return at;
    const ask = async (): Promise<StreamInfo | undefined> =>
      await streamInfo(this.#link, this.#topology.stream);
    const info = await untilAnswered(ask, isUnanswered, signal);
    const reached = Math.min(this.#state.last, (info?.state.first_seq ?? 0) - 1);
    if (reached <= at) return at;
    const gap = { first: at + 1, last: reached, messages: Math.min(missing, reached - at) };
    this.#state = { ...this.#state, dropped: [...this.#state.dropped, gap] };
    return reached;
  }

  /** What was passed by because earlier bytes came later: again, until nothing moves. Returns what never will. */
  async #readWaiting(signal: AbortSignal): Promise<readonly Waiting[]> {
    for (;;) {
      const waiting = this.#gaps.stillWaiting((host, file) => this.#written.offsetOf(host, file));
      if (waiting.length === 0 || this.#state.done || signal.aborted) return waiting;
      const before = this.#written.stats.bytes + this.#gaps.passed;
      const keys = new Set(waiting.map(({ host, file }) => fileKey(host, file)));
      const hosts = new Set(waiting.map(({ host }) => host));
      const subjects =
        hosts.size > MOST_FILTERS
          ? this.#selection.subjects(this.#topology)
          : [...hosts].map((host) => hostFilter(this.#topology.prefix, host));
      const isWanted = (source: SourceName): boolean =>
        keys.has(fileKey(source.host, source.file)) && this.#isAsked(source);
      for await (const deliveries of this.#read(subjects, this.#state.first, signal)) {
        await this.#written.write(deliveries, isWanted);
        this.#progress();
        if (this.#written.isCommitDue) await this.#commit(undefined);
      }
      await this.#commit(undefined);
      if (this.#written.stats.bytes + this.#gaps.passed === before) return waiting;
    }
  }

  #read(subjects: readonly string[], from: number, signal: AbortSignal): AsyncGenerator<Delivery[], void> {
    const { stream } = this.#topology;
    const { last: until } = this.#state;
    return readStream(this.#link, { stream, subjects, from, until, bytes: READ_BYTES }, signal);
  }

  #progress(): void {
    const { bytes } = this.#written.stats;
    this.#options.onProgress({ done: this.#done, total: this.#total, bytes });
  }

  /** @param reached the stream sequence up to which everything was written; undefined for as before */
  async #commit(reached: number | undefined): Promise<void> {
    // Before the bytes: what was left out before them is never forgotten.
    if (this.#gaps.isChanged) await this.#save();
    await this.#written.commit();
    const left = Math.max(0, this.#total - this.#done);
    if (reached !== undefined) this.#state = { ...this.#state, reached, left };
    if (performance.now() - this.#savedAt >= SAVE_EVERY_MS) await this.#save();
  }

  async #save(): Promise<void> {
    const { out } = this.#options;
    this.#gaps.isChanged = false;
    this.#state = { ...this.#state, ...this.#gaps.notes };
    await workIn(out, '--out', async () => await saveState(out, this.#state));
    this.#savedAt = performance.now();
  }
}
