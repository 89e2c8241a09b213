// The last lines of every selected file that a stream holds, read back from its end: further and further, of those files
// alone that have not enough lines yet. Bounded in what it reads and in what it keeps.

import { isUnanswered } from '../../common/nats/bucket.ts';
import type { Link } from '../../common/nats/connection.ts';
import { untilAnswered } from '../../common/runtime/run.ts';
import { parseStoredSubject } from '../../common/wire/subjects.ts';
import type { Topology } from '../../common/wire/topology.ts';
import { storedAt } from '../../common/stream/pull.ts';
import { readStream } from '../../common/stream/read.ts';
import { LastLines } from './last-lines.ts';
import { Feed, type FeedOptions } from './feed.ts';
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
  /** How many files may have more lines further back than was looked. */
  readonly unfinished: number;
  /** Whether lines are so long that some were left out. */
  readonly isCut: boolean;
}

/** The first look is about so long; each next one goes back this many times as far. */
const FIRST_BYTES = 1024 * 1024;
const GROWTH = 8;
const SMALL_GROWTH = 2;
/** Above this many files the server is asked for all that are selected. */
const MOST_FILTERS = 64;

/** A file, its part of the stored subjects, and how many messages of it there are. */
interface File {
  readonly filter: string;
  messages: number;
}

/** Undefined when the signal fires. */
export async function readBack(
  link: Link,
  options: BackOptions,
  signal: AbortSignal,
): Promise<Back | undefined> {
  const { state, lines: most } = options;
  const files = await untilAnswered(async () => await filesOf(link, options), isUnanswered, signal);
  if (files === undefined) return undefined;
  let lacking = files;
  const found = { lines: new LineKeeper(), rings: new LastLines(most) };
  const average = Math.max(1, state.bytes / Math.max(1, state.messages));
  let span = Math.max(16, Math.ceil(FIRST_BYTES / average));
  let [before, growth] = [0, GROWTH];
  while (lacking.size > 0) {
    const from = Math.max(state.first_seq, state.last_seq - span + 1);
    const look = await lookBack(link, options, from, lacking, signal);
    if (signal.aborted) return undefined;
    if (look === undefined) {
      // More than is to be read: not so far, once.
      if (growth === SMALL_GROWTH) break;
      growth = SMALL_GROWTH;
      span = Math.max(1, before * growth);
      if (before > 0) continue;
      break;
    }
    found.lines.adopt(look.lines);
    found.rings.adopt(look.rings);
    for (const [name, { messages }] of lacking)
      if (look.rings.isFull(name) || (look.seen.get(name) ?? 0) >= messages) lacking.delete(name);
    if (from <= state.first_seq || look.isAtSince || found.rings.isCut) lacking = new Map();
    before = span;
    span *= growth;
  }
  return {
    blocks: found.rings.sorted(),
    lines: found.lines,
    unfinished: lacking.size,
    isCut: found.rings.isCut,
  };
}

interface Look {
  readonly lines: LineKeeper;
  readonly rings: LastLines;
  /** Messages of each file. */
  readonly seen: Map<string, number>;
  readonly isAtSince: boolean;
}

/** Undefined when there is more to read than is to be read. */
async function lookBack(
  link: Link,
  options: BackOptions,
  from: number,
  files: ReadonlyMap<string, File>,
  signal: AbortSignal,
): Promise<Look | undefined> {
  const { topology, selection, since, state, readBytes: bytes, mostBytes } = options;
  const feed = new Feed(options);
  const rings = new LastLines(options.lines);
  const seen = new Map<string, number>();
  let [read, isAtSince] = [0, false];
  const subjects =
    files.size > MOST_FILTERS
      ? selection.subjects(topology)
      : [...files.values()].map(({ filter }) => filter);
  const reading = { stream: topology.stream, subjects, from, until: state.last_seq, bytes };
  for await (const batch of readStream(link, reading, signal)) {
    const wanted = batch.filter((delivery) => {
      const source = feed.sourceOf(delivery.subject);
      const name = source === undefined ? undefined : nameOf(source);
      if (name === undefined || !files.has(name)) return false;
      seen.set(name, (seen.get(name) ?? 0) + 1);
      const isSince = since === undefined || storedAt(delivery) >= since.getTime();
      if (!isSince) isAtSince = true;
      return isSince;
    });
    for (const { data } of batch) read += data.length;
    if (read > mostBytes) return undefined;
    for await (const { delivery, blocks } of feed.blocks(wanted))
      for (const block of blocks) rings.add(nameOf(block.source), block, delivery.seq);
  }
  if (options.isEnd)
    for (const block of feed.lines.flush()) rings.add(nameOf(block.source), block, state.last_seq);
  return { lines: feed.lines, rings, seen, isAtSince };
}

/** The selected files that the stream holds anything of. */
async function filesOf(link: Link, { topology, selection }: BackOptions): Promise<Map<string, File>> {
  const { stream, prefix } = topology;
  const files = new Map<string, File>();
  for (const subjects_filter of selection.subjects(topology)) {
    const { state } = await link.ask(async () => await link.jsm.streams.info(stream, { subjects_filter }));
    for (const [subject, messages] of Object.entries(state.subjects ?? {})) {
      const source = parseStoredSubject(prefix, subject);
      if (source === undefined || !selection.matches(source.host, source.path)) continue;
      const filter = `${subject.slice(0, subject.lastIndexOf('.'))}.*`;
      const known = files.get(nameOf(source));
      if (known === undefined) files.set(nameOf(source), { filter, messages });
      else known.messages += messages;
    }
  }
  return files;
}

/** A file across its generations. */
function nameOf({ host, path }: { readonly host: string; readonly path: string }): string {
  return JSON.stringify([host, path]);
}
