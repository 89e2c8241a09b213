// `logferry tail`: the lines of all hosts as they come, on stdout.

import type { Command } from 'commander';
import { z } from 'zod';

import { LogferryError, messageOf } from '../../common/runtime/errors.ts';
import { selectionOf } from '../../common/fleet/selection.ts';
import { keepHeapSmall } from '../../common/runtime/memory.ts';
import { parseTime } from '../../common/text/times.ts';
import { wantsColour } from '../terminal/colour.ts';
import { buildCommand, runUntilStopped } from '../flags/command.ts';
import { flag, integer, repeated, switchOff, text, toggle } from '../flags/flag.ts';
import { inClearWords } from '../../common/nats/failures.ts';
import { commonFlags, openLog, serverOptions, streamNames } from '../flags/options.ts';
import { tail, type TailOptions } from './run.ts';

/** Without --since: as many lines of each file as tail(1) shows. */
const DEFAULT_LINES = 10;
const MOST_LINES = 1_000_000;

const flags = z.strictObject({
  host: repeated(
    '--host <glob>',
    'only these hosts; several times for more',
    text("a host, or a glob like 'web*'"),
  ),
  path: repeated(
    '--path <glob>',
    "only these files: a path there, '/var/log/**', or '*.log' for any directory",
    text("a path, or a glob like '/var/log/**'"),
  ),
  exclude: repeated('--exclude <glob>', 'none of these files', text("a path, or a glob like '*.gz'")),
  since: flag(
    '--since <time>',
    {
      help:
        'start with what was shipped (stored in the stream, whenever it was written) then: 2h, 14:00, ' +
        "'yesterday 14:00', 2026-11-21T06:00:00Z",
      otherwise: `the last ${DEFAULT_LINES} lines of each file`,
    },
    text('a time like 2h or 14:00'),
  ),
  lines: flag(
    '-n, --lines <n>',
    {
      help: 'start with the last n lines of each file; 0: only what comes from now on',
      otherwise: `${DEFAULT_LINES}, or with --since all of them`,
    },
    integer(0, MOST_LINES),
  ),
  grep: flag(
    '--grep <regexp>',
    { help: 'only lines in which this JavaScript regular expression matches' },
    text('a regular expression'),
  ),
  invert: toggle('-v, --invert', 'only lines in which --grep does not match'),
  ignoreCase: toggle('-i, --ignore-case', '--grep does not tell upper from lower case'),
  json: toggle('--json', 'one JSON object a line: time (of storing), host, path, offset, line'),
  noPrefix: toggle('--no-prefix', 'without host and path before each line'),
  follow: switchOff('--no-follow', 'end when what the stream holds now is printed'),
  ...commonFlags,
});

type Flags = z.output<typeof flags>;

export function tailCommand(): Command {
  return buildCommand({
    name: 'tail',
    usage: '[--host <glob>] [--path <glob>] [options]',
    description:
      'Prints the lines of all hosts as they come, from the stream, beside the receivers. Each line is whole: a ' +
      'last line without its newline is held until the rest comes or its file ends; on a terminal it is shown after ' +
      'a second of quiet. There, control characters are shown as \\x1b; in a pipe the bytes are as they were written. ' +
      '-n counts lines before --grep.',
    examples: [
      { does: 'everything, as it comes', line: 'logferry tail' },
      {
        does: 'the web servers, errors of the last two hours and from now on',
        line: "logferry tail --host 'web*' --path '/var/log/nginx/*.log' --since 2h --grep ' 5\\d\\d '",
      },
      {
        does: 'what was shipped today, as JSON',
        line: 'logferry tail --since today --no-follow --json | jq -r .line',
      },
    ],
    flags,
    run,
  });
}

async function run(options: Flags): Promise<void> {
  keepHeapSmall();
  const server = serverOptions(options);
  const selection = selectionOf(options.host, options.path, options.exclude);
  const test = readGrep(options);
  const since = readSince(options.since, new Date());
  const terminal = process.stdout.isTTY;
  const log = openLog(options);
  const settings: TailOptions = {
    server,
    ...streamNames(options),
    selection,
    since,
    lines: options.lines ?? (since === undefined ? DEFAULT_LINES : undefined),
    follow: options.follow,
    look: {
      json: options.json,
      prefix: !options.noPrefix,
      colour: wantsColour(process.stdout, process.env),
      terminal,
      test,
    },
    log,
  };
  // Who ends what he watches knows that he did.
  const quiet = log.child({}, { level: log.isLevelEnabled('warn') ? 'warn' : log.level });
  await runUntilStopped(quiet, undefined, (signal) => inClearWords(server, tail(settings, signal)));
}

function readSince(value: string | undefined, now: Date): Date | undefined {
  if (value === undefined) return undefined;
  const since = parseTime(value, '--since', now);
  if (since <= now) return since;
  throw new LogferryError(
    'usage',
    `--since: ${JSON.stringify(value)} is ${since.toISOString()}, which is still to come`,
    'give a time that has passed, or -n 0 for what comes from now on',
  );
}

function readGrep({ grep, invert, ignoreCase }: Flags): ((line: string) => boolean) | undefined {
  if (grep === undefined) {
    if (!invert && !ignoreCase) return undefined;
    throw new LogferryError(
      'usage',
      `${invert ? '--invert' : '--ignore-case'} needs --grep`,
      'give both, or neither',
    );
  }
  let expression: RegExp;
  try {
    expression = new RegExp(grep, ignoreCase ? 'i' : '');
  } catch (error) {
    const why = messageOf(error).replace(/^Invalid regular expression: /, '');
    throw new LogferryError(
      'usage',
      `--grep: ${why} is no JavaScript regular expression`,
      String.raw`write it like 'error|warn' or 'status=5\d\d', and \( for a bracket itself`,
      { cause: error },
    );
  }
  return (line) => expression.test(line) !== invert;
}
