// `logferry replay`: flags to ReplayOptions, and the report in words or as JSON.

import type { Command } from 'commander';
import { z } from 'zod';

import { LogferryError } from '../../common/runtime/errors.ts';
import { keepHeapSmall } from '../../common/runtime/memory.ts';
import { parseTime } from '../../common/text/times.ts';
import { formatBytes, formatDuration } from '../../common/text/units.ts';
import { replay } from '../../receiver/replay.ts';
import { buildCommand, runUntilStopped } from '../flags/command.ts';
import { flag, repeated, text, toggle } from '../flags/flag.ts';
import { inClearWords } from '../../common/nats/failures.ts';
import { commonFlags, openLog, serverOptions, streamNames } from '../flags/options.ts';
import { printable } from '../terminal/printable.ts';
import { ReplayLine } from './progress.ts';
import { rotateOptions, segmentFlags } from '../flags/segment.ts';
import type { ReplayOptions, ReplayReport } from '../../receiver/replay.ts';

/** How many of each kind of note are shown. */
const SHOWN = 20;

const { rotateSize, rotateInterval, format, fileMode, fileOwner } = segmentFlags;
const time = text('a time, like 2h or 2026-11-21 14:00');

const flags = z.strictObject({
  out: flag(
    '--out <dir>',
    {
      help: 'write below this directory, which is fresh, or holds the same replay unfinished',
      required: true,
    },
    text('a directory'),
  ),
  host: repeated('--host <glob>', 'only these hosts', text("a host, or a glob like 'web*'")),
  path: repeated('--path <glob>', 'only these files', text("a path, or a glob like '/var/log/**'")),
  exclude: repeated('--exclude <glob>', 'but not these files', text("a path, or a glob like '*debug*'")),
  since: flag(
    '--since <time>',
    { help: 'only what was shipped since then, like 2h, yesterday 14:00 or 2026-11-21T14:00:00Z' },
    time,
  ),
  until: flag('--until <time>', { help: 'only what was shipped before', otherwise: 'now' }, time),
  json: toggle('--json', 'print the summary as a JSON object'),
  rotateSize,
  rotateInterval,
  format,
  fileMode,
  fileOwner,
  ...commonFlags,
});

type Flags = z.output<typeof flags>;

export function replayCommand(): Command {
  return buildCommand({
    name: 'replay',
    usage: '--out <dir> [options]',
    description:
      'Writes what the stream still holds into a fresh directory, as a receiver would, for cat, for segments, or for ' +
      'a receiver to go on with. Receivers that run are not disturbed. Stopped or killed and started again, it goes ' +
      'on where it stopped. Bytes in the middle that the stream has lost are named, and so is what it drops before it ' +
      'was read; both make it fail at the end.',
    examples: [
      { does: 'everything that is in the stream', line: 'logferry replay --out ./replayed' },
      {
        does: "one host's logs of the last two hours",
        line: "logferry replay --out ./replayed --host web1 --path '/var/log/**' --since 2h",
      },
      {
        does: "after a receiver's disk was lost: what the stream holds, then on from there",
        line: 'logferry replay --out /srv/logs && logferry receive --out /srv/logs',
      },
    ],
    flags,
    run,
  });
}

async function run(options: Flags): Promise<void> {
  keepHeapSmall();
  const server = serverOptions(options);
  const names = streamNames(options);
  const { since, until } = times(options);
  const log = openLog(options);
  const began = performance.now();
  const line = new ReplayLine(process.stderr, began);
  const settings: ReplayOptions = {
    server,
    ...names,
    out: options.out,
    asked: {
      host: options.host,
      path: options.path,
      exclude: options.exclude,
      since: options.since ?? null,
      until: options.until ?? null,
    },
    since,
    until,
    rotate: rotateOptions(options),
    log,
    say: warn,
    onProgress: (progress) => {
      line.show(progress, performance.now());
    },
  };
  let report: ReplayReport | undefined;
  await runUntilStopped(log, 'all was replayed', async (signal) => {
    try {
      report = await inClearWords(server, replay(settings, signal));
    } finally {
      line.end();
    }
  });
  if (report === undefined) return;
  const ms = Math.round(performance.now() - began);
  for (const note of notes(report, options)) warn(note);
  process.stdout.write(options.json ? `${JSON.stringify({ ...report, ms })}\n` : summary(report, ms));
  failIfIncomplete(report, options.out);
}

function times({ since, until }: Flags): { since: Date | undefined; until: Date | undefined } {
  const now = new Date();
  const from = since === undefined ? undefined : parseTime(since, '--since', now);
  const to = until === undefined ? undefined : parseTime(until, '--until', now);
  if (from !== undefined && to !== undefined && to <= from)
    throw new LogferryError(
      'usage',
      `--until ${until ?? ''} is not after --since ${since ?? ''}: ${to.toISOString()} and ${from.toISOString()}`,
      'give --until a later time',
    );
  return { since: from, until: to };
}

function summary({ bytes, files, hosts, before }: ReplayReport, ms: number): string {
  const earlier = before === 0 ? '' : `, ${formatBytes(before)} of it by an earlier start`;
  return `replayed ${formatBytes(bytes)} of ${many(files, 'file')} of ${many(hosts, 'host')} in ${formatDuration(ms)}${earlier}\n`;
}

function many(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function notes(report: ReplayReport, { out, since }: Flags): string[] {
  const { begins, holes, moreHoles, dropped, stuck, uncommitted, foreign } = report;
  const name = ({ host, path }: { host: string; path: string }): string =>
    `${printable(host)}: ${printable(path)}`;
  const reaches = since === undefined ? 'the stream reaches' : 'what was asked for reaches';
  return [
    ...first(
      begins.map(
        (one) =>
          `${name(one)}: ${reaches} back to byte ${one.offset} of generation ${one.file}; earlier bytes are not in it`,
      ),
      begins.length,
      'files begin later than they did',
    ),
    ...first(
      holes.map(
        (one) =>
          `${name(one)}: bytes ${one.from} to ${one.to} of generation ${one.file} are not in the stream; left out`,
      ),
      holes.length + moreHoles,
      'ranges are left out',
    ),
    ...dropped.map(
      (one) =>
        `the stream has dropped messages ${one.first} to ${one.last} before they were read: what was asked for of them, up to ${many(one.messages, 'message')}, is left out`,
    ),
    ...first(
      stuck.map(
        (one) =>
          `${name(one)}: bytes ${one.from} to ${one.to} of generation ${one.file} are not written: they are damaged, or what comes before cannot be had`,
      ),
      stuck.length,
      'generations are not written as a whole',
    ),
    ...(foreign === 0 ? [] : [`skipped ${many(foreign, 'message')} that logferry did not write`]),
    ...(uncommitted
      ? [
          `some of the bytes left out were committed by no receiver, and may still come: a receiver refuses ${out}`,
        ]
      : []),
  ];
}

function first(lines: readonly string[], count: number, what: string): string[] {
  const shown = lines.slice(0, SHOWN);
  return count > shown.length ? [...shown, `${count - shown.length} more ${what}`] : shown;
}

function failIfIncomplete({ holes, moreHoles, dropped, stuck }: ReplayReport, out: string): void {
  const count = holes.length + moreHoles + stuck.length;
  if (count === 0 && dropped.length === 0) return;
  throw new LogferryError(
    'failed',
    count === 0
      ? 'incomplete: the stream has dropped messages before they were read'
      : `incomplete: ${many(count, 'range')} of bytes could not be had from the stream`,
    `${out} holds all the rest; cat --skip-holes shows it`,
  );
}

function warn(line: string): void {
  process.stderr.write(`logferry: ${line}\n`);
}
