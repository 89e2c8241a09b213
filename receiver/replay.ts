// A replay from start to stop: a part of the stream is written into a directory of its own, by a receiver's rules.
// Touches no consumer, record or member but to read; a directory that was begun is gone on with.

import { isUnanswered } from '../common/nats/bucket.ts';
import { LogferryError } from '../common/runtime/errors.ts';
import { workIn } from '../common/runtime/files.ts';
import type { Logger } from '../common/runtime/log.ts';
import { type Link, openLink } from '../common/nats/connection.ts';
import { RecordStore } from '../common/record/store.ts';
import { STOP_ANSWERS_MS, untilAnswered } from '../common/runtime/run.ts';
import { type Selection, selectionOf } from '../common/fleet/selection.ts';
import { streamInfo, topologyOf } from '../common/stream/stream.ts';
import { prepareOutput } from './disk/access.ts';
import { closeOutput, ledgerOf, openOutput, type Output, recoverOutput } from './output/output.ts';
import { ledgersIn } from './ledger/ledger-file.ts';
import { askedBy } from './replay/asked.ts';
import { Gaps } from './replay/gaps.ts';
import type { ReplayOptions, ReplayReport } from './replay/options.ts';
import { ReplayOutput } from './replay/output.ts';
import { type Begun, Replay } from './replay/run.ts';
import { refuseOther, REPLAY_VERSION, replayIn, type ReplayState, saveState } from './replay/state.ts';
import { isThere } from './disk/segments.ts';
import { countMessages, sequenceAt } from './replay/stream-range.ts';

export type { ReplayOptions, ReplayProgress, ReplayReport } from './replay/options.ts';

const GIVE_UP_MS = 30_000;

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
    stopMs: STOP_ANSWERS_MS,
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
    if (found.done) return { topology, state: found, total: 0, least: 0, missing: 0 };
    const range = { first: found.reached + 1, last: found.last };
    const { least, most } = await countMessages(link, topology, selection.subjects(topology), range);
    return { topology, state: found, total: most, least, missing: found.left - least };
  }
  if (since !== undefined && messages > 0 && since < new Date(first_ts))
    say(`stream ${stream.name} begins at ${first_ts}: nothing older is in it`);
  const first = since === undefined ? first_seq : await sequenceAt(link, topology, since);
  const behind = until === undefined ? last_seq + 1 : await sequenceAt(link, topology, until);
  const range = { first: Math.max(1, first), last: Math.min(last_seq, behind - 1) };
  const { most: total, least } = await countMessages(link, topology, selection.subjects(topology), range);
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
    least,
    missing: 0,
    state: {
      version: REPLAY_VERSION,
      stream,
      asked,
      ...range,
      reached: range.first - 1,
      left: total,
      done: false,
      dropped: [],
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
    await openLedgers(output, begun.topology.partitions, log);
    // Another start may have gone on until the lock was had.
    const state = (await replayIn(output.out)) ?? begun.state;
    await workIn(output.out, '--out', async () => await saveState(output.out, state));
    const { topology } = begun;
    const range = { first: state.first, last: state.last };
    const store = new RecordStore(link, topology.stream, log);
    const isAsked = askedBy(selection);
    const gaps = new Gaps({ link, topology, store, isAsked, range, signal }, state);
    const { created } = state.stream;
    const written = await ReplayOutput.open({ output, topology, created, rotate, resolver: gaps, log });
    try {
      const asked = { selection, isAsked };
      return await new Replay(link, options, asked, { ...begun, state }, written, gaps).run(signal);
    } finally {
      await written.close();
    }
  } finally {
    await closeOutput(output);
  }
}

/** Opens what is there. Throws `failed` when a receiver has gone on in it. */
async function openLedgers(output: Output, partitions: number, log: Logger): Promise<void> {
  for (const partition of await ledgersIn(output.out)) {
    const { ledger } = await ledgerOf(output, partition, log);
    if (ledger.bucket !== undefined)
      throw new LogferryError(
        'failed',
        `a receiver has gone on in ${output.out} since it was replayed`,
        'give a fresh directory',
      );
  }
  await recoverOutput(output, partitions, log);
}
