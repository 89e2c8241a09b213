// `logferry ship`: flags to ShipOptions.

import { homedir, hostname } from 'node:os';
import path from 'node:path';

import type { Command } from 'commander';
import { z } from 'zod';

import { LogferryError } from '../common/errors.ts';
import { keepHeapSmall } from '../common/memory.ts';
import { ship, type ShipOptions } from '../shipper/ship.ts';
import { buildCommand, runUntilStopped } from './command.ts';
import { duration, flag, oneOf, parsed, size, text, toggle, wrongValue } from './flag.ts';
import { inClearWords } from './nats-errors.ts';
import { commonFlags, openLog, serverOptions, streamNames } from './options.ts';
import { ProgressLine } from './progress-line.ts';
import { checkGlobs, globsArgument, sourceFlags } from './sources.ts';

/** Four segments of some chunks each. */
const LEAST_SPOOL = 1024 * 1024;
/** Slower than this is a mistyped unit. */
const LEAST_RATE = 1_000;

const flags = z.strictObject({
  ...sourceFlags,
  state: flag(
    '--state <dir>',
    {
      help: 'keep the positions here',
      otherwise: '$XDG_STATE_HOME/logferry/<host>, ~/.local/state/…, as root /var/lib/…',
    },
    text('a directory'),
  ),
  compression: flag(
    '--compression <kind>',
    { help: 'zstd or none, on the way', default: 'zstd' },
    oneOf('zstd', 'none'),
  ),
  maxRate: flag(
    '--max-rate <size>',
    { help: 'read at most this much a second, like 10MB', otherwise: 'no limit' },
    size(LEAST_RATE),
  ),
  once: toggle('--once', 'ship to the present end of every file, wait until all is committed, end'),
  timeout: flag(
    '--timeout <duration>',
    { help: 'with --once: give up after this', otherwise: 'never' },
    duration('1s'),
  ),
  rotateWait: flag(
    '--rotate-wait <duration>',
    {
      help:
        'keep a rotated file open until nobody has written to it for so long and it is committed (a deleted one a ' +
        'minute at most)',
      default: '5m',
    },
    duration('1s'),
  ),
  pathPrefix: flag(
    '--path-prefix <dir>',
    {
      help: "ship files below this directory as if it were /, like /host for a container's mount of its host",
      otherwise: 'each file under its own path',
    },
    parsed(readDirectory),
  ),
  as: flag(
    '--as <path>',
    {
      help:
        'with -, which reads standard input: the absolute path to ship it as. What was read is in a spool in --state ' +
        'and survives any kill; what is still in the pipe then is lost with it. At its end everything is committed, ' +
        'and the command ends',
    },
    parsed(readName),
  ),
  spoolSize: flag(
    '--spool-size <size>',
    {
      help: 'with -: read no more of standard input while this much of it is not committed',
      default: '256MiB',
    },
    size(LEAST_SPOOL),
  ),
  lease: flag(
    '--lease <duration>',
    {
      help: "another shipper may take this host's name when this one has been silent for so long",
      default: '20s',
    },
    duration('2s', '10m'),
  ),
  ...commonFlags,
});

export function shipCommand(): Command {
  return buildCommand({
    name: 'ship',
    arguments: [globsArgument],
    usage: '<glob...> [options], or - --as <path> [options]',
    description:
      'Ships log files as they grow, across rotations, and goes on at the exact byte after any stop. Quote the ' +
      'globs: files that appear later are shipped too.',
    examples: [
      { does: "ship this host's logs", line: "logferry ship '/var/log/*.log' --server nats://central" },
      {
        does: 'everything below a directory but debug logs and what nobody has written to for a week, as another host',
        line: "logferry ship '/srv/app/**/*.log' --exclude '*debug*' --ignore-older 7d --host app-1",
      },
      {
        does: "from a container that has the host's root at /host",
        line: "logferry ship '/host/var/log/containers/*.log' --path-prefix /host --host node-1",
      },
      {
        does: 'ship what a program prints; as another host where one ships already',
        line: 'app | logferry ship - --as /var/log/app.log --host app-1',
      },
      {
        does: 'ship what is there, wait until it has arrived, end',
        line: "logferry ship '/var/log/*.log' --once --timeout 60s",
      },
    ],
    flags,
    run,
  });
}

type Flags = z.output<typeof flags>;

async function run(options: Flags, globs: readonly string[]): Promise<void> {
  keepHeapSmall();
  const server = serverOptions(options);
  const names = streamNames(options);
  const stdin = readsStdin(options, globs);
  if (stdin === undefined) checkGlobs(globs);
  if (options.timeout !== undefined && !options.once)
    throw new LogferryError('usage', '--timeout is for --once', 'add --once, or leave --timeout out');
  const host = options.host ?? hostname();
  const log = openLog(options);
  const line = options.once && process.stderr.isTTY ? new ProgressLine(process.stderr) : undefined;
  const settings: ShipOptions = {
    server,
    ...names,
    globs: stdin === undefined ? globs : [],
    stdin,
    exclude: options.exclude,
    defaultExcludes: options.defaultExcludes,
    ignoreOlderMs: options.ignoreOlder,
    rotateWaitMs: options.rotateWait,
    followSymlinks: options.followSymlinks,
    pathPrefix: options.pathPrefix,
    // A redirected stderr as well: the log, and what Node may have to say.
    ownLogs: ['/dev/stderr', ...(options.logFile === undefined ? [] : [options.logFile])],
    host,
    state: options.state ?? defaultState(host, process.env, process.getuid?.() === 0),
    from: options.from,
    compression: options.compression,
    maxRate: options.maxRate,
    once: options.once,
    timeoutMs: options.timeout,
    leaseMs: options.lease,
    log,
    ...(line === undefined
      ? {}
      : {
          onProgress: ({ size: total, committed }) => {
            line.show(committed, total, performance.now());
          },
        }),
  };
  try {
    await runUntilStopped(log, options.once ? 'all was committed' : undefined, (signal) =>
      inClearWords(server, ship(settings, signal)),
    );
  } finally {
    line?.end();
  }
}

/** A prefix of absolute paths. */
function readDirectory(value: string, name: string): string {
  if (path.isAbsolute(value)) return path.resolve(value);
  throw wrongValue(name, value, 'an absolute path, like /host');
}

/** What standard input is shipped as. */
function readName(value: string, name: string): string {
  if (path.isAbsolute(value) && path.resolve(value) === value && value !== '/') return value;
  throw wrongValue(name, value, 'a plain absolute path, like /var/log/app.log');
}

/** Standard input, when that is what is shipped. Throws `usage` for what does not go with it. */
function readsStdin(flags: Flags, globs: readonly string[]): ShipOptions['stdin'] {
  if (!globs.includes('-')) {
    if (flags.as === undefined) return undefined;
    throw new LogferryError('usage', '--as is for -, standard input', 'give - in place of the globs');
  }
  if (globs.length > 1)
    throw new LogferryError(
      'usage',
      '- and globs cannot be shipped by one command',
      'start another one for the globs, with a --host of its own',
    );
  const { as } = flags;
  if (as === undefined)
    throw new LogferryError(
      'usage',
      '- is standard input, and --as is missing: the path to ship it as',
      'give it like --as /var/log/app.log',
    );
  if (flags.once)
    throw new LogferryError('usage', '--once is for globs: - ends with its input', 'leave it out');
  if (flags.exclude.length > 0 || flags.pathPrefix !== undefined)
    throw new LogferryError('usage', '--exclude and --path-prefix are for globs', 'leave them out with -');
  return { path: as, maxBytes: flags.spoolSize };
}

/** Where the state of a host goes by default (XDG Base Directory Specification; an empty variable counts as unset). */
function defaultState(host: string, env: NodeJS.ProcessEnv, isRoot: boolean): string {
  const xdg = env['XDG_STATE_HOME'] ?? '';
  const home = env['HOME'] ?? homedir();
  const base = xdg !== '' ? xdg : isRoot ? '/var/lib' : path.join(home, '.local', 'state');
  return path.join(base, 'logferry', directoryName(host));
}

/** A host's name as one directory's. */
function directoryName(host: string): string {
  const name = host.replaceAll(/[%/\0]/g, encodeURIComponent);
  return name === '.' || name === '..' ? name.replaceAll('.', '%2E') : name;
}
