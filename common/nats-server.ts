// Starts a nats-server with JetStream on 127.0.0.1, for `local`, `demo` and the tests, and stops it again. Never
// leaves it behind when this process ends normally.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { basename, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { LogferryError, messageOf, systemCode } from './errors.ts';
import { findNatsServer, sayOnStderr } from './nats-server-find.ts';
import { until } from './run.ts';

export { findNatsServer } from './nats-server-find.ts';
export type { FindOptions, FoundServer } from './nats-server-find.ts';

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
  /** nats-server configuration that is appended, so that it overrides. */
  readonly config?: string | undefined;
  /** Left out: the one that findNatsServer finds. */
  readonly binary?: string | undefined;
  /** Left out: `nats-server.log` in `dir`. */
  readonly logFile?: string | undefined;
}

const READY_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 5_000;
const PORT_ATTEMPTS = 10;

/**
 * Resolves once clients can connect and JetStream answers. Throws `busy` when something listens on the port that was
 * asked for, `failed` with the end of the log when the server does not get ready in 10 s.
 */
export async function startNatsServer(options: StartOptions): Promise<NatsServer> {
  const binary = options.binary ?? (await findNatsServer({ say: options.say ?? sayOnStderr })).path;
  const dir = resolve(options.dir);
  await mkdir(dir, { recursive: true });
  const files = {
    dir,
    config: join(dir, 'nats-server.conf'),
    log: resolve(options.logFile ?? join(dir, 'nats-server.log')),
  };
  if (options.port !== undefined && options.port !== 0) {
    if (!(await isFree(options.port))) throw taken(options.port);
    return launch(binary, files, options.port, options.config);
  }
  for (let attempt = 1; ; attempt += 1) {
    const port = somePort();
    if (!(await isFree(port))) {
      if (attempt < PORT_ATTEMPTS * 10) continue;
      throw new LogferryError('failed', 'found no free port on 127.0.0.1');
    }
    try {
      return await launch(binary, files, port, options.config);
    } catch (error) {
      // Somebody took the port in between: the one failure that another port cures.
      if (attempt >= PORT_ATTEMPTS || (await isFree(port))) throw error;
    }
  }
}

interface Files {
  readonly dir: string;
  readonly config: string;
  readonly log: string;
}

async function launch(
  binary: string,
  files: Files,
  port: number,
  extra: string | undefined,
): Promise<NatsServer> {
  await writeFile(files.config, configuration(files.dir, port, extra));
  const log = await open(files.log, 'a');
  let child: ChildProcess;
  try {
    // A process group of its own: Ctrl-C is for this process, which still needs the server to stop in order.
    child = spawn(binary, ['--config', files.config], {
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    });
  } finally {
    await log.close();
  }
  const exited = goneOf(child);
  const server = handleOf(child, port, exited, portsFile(files.dir, binary, child.pid));

  let gone = false;
  void exited.then(() => {
    gone = true;
  });
  const ready = await until(async () => gone || (await isReady(portsFile(files.dir, binary, child.pid))), {
    timeoutMs: READY_TIMEOUT_MS,
    everyMs: 10,
  });
  if (ready && !gone) return server;
  const reason = gone ? 'ended at once' : `was not ready in ${READY_TIMEOUT_MS / 1000} s`;
  await server.kill();
  throw new LogferryError(
    'failed',
    `${binary} on port ${port} ${reason}: ${await endOf(files.log)}`,
    `see ${files.log} and ${files.config}`,
  );
}

/** The monitoring port is for the readiness check alone; the server picks it and writes it to its ports file. */
function configuration(dir: string, port: number, extra = ''): string {
  return `listen: "127.0.0.1:${port}"
http: "127.0.0.1:-1"
ports_file_dir: ${JSON.stringify(dir)}
jetstream {
  store_dir: ${JSON.stringify(dir)}
}
${extra}
`;
}

function portsFile(dir: string, binary: string, pid: number | undefined): string {
  return join(dir, `${basename(binary)}_${pid ?? 0}.ports`);
}

/** The ports file appears when clients can connect; the health check says whether JetStream has its streams back. */
async function isReady(file: string): Promise<boolean> {
  let monitoring: string | undefined;
  try {
    const ports: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (
      typeof ports === 'object' &&
      ports !== null &&
      'monitoring' in ports &&
      Array.isArray(ports.monitoring)
    )
      monitoring = ports.monitoring.map(String)[0];
  } catch (error) {
    // Not there yet, or seen half written.
    if (systemCode(error) === 'ENOENT' || error instanceof SyntaxError) return false;
    throw error;
  }
  if (monitoring === undefined) return false;
  try {
    const response = await fetch(`${monitoring}/healthz`, { signal: AbortSignal.timeout(1_000) });
    await response.body?.cancel();
    return response.ok;
  } catch (error) {
    if (error instanceof TypeError || error instanceof DOMException) return false; // refused, or too slow
    throw error;
  }
}

const running = new Set<ChildProcess>();

/** One listener for all servers of this process, so that many of them do not look like a leak. */
function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
}

function goneOf(child: ChildProcess): Promise<void> {
  if (running.size === 0) process.on('exit', killAll);
  running.add(child);
  return new Promise((done) => {
    const finish = (): void => {
      running.delete(child);
      if (running.size === 0) process.off('exit', killAll);
      done();
    };
    child.once('exit', finish);
    child.once('error', finish);
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
      const timer = new AbortController();
      const late = delay(STOP_TIMEOUT_MS, undefined, { signal: timer.signal }).catch((error: unknown) => {
        if (systemCode(error) !== 'ABORT_ERR') throw error;
      });
      await Promise.race([exited, late]);
      timer.abort();
      await kill();
    },
  };
}

/**
 * Below the ports that systems give to outgoing connections (Linux from 32768, macOS from 49152): there a client that
 * tries to reconnect while the server is down could take its port, even by connecting to itself.
 */
function somePort(): number {
  return 20_000 + Math.floor(Math.random() * 12_000);
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  try {
    await new Promise<void>((done, fail) => {
      probe.once('error', fail);
      probe.listen({ port, host: '127.0.0.1', exclusive: true }, done);
    });
    return true;
  } catch (error) {
    if (systemCode(error) === 'EADDRINUSE') return false;
    throw new LogferryError('failed', `cannot listen on 127.0.0.1:${port} (${messageOf(error)})`, undefined, {
      cause: error,
    });
  } finally {
    await new Promise((done) => probe.close(done));
  }
}

function taken(port: number): LogferryError {
  return new LogferryError(
    'busy',
    `something listens on 127.0.0.1:${port} already`,
    'stop it, or choose another port',
  );
}

async function endOf(log: string): Promise<string> {
  return (await readFile(log, 'utf8')).trimEnd().split('\n').slice(-5).join('\n');
}
