// The last lines of every selected file, read back from the end of a stream: further and further, until all files that were
// seen have enough. Which files there are nobody knows but who reads: one that has not written within what was looked at is
// not shown. Bounded in what it reads and in what it keeps.

import type { Selection } from '../../common/fleet/selection.ts';
import type { Link } from '../../common/nats/connection.ts';
import type { Topology } from '../../common/wire/topology.ts';
import { storedAt } from '../../common/stream/pull.ts';
import { readStream } from '../../common/stream/read.ts';
import { LastLines } from './last-lines.ts';
import { Feed, type FeedOptions, pathKey } from './feed.ts';
import { type Block, LineKeeper } from './lines.ts';

export interface BackOptions extends FeedOptions {
  readonly topology: Topology;
  /** How many lines of each file, from 1 on. */
  readonly lines: number;
  /** Only what was stored from then on. */
  readonly since: Date | undefined;
  /** What the stream holds: sequences, both included, and bytes. */
  readonly state: {
    readonly first_seq: number;
    readonly last_seq: number;
    readonly messages: number;
    readonly bytes: number;
  };
  /** Nothing comes behind it: unfinished lines are lines too. */
  readonly isEnd: boolean;
  /** On their way from the server, or waiting here. */
  readonly readBytes: number;
  /** A look back reads no more than that, as it was sent. */
  readonly mostBytes: number;
}

export interface Back {
  /** In the order of the stream. */
  readonly blocks: Block[];
  /** Goes on behind them. */
  readonly lines: LineKeeper;
  /** How many files that were seen may have more lines further back than was looked. */
  readonly unfinished: number;
  /** Nothing of the selection was seen, and there is more further back than was looked. */
  readonly isUnseen: boolean;
  /** Whether lines are so long that some were left out. */
  readonly isCut: boolean;
}

/** The first look is about so long, the last one at least; each next one goes back this many times as far. */
const FIRST_BYTES = 1024 * 1024;
const GROWTH = 8;
const SMALL_GROWTH = 2;

/** Undefined when the signal fires. */
export async function readBack(
  link: Link,
  options: BackOptions,
  signal: AbortSignal,
): Promise<Back | undefined> {
  const { state, selection } = options;
  const found = { lines: new LineKeeper(), rings: new LastLines(options.lines) };
  const done = new Set<string>();
  let lacking: readonly string[] = [];
  // What has its lines is not unpacked again.
  const rest: Selection = {
    subjects: (topology) => selection.subjects(topology),
    matches: (host, path) => !done.has(pathKey({ host, path })) && selection.matches(host, path),
  };
  const average = Math.max(1, state.bytes / Math.max(1, state.messages));
  let span = Math.max(16, Math.ceil(FIRST_BYTES / average));
  let [before, growth, isBounded] = [0, GROWTH, false];
  for (;;) {
    const from = Math.max(state.first_seq, state.last_seq - span + 1);
    const look = await lookBack(link, { ...options, selection: rest }, from, signal);
    if (signal.aborted) return undefined;
    if (look === undefined) {
      // More than is to be read: not so far, once.
      isBounded = before === 0 || growth === SMALL_GROWTH;
      if (isBounded) break;
      growth = SMALL_GROWTH;
      span = before * growth;
      continue;
    }
    found.lines.adopt(look.lines);
    found.rings.adopt(look.rings);
    for (const file of look.done) done.add(file);
    const isAll = from <= state.first_seq || look.isAtSince || found.rings.isCut;
    lacking = isAll ? [] : look.lacking;
    if (isAll || (done.size > 0 && lacking.length === 0 && look.bytes >= FIRST_BYTES)) break;
    before = span;
    span *= growth;
  }
  return {
    blocks: found.rings.sorted(),
    lines: found.lines,
    unfinished: lacking.length,
    isUnseen: isBounded && done.size === 0 && lacking.length === 0,
    isCut: found.rings.isCut,
  };
}

interface Look {
  readonly lines: LineKeeper;
  readonly rings: LastLines;
  /** Files that were seen: those with enough lines or all there ever were, and the others. */
  readonly done: readonly string[];
  readonly lacking: readonly string[];
  /** That were read, as they were sent. */
  readonly bytes: number;
  readonly isAtSince: boolean;
}

/** Undefined when there is more to read than is to be read. */
async function lookBack(
  link: Link,
  options: BackOptions,
  from: number,
  signal: AbortSignal,
): Promise<Look | undefined> {
  const { topology, selection, since, state, mostBytes } = options;
  const feed = new Feed(options);
  const rings = new LastLines(options.lines);
  const seen = new Set<string>();
  const whole = new Set<string>();
  let [bytes, isAtSince] = [0, false];
  const subjects = selection.subjects(topology);
  const reading = {
    stream: topology.stream,
    subjects,
    from,
    until: state.last_seq,
    bytes: options.readBytes,
  };
  for await (const batch of readStream(link, reading, signal)) {
    for (const { data } of batch) bytes += data.length;
    if (bytes > mostBytes) return undefined;
    const recent = batch.filter((delivery) => since === undefined || storedAt(delivery) >= since.getTime());
    isAtSince ||= recent.length < batch.length;
    for await (const { delivery, selected, blocks } of feed.blocks(recent)) {
      for (const { source, chunk } of selected) {
        seen.add(pathKey(source));
        // Nothing was ever shipped of it before.
        if (chunk.start <= chunk.begin && chunk.after === undefined) whole.add(pathKey(source));
      }
      for (const block of blocks) rings.add(pathKey(block.source), block, delivery.seq);
    }
  }
  if (options.isEnd)
    for (const block of feed.lines.flush()) rings.add(pathKey(block.source), block, state.last_seq);
  const isDone = (file: string): boolean => whole.has(file) || rings.isFull(file);
  const lacking = [...seen].filter((file) => !isDone(file));
  return { lines: feed.lines, rings, done: [...seen].filter(isDone), lacking, bytes, isAtSince };
}
