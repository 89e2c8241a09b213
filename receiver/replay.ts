// A replay from start to stop: a part of the stream is written into a directory of its own, by a receiver's rules.
// Touches no consumer, record or member but to read; a directory that was begun is gone on with.

import { isUnanswered } from '../common/bucket.ts';
import { LogferryError } from '../common/errors.ts';
import { workIn } from '../common/files.ts';
import type { Logger } from '../common/log.ts';
import { type Link, openLink, type ServerOptions } from '../common/nats.ts';
import { RecordStore } from '../common/record-store.ts';
import { untilAnswered } from '../common/run.ts';
import { type Selection, selectionOf } from '../common/selection.ts';
import { streamInfo, topologyOf } from '../common/stream.ts';
import { fileKey, parseStoredSubject } from '../common/subjects.ts';
import type { Topology } from '../common/topology.ts';
import { prepareOutput } from './access.ts';
import type { RotateOptions } from './destination.ts';
import { closeOutput, ledgerOf, openOutput, type Output, recoverOutput } from './output.ts';
import type { Delivery } from './pull.ts';
import { readStream } from './read-stream.ts';
import { ledgersIn } from './ledger-file.ts';
import { Gaps } from './replay-gaps.ts';
import { ReplayOutput, type ReplayTotals } from './replay-output.ts';
import {
  type Asked,
  type Begin,
  type Hole,
  refuseOther,
  REPLAY_VERSION,
  replayIn,
  type ReplayState,
  saveState,
  type Waiting,
} from './replay-state.ts';
import { isThere } from './segments.ts';
import { countMessages, generationFilter, sequenceAt } from './stream-range.ts';

export interface ReplayOptions {
  readonly server: ServerOptions;
  readonly stream: string;
  readonly prefix: string;
  readonly out: string;
  /** As it was written; a directory that was begun goes on only with the same. */
  readonly asked: Asked;
  readonly since: Date | undefined;
  readonly until: Date | undefined;
  readonly rotate: RotateOptions;
  readonly log: Logger;
  /** Told something that is to be known now, in one line. */
  readonly say: (line: string) => void;
  readonly onProgress: (progress: ReplayProgress) => void;
}

export interface ReplayProgress {
  /** Messages read, and to be read, by this start. */
  readonly done: number;
  readonly total: number;
  /** Source bytes written by this start. */
  readonly bytes: number;
}

export interface ReplayReport extends ReplayTotals {
  readonly begins: readonly Begin[];
  /** Bytes in the middle that are not in the stream. */
  readonly holes: readonly Hole[];
  /** Holes beyond those listed. */
  readonly moreHoles: number;
  /** Bytes that messages say they hold, and that are not written: they do not, or what comes before never comes. */
  readonly stuck: readonly Hole[];
  /** Bytes were passed over that no receiver has committed: a receiver refuses the directory. */
  readonly uncommitted: boolean;
  /** Messages that logferry did not write, or whose payload does not match its checksum. */
  readonly foreign: number;
  /** Bytes that an earlier start had written. */
  readonly before: number;
}

const GIVE_UP_MS = 30_000;
/** On their way, or waiting here. */
const READ_BYTES = 3 * 1024 * 1024;
const SAVE_EVERY_MS = 1_000;
/** More generations are picked out of all that was asked for. */
const MOST_FILTERS = 64;

/** Undefined when the signal fired first: what was written is on disk, and the next start goes on behind it. */
export async function replay(options: ReplayOptions, signal: AbortSignal): Promise<ReplayReport | undefined> {
  const { log, asked, stream } = options;
  const selection = selectionOf(asked.host, asked.path, asked.exclude);
  const found = await replayIn(options.out);
  const link = await openLink(options.server, {
    name: 'logferry replay',
    log,
    signal,
    giveUpMs: GIVE_UP_MS,
  });
  try {
    const ask = async (): Promise<Begun> => await begin(link, options, selection, found);
    const info = await untilAnswered(async () => await streamInfo(link, stream), isUnanswered, signal);
    if (signal.aborted) return undefined;
    if (info === undefined)
      throw new LogferryError(
        'failed',
        `there is no stream ${stream}`,
        'give --stream and --server of the one to replay',
      );
    const begun = await untilAnswered(ask, isUnanswered, signal);
    if (begun === undefined) return undefined;
    return await into(link, options, selection, begun, signal);
  } finally {
    await link.close();
  }
}

interface Begun {
  readonly topology: Topology;
  readonly state: ReplayState;
  readonly total: number;
}

/** What there is to do. Throws `failed` when that is nothing. */
async function begin(
  link: Link,
  options: ReplayOptions,
  selection: Selection,
  found: ReplayState | undefined,
): Promise<Begun> {
  const { asked, since, until, say } = options;
  const info = await streamInfo(link, options.stream);
  if (info === undefined) throw new LogferryError('unreachable', `stream ${options.stream} comes and goes`);
  const topology = topologyOf(options, info.config);
  const { first_seq, first_ts, last_seq, messages } = info.state;
  const stream = { name: options.stream, prefix: options.prefix, created: info.created };
  if (found !== undefined) {
    refuseOther(options.out, found, asked, stream);
    const range = { first: found.reached + 1, last: found.last };
    return {
      topology,
      state: found,
      total: found.done ? 0 : await countMessages(link, topology, selection.subjects(topology), range),
    };
  }
  if (since !== undefined && messages > 0 && since < new Date(first_ts))
    say(`stream ${stream.name} begins at ${first_ts}: nothing older is in it`);
  const first = since === undefined ? first_seq : await sequenceAt(link, topology, since);
  const behind = until === undefined ? last_seq + 1 : await sequenceAt(link, topology, until);
  const range = { first: Math.max(1, first), last: Math.min(last_seq, behind - 1) };
  const total = await countMessages(link, topology, selection.subjects(topology), range);
  if (total === 0)
    throw new LogferryError(
      'failed',
      messages === 0 ? `stream ${stream.name} is empty` : `nothing in stream ${stream.name} was asked for`,
      messages === 0
        ? 'there is nothing to replay'
        : `it holds what was shipped from ${first_ts} to ${info.state.last_ts}: see --host, --path, --since and --until`,
    );
  return {
    topology,
    total,
    state: {
      version: REPLAY_VERSION,
      stream,
      asked,
      ...range,
      reached: range.first - 1,
      done: false,
      waiting: [],
      begins: [],
      holes: [],
      moreHoles: 0,
      uncommitted: false,
    },
  };
}

async function into(
  link: Link,
  options: ReplayOptions,
  selection: Selection,
  begun: Begun,
  signal: AbortSignal,
): Promise<ReplayReport | undefined> {
  const { log, rotate } = options;
  const isNew = await workIn(options.out, '--out', async () => !(await isThere(options.out)));
  const output = await openOutput(options.out, undefined, log);
  try {
    await prepareOutput(output.out, rotate.access ?? {}, isNew);
    await openLedgers(output, log);
    // Another start may have gone on until the lock was had.
    const state = (await replayIn(output.out)) ?? begun.state;
    await workIn(output.out, '--out', async () => await saveState(output.out, state));
    const { topology } = begun;
    const range = { first: state.first, last: state.last };
    const store = new RecordStore(link, topology.stream, log);
    const gaps = new Gaps({ link, topology, store, selection, range, signal }, state);
    const { created } = state.stream;
    const written = await ReplayOutput.open({ output, topology, created, rotate, resolver: gaps, log });
    try {
      return await new Replay(link, options, selection, { ...begun, state }, written, gaps).run(signal);
    } finally {
      await written.close();
    }
  } finally {
    await closeOutput(output);
  }
}

/** Opens what is there. Throws `failed` when a receiver has gone on in it. */
async function openLedgers(output: Output, log: Logger): Promise<void> {
  for (const partition of await ledgersIn(output.out)) {
    const { ledger } = await ledgerOf(output, partition, log);
    if (ledger.bucket !== undefined)
      throw new LogferryError(
        'failed',
        `a receiver has gone on in ${output.out} since it was replayed`,
        'give a fresh directory',
      );
  }
  await recoverOutput(output, log);
}

class Replay {
  readonly #link: Link;
  readonly #options: ReplayOptions;
  readonly #selection: Selection;
  readonly #topology: Topology;
  readonly #total: number;
  readonly #written: ReplayOutput;
  readonly #gaps: Gaps;
  readonly #isSelected = new Map<string, boolean>();
  #state: ReplayState;
  #savedAt = performance.now();
  #done = 0;

  constructor(
    link: Link,
    options: ReplayOptions,
    selection: Selection,
    { topology, state, total }: Begun,
    written: ReplayOutput,
    gaps: Gaps,
  ) {
    this.#link = link;
    this.#options = options;
    this.#selection = selection;
    this.#topology = topology;
    this.#state = state;
    this.#total = total;
    this.#written = written;
    this.#gaps = gaps;
  }

  async run(signal: AbortSignal): Promise<ReplayReport | undefined> {
    const before = this.#written.totals().bytes;
    try {
      await this.#readAll(signal);
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
        stuck: left,
        foreign: this.#written.stats.foreign,
        before,
      };
    } catch (error) {
      if (signal.aborted && error === signal.reason) return undefined;
      throw error;
    }
  }

  /** The whole range once, in the stream's order. */
  async #readAll(signal: AbortSignal): Promise<void> {
    if (this.#total === 0) return;
    const { last, reached } = this.#state;
    let at = reached;
    for await (const deliveries of this.#read(
      this.#selection.subjects(this.#topology),
      reached + 1,
      signal,
    )) {
      await this.#written.write(deliveries.filter(({ subject }) => this.#matches(subject)));
      at = deliveries.at(-1)?.seq ?? at;
      this.#done += deliveries.length;
      this.#progress();
      // Silence would say so too, a second later.
      if (this.#done >= this.#total) break;
      if (this.#written.isCommitDue) await this.#commit(at);
    }
    await this.#commit(signal.aborted ? at : last);
  }

  /** What was passed by because earlier bytes came later: again, until nothing moves. Returns what never will. */
  async #readWaiting(signal: AbortSignal): Promise<readonly Waiting[]> {
    for (;;) {
      const waiting = this.#gaps.stillWaiting((host, file) => this.#written.offsetOf(host, file));
      if (waiting.length === 0 || this.#state.done || signal.aborted) return waiting;
      const before = this.#written.stats.bytes + this.#gaps.passed;
      const keys = new Set(waiting.map(({ host, file }) => fileKey(host, file)));
      const subjects =
        waiting.length > MOST_FILTERS
          ? this.#selection.subjects(this.#topology)
          : waiting.map(({ host, file }) => generationFilter(this.#topology, host, file));
      const isWanted = (subject: string): boolean => {
        const source = parseStoredSubject(this.#topology.prefix, subject);
        return source !== undefined && keys.has(fileKey(source.host, source.file)) && this.#matches(subject);
      };
      for await (const deliveries of this.#read(subjects, this.#state.first, signal)) {
        await this.#written.write(deliveries.filter(({ subject }) => isWanted(subject)));
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

  #matches(subject: string): boolean {
    // The same for all generations of a path.
    const key = subject.slice(0, subject.lastIndexOf('.'));
    const known = this.#isSelected.get(key);
    if (known !== undefined) return known;
    const source = parseStoredSubject(this.#topology.prefix, subject);
    // What is not logferry's is counted, and said, where it is to be written.
    const matches = source === undefined || this.#selection.matches(source.host, source.path);
    if (source !== undefined) this.#isSelected.set(key, matches);
    return matches;
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
    if (reached !== undefined) this.#state = { ...this.#state, reached };
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
