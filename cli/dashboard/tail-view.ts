// A live tail for one viewer: the last lines that the stream holds, then what comes, at a pace that a person and a
// browser can take. What is too much is left out, and counted. Reads beside everybody else and acknowledges nothing.

import { isUnanswered } from '../../common/nats/bucket.ts';
import { LogferryError, oneLine } from '../../common/runtime/errors.ts';
import type { Logger } from '../../common/runtime/log.ts';
import { explain, type Link } from '../../common/nats/connection.ts';
import { Budget, sleep, untilAnswered } from '../../common/runtime/run.ts';
import { streamInfo, topologyOf } from '../../common/stream/stream.ts';
import { type Delivery, pendingAfter } from '../../common/stream/pull.ts';
import { readStream } from '../../common/stream/read.ts';
import type { StatusNames } from '../status/collect.ts';
import { readBack } from '../tail/back.ts';
import { Feed } from '../tail/feed.ts';
import { type Block, LineKeeper } from '../tail/lines.ts';
import { LinesWindow, type ShownLine } from './lines-window.ts';
import type { TailQuery } from './tail-query.ts';
import type { Viewer } from './viewer.ts';

export interface TailParts {
  readonly names: StatusNames;
  /** Undefined until there is a connection. */
  readonly link: () => Link | undefined;
  readonly server: string;
  readonly log: Logger;
}

/** Lines are sent so often, and so many: 200 a second. */
const SEND_EVERY_MS = 250;
const LINES_EACH = 50;
/** What it begins with: so many lines of each file, or with a search among so many, and so many in all. */
const BACK_LINES = 20;
const BACK_LINES_SEARCHED = 500;
const MOST_BACK = 200;
/** On their way from the server, or waiting here. */
const READ_BYTES = 1024 * 1024;
/** What is read back at the start, at most. */
const MOST_BACK_BYTES = 32 * 1024 * 1024;
/** As they come from the server, a second. Above it, what waits is jumped over. */
const MOST_BYTES_PER_SECOND = 4 * 1024 * 1024;
/** That many wait no longer than a moment. */
const FEW_MESSAGES = 64;
const RETRY_MS = 1_000;
/** Unfinished lines of one viewer. */
const LIMITS = { heldBytes: 8 * 1024 * 1024, generations: 10_000 };

/** Reading back takes memory and time: one viewer after the other. */
const readingBack = new Budget(1);

/** Shows lines until the viewer is gone. Never throws: what is wrong is said to the viewer. */
export async function showTail(viewer: Viewer, query: TailQuery, parts: TailParts): Promise<void> {
  const window = new LinesWindow(LINES_EACH);
  const timer = setInterval(() => {
    sendLines(viewer, window);
  }, SEND_EVERY_MS);
  try {
    await follow(viewer, query, parts, window);
  } catch (error) {
    // What the viewer asked for cannot be done, now or ever; anything else is over when it asks again.
    const isFinal = error instanceof LogferryError && error.code === 'failed';
    const message = oneLine(explain(error, parts.server));
    viewer.send('problem', JSON.stringify({ message, isFinal }));
  } finally {
    clearInterval(timer);
    viewer.close();
  }
}

async function follow(
  viewer: Viewer,
  query: TailQuery,
  parts: TailParts,
  window: LinesWindow,
): Promise<void> {
  const { names, log } = parts;
  const signal = viewer.gone;
  const link = await untilConnected(parts, signal);
  const info = link === undefined ? undefined : await untilThere(link, viewer, names.stream, signal);
  if (link === undefined || info === undefined) return;
  const topology = topologyOf(names, info.config);
  const { state } = info;
  const common = { prefix: names.prefix, selection: query.selection, log };
  let keeper = new LineKeeper(LIMITS);
  if (state.messages > 0) {
    const lines = query.test === undefined ? BACK_LINES : BACK_LINES_SEARCHED;
    const done = await readingBack.take(1);
    try {
      const options = {
        ...common,
        topology,
        lines,
        since: undefined,
        state,
        isEnd: false,
        readBytes: READ_BYTES,
        mostBytes: MOST_BACK_BYTES,
      };
      const back = await readBack(link, options, signal);
      if (back === undefined) return;
      keeper = back.lines;
      const first = new LinesWindow(MOST_BACK);
      first.add(wanted(back.blocks, query));
      // Those before are not missed: it has to begin somewhere.
      viewer.send('lines', JSON.stringify({ lines: first.take().lines, leftOut: 0, jumped: 0 }));
    } finally {
      done();
    }
  }
  viewer.send('ready', '{}');
  const feed = new Feed(common, keeper);
  const subjects = query.selection.subjects(topology);
  let from: number | 'new' = state.last_seq + 1;
  while (!signal.aborted) {
    const reading = { stream: names.stream, subjects, from, until: undefined, bytes: READ_BYTES };
    const pace = new Pace();
    for await (const batch of readStream(link, reading, signal)) {
      const blocks: Block[] = [];
      for await (const one of feed.blocks(batch)) blocks.push(...one.blocks);
      window.add(wanted(blocks, query));
      const last = batch.at(-1);
      if (last === undefined || !pace.isOver(batch)) continue;
      const waiting = pendingAfter(last);
      await sleep(pace.restMs(), signal);
      if (waiting <= FEW_MESSAGES) continue;
      window.jump(waiting);
      break;
    }
    from = 'new';
  }
}

function sendLines(viewer: Viewer, window: LinesWindow): void {
  if (window.isEmpty || !viewer.isReading) return;
  viewer.send('lines', JSON.stringify(window.take()));
}

/** The wanted lines of blocks. Throws `failed` when the search takes too long. */
function wanted(blocks: readonly Block[], { test }: TailQuery): ShownLine[] {
  const lines = blocks.flatMap(linesOf);
  if (test === undefined) return lines;
  const isWanted = test(lines.map(({ text }) => text));
  return lines.filter((_, index) => isWanted[index]);
}

function linesOf({ source, bytes, isComplete, atMs }: Block): ShownLine[] {
  const { buffer, byteOffset, byteLength } = bytes;
  const text = Buffer.from(buffer, byteOffset, byteLength).toString(
    'utf8',
    0,
    byteLength - (isComplete ? 1 : 0),
  );
  const { host, path } = source;
  return text.split('\n').map((line) => ({ at: atMs, host, path, text: line.replace(/\r$/, '') }));
}

/** Counts bytes of the current second. */
class Pace {
  #began = performance.now();
  #bytes = 0;

  isOver(batch: readonly Delivery[]): boolean {
    const now = performance.now();
    if (now - this.#began >= 1_000) {
      this.#began = now;
      this.#bytes = 0;
    }
    for (const { data } of batch) this.#bytes += data.length;
    return this.#bytes > MOST_BYTES_PER_SECOND;
  }

  restMs(): number {
    return Math.max(0, this.#began + 1_000 - performance.now());
  }
}

async function untilConnected({ link }: TailParts, signal: AbortSignal): Promise<Link | undefined> {
  while (!signal.aborted && link() === undefined) await sleep(RETRY_MS, signal);
  return link();
}

/** Undefined when the signal fires first. */
async function untilThere(
  link: Link,
  viewer: Viewer,
  stream: string,
  signal: AbortSignal,
): Promise<Awaited<ReturnType<typeof streamInfo>>> {
  const ask = async (): ReturnType<typeof streamInfo> => await streamInfo(link, stream);
  while (!signal.aborted) {
    const info = await untilAnswered(ask, isUnanswered, signal);
    if (info !== undefined) return info;
    viewer.send('problem', JSON.stringify({ message: `there is no stream ${stream} yet`, isFinal: false }));
    await sleep(RETRY_MS, signal);
  }
  return undefined;
}
