// `logferry ship`: flags to ShipOptions.

import { homedir, hostname } from 'node:os';
import path from 'node:path';

import type { Command } from 'commander';
import { z } from 'zod';

import { LogferryError } from '../common/errors.ts';
import { ship, type ShipOptions } from '../shipper/ship.ts';
import { buildCommand, runUntilStopped } from './command.ts';
import { duration, flag, oneOf, size, text, toggle } from './flag.ts';
import { inClearWords } from './nats-errors.ts';
import { commonFlags, openLog, serverOptions, streamNames } from './options.ts';
import { ProgressLine } from './progress-line.ts';
import { checkGlobs, globsArgument, sourceFlags } from './sources.ts';

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
    usage: '<glob...> [options]',
    description:
      'Ships log files as they grow, across rotations, and goes on at the exact byte after any stop. Quote the ' +
      'globs: files that appear later are shipped too.',
    examples: [
      { does: "ship this host's logs", line: "logferry ship '/var/log/*.log' --server nats://central" },
      {
        does: 'everything below a directory but archives, as another host',
        line: "logferry ship '/srv/app/**/*.log' --exclude '*.gz' --host app-1",
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

async function run(options: z.output<typeof flags>, globs: readonly string[]): Promise<void> {
  const server = serverOptions(options);
  const names = streamNames(options);
  checkGlobs(globs);
  if (options.timeout !== undefined && !options.once)
    throw new LogferryError('usage', '--timeout is for --once', 'add --once, or leave --timeout out');
  const host = options.host ?? hostname();
  const log = openLog(options);
  const line = options.once && process.stderr.isTTY ? new ProgressLine(process.stderr) : undefined;
  const settings: ShipOptions = {
    server,
    ...names,
    globs,
    exclude: options.exclude,
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
