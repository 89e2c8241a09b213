// A tail from its connection to its end: where it starts in the stream, what it prints, and what it says on the way.

import type { StreamInfo } from '@nats-io/jetstream';

import { isUnanswered } from '../../common/nats/bucket.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import type { Logger } from '../../common/runtime/log.ts';
import { chunkDone } from '../../common/runtime/memory.ts';
import { type Link, openLink, type ServerOptions } from '../../common/nats/connection.ts';
import { sleep, untilAnswered } from '../../common/runtime/run.ts';
import type { Selection } from '../../common/fleet/selection.ts';
import { streamInfo, topologyOf } from '../../common/stream/stream.ts';
import type { Topology } from '../../common/wire/topology.ts';
import { type ReadOptions, readStream } from '../../common/stream/read.ts';
import { formatBytes } from '../../common/text/units.ts';
import { readBack } from './back.ts';
import { Feed } from './feed.ts';
import { LineKeeper } from './lines.ts';
import { LinePrinter, type Look } from './print.ts';
import { Output } from '../terminal/write-out.ts';

export interface TailOptions {
  readonly server: ServerOptions;
  readonly stream: string;
  /** What its subjects begin with. */
  readonly prefix: string;
  readonly selection: Selection;
  /** By the time of storing. */
  readonly since: Date | undefined;
  /** The last lines of each file; undefined for all since then. */
  readonly lines: number | undefined;
  /** Whether to go on when all that the stream holds is printed. */
  readonly follow: boolean;
  readonly look: Look;
  readonly log: Logger;
}

const GIVE_UP_MS = 5_000;
const RETRY_MS = 500;
/** On their way from the server, or waiting here. */
const READ_BYTES = 4 * 1024 * 1024;
/** For the last lines of each file. */
const BACK_BYTES = 64 * 1024 * 1024;
/** Output is gathered up to this. */
const WRITE_BYTES = 1024 * 1024;
/** On a terminal an unfinished line is shown when its rest does not come for so long. */
const QUIET_MS = 1_000;
const LOOK_MS = 250;

/** Ends when the signal fires, or without `follow` at the end of the stream. */
export async function tail(options: TailOptions, signal: AbortSignal): Promise<void> {
  const { server, log } = options;
  const link = await openLink(server, { name: 'logferry tail', log, signal, giveUpMs: GIVE_UP_MS });
  try {
    const there = await theStream(link, options, signal);
    if (there !== undefined) await print(link, options, there, signal);
  } finally {
    await link.close();
  }
}

/** Where it is read, and what it held at the start. */
interface There {
  readonly topology: Topology;
  readonly info: StreamInfo;
  /** It came while we waited: all that it holds is new. */
  readonly isNew: boolean;
}

/** Undefined when the signal fires before it is there. */
async function theStream(link: Link, options: TailOptions, signal: AbortSignal): Promise<There | undefined> {
  const { stream, prefix, follow, log } = options;
  const ask = async (): Promise<StreamInfo | undefined> => await streamInfo(link, stream);
  for (let isNew = false; !signal.aborted; isNew = true) {
    const info = await untilAnswered(ask, isUnanswered, signal);
    if (info !== undefined) return { topology: topologyOf({ stream, prefix }, info.config), info, isNew };
    if (signal.aborted) return undefined;
    if (!follow)
      throw new LogferryError(
        'failed',
        `there is no stream ${stream} at ${link.nc.getServer()}`,
        'check --stream and --server; the first shipper creates it',
      );
    if (!isNew) log.warn(`there is no stream ${stream} yet; waiting for it`);
    await sleep(RETRY_MS, signal);
  }
  return undefined;
}

async function print(link: Link, options: TailOptions, there: There, signal: AbortSignal): Promise<void> {
  const { look, follow } = options;
  const printer = new LinePrinter(look);
  const output = new Output();
  const started = await start(link, options, there, signal);
  if (started === undefined) return;
  for (const block of started.blocks) output.add(printer.print(block));
  await output.flush();
  if (!follow && started.from === undefined) return;
  const { log, prefix, selection } = options;
  const feed = new Feed({ prefix, selection, log }, started.lines);
  // Where lines are picked or parsed, half a line would be a wrong one.
  const showsParts = follow && look.terminal && !look.json && look.test === undefined;
  const timer = showsParts ? setInterval(() => void showQuiet(feed, printer, output), LOOK_MS) : undefined;
  try {
    const reading: ReadOptions = {
      stream: options.stream,
      subjects: selection.subjects(there.topology),
      from: started.from ?? there.info.state.last_seq + 1,
      until: follow ? undefined : there.info.state.last_seq,
      bytes: READ_BYTES,
    };
    for await (const batch of readStream(link, reading, signal)) {
      for await (const { blocks } of feed.blocks(batch)) {
        for (const block of blocks) {
          output.add(printer.print(block));
          chunkDone(block.bytes.length);
        }
        if (output.bytes >= WRITE_BYTES) await output.flush();
      }
      await output.flush();
    }
  } finally {
    clearInterval(timer);
  }
  for (const block of feed.lines.flush()) output.add(printer.print(block));
  output.add(printer.end());
  await output.flush();
}

async function showQuiet(feed: Feed, printer: LinePrinter, output: Output): Promise<void> {
  for (const block of feed.lines.quiet(performance.now() - QUIET_MS)) output.add(printer.print(block, true));
  await output.flush();
}

interface Started {
  readonly blocks: readonly Parameters<LinePrinter['print']>[0][];
  readonly lines: LineKeeper;
  /** Where to go on reading; undefined: behind what the stream held. */
  readonly from: number | Date | undefined;
}

async function start(
  link: Link,
  options: TailOptions,
  { topology, info, isNew }: There,
  signal: AbortSignal,
): Promise<Started | undefined> {
  const { since, lines, log } = options;
  const { state } = info;
  const nothing = { blocks: [], lines: new LineKeeper() };
  if (isNew) return { ...nothing, from: 1 };
  if (state.messages === 0 || lines === 0) return { ...nothing, from: undefined };
  if (since !== undefined && since < new Date(state.first_ts))
    log.warn(
      `stream ${topology.stream} begins at ${state.first_ts}: nothing that was shipped before is in it`,
    );
  if (lines === undefined) return { ...nothing, from: since };
  const { follow, prefix, selection } = options;
  const found = await readBack(
    link,
    {
      ...{ topology, prefix, selection, log, lines, since, state, isEnd: !follow },
      ...{ readBytes: READ_BYTES, mostBytes: BACK_BYTES },
    },
    signal,
  );
  if (found === undefined) return undefined;
  const { unfinished, isUnseen, isCut } = found;
  if (unfinished > 0 || isUnseen)
    log.warn(
      `${whatLacks(unfinished)} fewer than ${lines} lines in the last ` +
        `${formatBytes(BACK_BYTES)}, and was not looked for further back: --since reads from a time on`,
    );
  if (isCut) log.warn('the last lines are so long together that some were left out: give a smaller -n');
  return { ...found, from: undefined };
}

function whatLacks(files: number): string {
  if (files === 0) return 'what is selected has';
  return files === 1 ? 'one file has' : `${files} files have`;
}
