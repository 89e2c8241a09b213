// Starts a nats-server with JetStream on 127.0.0.1, for `local`, `demo` and the tests, and stops it again. Never
// leaves it behind when this process ends normally, and never runs two on one directory.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { LogferryError } from '../../common/runtime/errors.ts';
import { findNatsServer, sayOnStderr } from './find.ts';
import { clearLeftover, starterLine } from './leftover.ts';
import { freePort, isFree } from './port.ts';
import { isReady, portsFile } from './ready.ts';
import { sleep, until } from '../../common/runtime/run.ts';

export { findNatsServer } from './find.ts';
export type { FindOptions, FoundServer } from './find.ts';

/** A running server. `kill` and `stop` resolve when the process is gone and may be called again. */
export interface NatsServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Resolves when the process is gone, whatever the reason. */
  readonly exited: Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** SIGTERM, and SIGKILL after 5 s. */
  stop(): Promise<void>;
}

export interface StartOptions {
  /** Holds the store, the configuration and the log; made when missing. A server restarted on it has its streams. */
  readonly dir: string;
  /** 0 or left out: a free one. */
  readonly port?: number | undefined;
  readonly say?: ((line: string) => void) | undefined;
  /** nats-server configuration that is appended, so that it overrides; it must leave the ports as they are. */
  readonly config?: string | undefined;
  /** Left out: the one that findNatsServer finds. */
  readonly binary?: string | undefined;
  /** Left out: `nats-server.log` in `dir`. */
  readonly logFile?: string | undefined;
  /** Until it is ready; 10 s unless said. Servers of a cluster elect a leader first. */
  readonly readyMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

const READY_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 5_000;
const PORT_ATTEMPTS = 10;

/**
 * Resolves once clients can connect and JetStream answers. Throws `busy` when something listens on the port that was
 * asked for or another process has a server on `dir`, `failed` with the end of the log when it is not ready in time.
 */
export async function startNatsServer(options: StartOptions): Promise<NatsServer> {
  const { say = sayOnStderr, signal } = options;
  const binary = options.binary ?? (await findNatsServer({ say, signal })).path;
  const directory = resolve(options.dir);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const configFile = join(directory, 'nats-server.conf');
  const logFile = resolve(options.logFile ?? join(directory, 'nats-server.log'));
  await clearLeftover(directory, configFile, say);

  const start = async (port: number): Promise<NatsServer> => {
    // Users and their passwords may be in it.
    await writeFile(configFile, configuration(directory, port, options.config), { mode: 0o600 });
    return launch({
      ...{ binary, directory, configFile, logFile, port, signal },
      readyMs: options.readyMs ?? READY_TIMEOUT_MS,
    });
  };
  if (options.port !== undefined && options.port !== 0) {
    if (await isFree(options.port)) return start(options.port);
    throw new LogferryError(
      'busy',
      `something listens on 127.0.0.1:${options.port} already`,
      'stop it, or choose another port',
    );
  }
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    try {
      return await start(port);
    } catch (error) {
      // Somebody took the port in between: the one failure that another port cures.
      if (attempt === PORT_ATTEMPTS || (await isFree(port))) throw error;
    }
  }
}

/** The monitoring port is for the readiness check alone: the server picks it and writes it to its ports file. */
function configuration(directory: string, port: number, extra = ''): string {
  return `${starterLine(process.pid)}
listen: "127.0.0.1:${port}"
http: "127.0.0.1:-1"
ports_file_dir: ${JSON.stringify(directory)}
jetstream {
  store_dir: ${JSON.stringify(directory)}
}
${extra}
`;
}

async function launch(options: {
  binary: string;
  directory: string;
  configFile: string;
  logFile: string;
  port: number;
  readyMs: number;
  signal: AbortSignal | undefined;
}): Promise<NatsServer> {
  const { binary, directory, configFile, logFile, port, readyMs, signal } = options;
  const log = await open(logFile, 'a');
  let end: string | undefined;
  let child: ChildProcess;
  let exited: Promise<void>;
  let logStart: number;
  try {
    logStart = (await log.stat()).size;
    // A process group of its own: Ctrl-C is for this process, which still needs the server to stop in order.
    child = spawn(binary, ['--config', configFile], { detached: true, stdio: ['ignore', log.fd, log.fd] });
    exited = endOf(child).then((reason) => {
      end = reason;
    });
  } finally {
    await log.close();
  }
  const ports = portsFile(directory, binary, child.pid ?? 0);
  const server = handleOf(child, port, exited, ports);

  const ready = await until(async () => end !== undefined || (await isReady(ports)), {
    timeoutMs: readyMs,
    everyMs: 10,
    ...(signal && { signal }),
  });
  if (ready && end === undefined) return server;
  const reason = end ?? `was not ready in ${readyMs / 1000} s`;
  await server.kill();
  signal?.throwIfAborted();
  const lines = (await readFile(logFile)).subarray(logStart).toString().trimEnd().split('\n').slice(-5);
  throw new LogferryError(
    'failed',
    `${binary} on port ${port} ${reason}: ${lines.join('\n')}`,
    `see ${logFile} and ${configFile}`,
  );
}

const running = new Set<ChildProcess>();

/** One listener for all servers of this process, so that many of them do not look like a leak. */
function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

/** Resolves when the process is gone (or could not be started), with what happened. */
function endOf(child: ChildProcess): Promise<string> {
  if (running.size === 0) process.on('exit', killAll);
  running.add(child);
  return new Promise((done) => {
    const finish = (reason: string): void => {
      running.delete(child);
      if (running.size === 0) process.off('exit', killAll);
      done(reason);
    };
    child.once('exit', (code, signal) => {
      finish(`ended with ${signal ?? `code ${code}`}`);
    });
    child.once('error', (error) => {
      finish(`could not be started (${error.message})`);
    });
  });
}

function handleOf(child: ChildProcess, port: number, exited: Promise<void>, ports: string): NatsServer {
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
    await rm(ports, { force: true });
  };
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    pid: child.pid ?? 0,
    exited,
    kill,
    async stop() {
      child.kill('SIGTERM');
      const gone = new AbortController();
      await Promise.race([exited, sleep(STOP_TIMEOUT_MS, gone.signal)]);
      gone.abort();
      await kill();
    },
  };
}
