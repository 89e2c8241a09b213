// `logferry status`: who ships, who receives, what waits, and what is at risk; once, or again and again.

import type { Command } from 'commander';
import { z } from 'zod';

import { isUnanswered } from '../../common/nats/bucket.ts';
import { LogferryError, oneLine } from '../../common/runtime/errors.ts';
import { silentLogger } from '../../common/runtime/log.ts';
import { type Link, openLink, type ServerOptions } from '../../common/nats/connection.ts';
import { sleep } from '../../common/runtime/run.ts';
import { buildCommand, runUntilStopped } from '../flags/command.ts';
import { flag, text, toggle } from '../flags/flag.ts';
import { isColoured, LiveScreen, sizeOf } from '../terminal/live-screen.ts';
import { inClearWords } from '../../common/nats/failures.ts';
import { commonFlags, openLog, serverOptions, streamNames } from '../flags/options.ts';
import { printable } from '../terminal/printable.ts';
import { collectStatus, StatusMemory, type StatusNames } from './collect.ts';
import { forgetMember } from './forget.ts';
import { risksOf } from './risks.ts';
import { screenOf } from './screen.ts';
import type { Status } from './types.ts';
import { writeOut } from '../terminal/write-out.ts';

const GIVE_UP_MS = 3_000;
const WATCH_MS = 2_000;

const flags = z.strictObject({
  json: toggle('--json', 'print one JSON object; docs/status.md explains its fields'),
  watch: toggle('--watch', 'look every two seconds, until Ctrl-C'),
  forget: flag(
    '--forget <name>',
    { help: 'list a host, or a receiver, no more that is gone for good; refused while it answers' },
    text('the name of a host or of a receiver'),
  ),
  ...commonFlags,
});

type Flags = z.output<typeof flags>;

export function statusCommand(): Command {
  return buildCommand({
    name: 'status',
    usage: '[--json] [--watch] [options]',
    description:
      'Says in one screen who ships and who receives, how far behind everybody is, and what the stream holds. Data ' +
      'is at risk when it would be dropped within an hour, when a host is silent or holds back, when nobody receives ' +
      'it, when a disk is full or bytes are lost: each is said in a sentence on top, and the exit code is 3.',
    examples: [
      { does: 'am I behind?', line: 'logferry status --server nats://central' },
      { does: 'keep looking', line: 'logferry status --watch' },
      {
        does: 'hosts that are more than a minute behind',
        line: `logferry status --json | jq -r '.hosts[] | select(.lagSeconds > 60).host'`,
      },
      { does: 'a host that is gone for good', line: 'logferry status --forget web7' },
    ],
    flags,
    run,
  });
}

async function run(options: Flags): Promise<void> {
  const { forget, watch, json } = options;
  if (forget !== undefined && (watch || json))
    throw new LogferryError('usage', '--forget goes with neither --watch nor --json', 'leave them out');
  const server = serverOptions(options);
  const names = streamNames(options);
  // What there is to say about the connection is on the screen, or in the line that it ends with.
  const log = options.logFile === undefined ? silentLogger() : openLog(options);
  await runUntilStopped(log, undefined, async (signal) => {
    const link = await openLink(server, { name: 'logferry status', log, signal, giveUpMs: GIVE_UP_MS });
    try {
      if (forget !== undefined) {
        const what = await inClearWords(server, forgetMember(link, names, forget));
        await writeOut(`forgot ${what} ${printable(forget)}\n`);
      } else if (watch) await keepLooking(link, names, server, json, signal);
      else await lookOnce(link, names, server, json, signal);
    } finally {
      await link.close();
    }
  });
}

/** Throws `risk` when data is. */
async function lookOnce(
  link: Link,
  names: StatusNames,
  server: ServerOptions,
  json: boolean,
  signal: AbortSignal,
): Promise<void> {
  const status = await inClearWords(server, collectStatus(link, names, new StatusMemory()));
  if (signal.aborted) return;
  const { width, height } = sizeOf(process.stdout);
  // The prompt, and the line about a risk, follow.
  const lines = json ? [JSON.stringify(status)] : linesOf(status, { width, height: height - 2 });
  await writeOut(`${lines.join('\n')}\n`);
  const [risk, ...more] = risksOf(status);
  if (risk === undefined) return;
  const others = more.length === 0 ? '' : ` (and ${more.length} more)`;
  throw new LogferryError('risk', `data is at risk: ${printable(risk)}${others}`);
}

/** Until the signal fires. What is not answered is said and asked again, once there was an answer. */
async function keepLooking(
  link: Link,
  names: StatusNames,
  server: ServerOptions,
  json: boolean,
  signal: AbortSignal,
): Promise<void> {
  const memory = new StatusMemory();
  const screen = new LiveScreen(process.stdout);
  let last: Status | undefined;
  try {
    while (!signal.aborted) {
      const began = performance.now();
      let trouble: string | undefined;
      try {
        last = await inClearWords(server, collectStatus(link, names, memory));
      } catch (error) {
        if (last === undefined || !passes(error)) throw error;
        trouble = oneLine(error);
      }
      if (signal.aborted) return;
      await show(screen, last, trouble, json);
      await sleep(Math.max(0, began + WATCH_MS - performance.now()), signal);
    }
  } finally {
    screen.close();
  }
}

/** No connection, no answer, no stream for a while. */
function passes(error: unknown): boolean {
  return isUnanswered(error) || (error instanceof LogferryError && error.code === 'failed');
}

async function show(
  screen: LiveScreen,
  status: Status,
  trouble: string | undefined,
  json: boolean,
): Promise<void> {
  if (trouble !== undefined && (json || !process.stdout.isTTY))
    process.stderr.write(`logferry: ${trouble}\n`);
  else if (json) await writeOut(`${JSON.stringify(status)}\n`);
  else
    screen.draw((size) => {
      const notes = trouble === undefined ? [] : [`as it was last: ${trouble}`.slice(0, size.width)];
      return [...notes, ...linesOf(status, { width: size.width, height: size.height - notes.length })];
    });
}

function linesOf(status: Status, size: { width: number; height: number }): string[] {
  const coloured = isColoured(process.stdout, process.env);
  return screenOf(status, { ...size, isColoured: coloured, now: Date.now() });
}
