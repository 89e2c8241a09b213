// What `logferry ship` takes: the flags, and the options that they and the keys of a configuration file make.

import { homedir, hostname } from 'node:os';
import path from 'node:path';

import { z } from 'zod';

import { LogferryError } from '../../common/runtime/errors.ts';
import type { ShipOptions, SourceOptions } from '../../shipper/options.ts';
import { duration, flag, oneOf, parsed, size, text, toggle, wrongValue } from './flag.ts';
import { metricsFlag } from './metrics.ts';
import { commonFlags, configFlag, readDomain, serverOptions, streamNames } from './options.ts';
import { hostFlag, shipSourceFlags, sourceOptions } from './sources.ts';

/** Four segments of some chunks each. */
const LEAST_SPOOL = 1024 * 1024;
/** Slower than this is a mistyped unit. */
const LEAST_RATE = 1_000;

export const shipFlags = z.strictObject({
  host: hostFlag,
  ...shipSourceFlags,
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
  hubDomain: flag(
    '--hub-domain <domain>',
    {
      help:
        'the server is a leaf node: ship to the stream there, which the stream in this JetStream domain brings in ' +
        'when the link is up',
      otherwise: 'the stream is where the receivers read it',
    },
    parsed(readDomain),
  ),
  lease: flag(
    '--lease <duration>',
    {
      help: "another shipper may take this host's name when this one has been silent for so long",
      default: '20s',
    },
    duration('2s', '10m'),
  ),
  metrics: metricsFlag,
  config: configFlag,
  ...commonFlags,
});

type Flags = z.output<typeof shipFlags>;

/**
 * What a shipper does with these. `sources` are those of a configuration file, undefined where the globs say what is
 * shipped. Throws `usage` for contradictions.
 */
export function shipOptionsOf(
  flags: Flags,
  globs: readonly string[],
  sources: readonly SourceOptions[] | undefined,
): Omit<ShipOptions, 'log'> {
  const server = serverOptions(flags);
  const names = streamNames(flags);
  const stdin = sources === undefined ? readsStdin(flags, globs) : undefined;
  if (sources !== undefined && flags.as !== undefined) throw asWithoutStdin();
  if (flags.timeout !== undefined && !flags.once)
    throw new LogferryError('usage', '--timeout is for --once', 'add --once, or leave --timeout out');
  const host = flags.host ?? hostname();
  return {
    server,
    ...names,
    hubDomain: flags.hubDomain,
    sources: sources ?? (stdin === undefined ? [sourceOptions(globs, flags)] : []),
    stdin,
    // A redirected stderr as well: the log, and what Node may have to say.
    ownLogs: ['/dev/stderr', ...(flags.logFile === undefined ? [] : [flags.logFile])],
    host,
    state: flags.state ?? defaultState(host, process.env, process.getuid?.() === 0),
    compression: flags.compression,
    maxRate: flags.maxRate,
    once: flags.once,
    timeoutMs: flags.timeout,
    leaseMs: flags.lease,
  };
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
    throw asWithoutStdin();
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

function asWithoutStdin(): LogferryError {
  return new LogferryError('usage', '--as is for -, standard input', 'give - in place of the globs');
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
