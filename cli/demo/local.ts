// `logferry local`: a nats-server, a receiver and a shipper on this machine, as processes of their own, so that any of
// them may be killed. Everything that they keep is below the output directory: a second run goes on.

import path from 'node:path';

import type { Command } from 'commander';
import { z } from 'zod';

import { oneLine } from '../../common/runtime/errors.ts';
import { ensureDirectory } from '../../common/runtime/files.ts';
import type { Logger } from '../../common/runtime/log.ts';
import { type NatsServer, startNatsServer } from '../nats-server/nats-server.ts';
import { sleep } from '../../common/runtime/run.ts';
import { keepRunning } from './child.ts';
import { buildCommand, runUntilStopped } from '../flags/command.ts';
import { flag, integer, text } from '../flags/flag.ts';
import { logFlags, openLog } from '../flags/options.ts';
import { excludeOutput } from './own-output.ts';
import { segmentArgs, segmentFlags } from '../flags/segment.ts';
import { checkGlobs, globsArgument, hostFlag, sourceFlags } from '../flags/sources.ts';

/** Beside the receiver's own `.logferry`; no destination ever begins with that. */
const STATE = '.logferry-local';

const SERVER_PAUSE_MS = 1_000;

const flags = z.strictObject({
  out: flag(
    '--out <dir>',
    { help: 'write below this directory, made when missing', required: true },
    text('a directory'),
  ),
  port: flag(
    '--port <n>',
    { help: 'where nats-server listens on 127.0.0.1', otherwise: 'a free one' },
    integer(1, 65_535),
  ),
  host: hostFlag,
  ...sourceFlags,
  ...segmentFlags,
  ...logFlags,
});

type Flags = z.output<typeof flags>;

export function localCommand(): Command {
  return buildCommand({
    name: 'local',
    arguments: [globsArgument],
    usage: '<glob...> --out <dir> [options]',
    description:
      'Runs nats-server, a receiver and a shipper on this machine, until Ctrl-C: a try-out of everything in one ' +
      "command. Prints the server's URL. A second run with the same --out goes on.",
    examples: [
      { does: 'watch ./central fill', line: "logferry local '/var/log/*.log' --out ./central" },
      {
        does: 'on a fixed port, as another host',
        line: "logferry local './logs/**/*.log' --out /tmp/central --port 4222 --host web1",
      },
    ],
    flags,
    run,
  });
}

async function run(options: Flags, globs: readonly string[]): Promise<void> {
  checkGlobs(globs);
  await ensureDirectory(options.out, '--out');
  const own = excludeOutput(globs, options.out);
  const log = openLog(options);
  if (own.reaching.length > 0)
    log.info(`${options.out} itself is left out, which ${own.reaching.join(' ')} would reach`);
  await runUntilStopped(log, undefined, async (signal) => {
    await runAll({ ...options, exclude: [...options.exclude, ...own.exclude] }, globs, log, signal);
  });
}

/** Starts the server, the receiver, the shipper; stops them in reverse order, whatever the reason. */
async function runAll(
  options: Flags,
  globs: readonly string[],
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const state = path.join(options.out, STATE);
  await ensureDirectory(state, '--out');
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const start = async (port: number | undefined): Promise<NatsServer> =>
    await startNatsServer({
      dir: path.join(state, 'nats'),
      port,
      say: (line) => {
        log.info(line);
      },
      signal: stop,
    });
  const server = await start(options.port);
  process.stdout.write(`${server.url}\n`);
  const stops = { receiver: new AbortController(), shipper: new AbortController() };
  const watched = <T>(work: Promise<T>): Promise<T> =>
    work.finally(() => {
      failed.abort();
    });
  const receiver = watched(
    keepRunning('receiver', receiverArgs(options, server.url), log, stops.receiver.signal),
  );
  const shipper = watched(
    keepRunning('shipper', shipperArgs(options, globs, server.url, state), log, stops.shipper.signal),
  );
  const served = keepServing(server, start, log, stop);
  // Each is awaited below; until then a failure only stops the others.
  for (const work of [receiver, shipper, served]) work.catch(() => {});
  await new Promise<void>((resolve) => {
    if (stop.aborted) resolve();
    else stop.addEventListener('abort', () => resolve(), { once: true });
  });
  const last = await served;
  try {
    stops.shipper.abort();
    await shipper;
  } finally {
    try {
      stops.receiver.abort();
      await receiver;
    } finally {
      await last.stop();
    }
  }
}

/** Starts the server again on the same port whenever it dies; returns the last one when the signal fires. */
async function keepServing(
  first: NatsServer,
  start: (port: number) => Promise<NatsServer>,
  log: Logger,
  signal: AbortSignal,
): Promise<NatsServer> {
  const stopped = new Promise<'stopped'>((resolve) => {
    signal.addEventListener('abort', () => resolve('stopped'), { once: true });
  });
  let server = first;
  while (!signal.aborted && (await Promise.race([stopped, server.exited])) !== 'stopped') {
    log.warn(`nats-server ended; starting it again in ${SERVER_PAUSE_MS / 1_000} s`);
    await sleep(SERVER_PAUSE_MS, signal);
    if (signal.aborted) break;
    try {
      server = await start(first.port);
    } catch (error) {
      log.warn(`cannot start nats-server: ${oneLine(error)}`);
    }
  }
  return server;
}

function receiverArgs(options: Flags, url: string): string[] {
  return ['receive', '--out', options.out, ...segmentArgs(options), ...commonArgs(options, url)];
}

function shipperArgs(options: Flags, globs: readonly string[], url: string, state: string): string[] {
  return [
    'ship',
    ...['--state', path.join(state, 'state'), '--from', options.from],
    ...(options.host === undefined ? [] : ['--host', options.host]),
    ...options.exclude.flatMap((glob) => ['--exclude', glob]),
    ...(options.defaultExcludes ? [] : ['--no-default-excludes']),
    ...(options.followSymlinks ? [] : ['--no-follow-symlinks']),
    ...(options.ignoreOlder === undefined ? [] : ['--ignore-older', `${options.ignoreOlder}ms`]),
    ...commonArgs(options, url),
    '--',
    ...globs,
  ];
}

function commonArgs(options: Flags, url: string): string[] {
  const { logFile, logSize, logKeep } = options;
  const file =
    logFile === undefined
      ? []
      : ['--log-file', logFile, '--log-size', `${logSize}`, '--log-keep', `${logKeep}`];
  return ['--server', url, '--log-level', options.logLevel, ...file];
}
