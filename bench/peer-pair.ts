// The two processes of a peer, a collector and an agent, each with a configuration of its own. Both end with this process.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { LogferryError } from '../common/runtime/errors.ts';
import { until } from '../common/runtime/run.ts';
import type { FoundPeer, PeerConfigs } from './peers.ts';
import { type Usage, usageOf } from './process-usage.ts';

const CONFIGS = fileURLToPath(new URL('peers/', import.meta.url));
const START_MS = 15_000;

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export interface PairOptions {
  readonly configs: PeerConfigs;
  /** A directory that is there and that nothing else writes to. */
  readonly dir: string;
  /** What stands in the configurations in braces, beside `port`, `work`, `centralDirectory` and `centralName`. */
  readonly values: Readonly<Record<string, string>> & { readonly source: string; readonly central: string };
  readonly signal: AbortSignal;
}

export class PeerPair {
  /** performance.now() when the agent was started. */
  readonly began: number;
  readonly #collector: ChildProcess;
  readonly #agent: ChildProcess;
  /** What the collector had used by then. */
  readonly #collectorCpuMs: number;

  private constructor(collector: ChildProcess, agent: ChildProcess, began: number, collectorCpuMs: number) {
    this.#collector = collector;
    this.#agent = agent;
    this.began = began;
    this.#collectorCpuMs = collectorCpuMs;
  }

  /** Resolves when the agent was started, which is when the collector listens. Throws `failed` when it never does. */
  static async start(peer: FoundPeer, options: PairOptions): Promise<PeerPair> {
    const { dir, signal } = options;
    const port = await freePort();
    const collector = await startRole(peer, 'collector', port, options);
    try {
      const listens = await until(async () => await answers(port), {
        timeoutMs: START_MS,
        everyMs: 50,
        signal,
      });
      if (!listens)
        throw new LogferryError('failed', `${peer.name}: the collector does not listen`, `see ${dir}`);
      const collectorCpuMs = usageOf(collector.pid ?? 0)?.cpuMs ?? 0;
      const began = performance.now();
      const agent = await startRole(peer, 'agent', port, options);
      return new PeerPair(collector, agent, began, collectorCpuMs);
    } catch (error) {
      await end(collector);
      throw error;
    }
  }

  get pids(): { agent: number; collector: number } {
    return { agent: this.#agent.pid ?? 0, collector: this.#collector.pid ?? 0 };
  }

  /** Since the agent was started; not numbers of one that has ended. */
  usage(): { agent: Usage; collector: Usage } {
    const of = (pid: number): Usage => usageOf(pid) ?? { cpuMs: NaN, peakBytes: NaN };
    const collector = of(this.pids.collector);
    return {
      agent: of(this.pids.agent),
      collector: { ...collector, cpuMs: collector.cpuMs - this.#collectorCpuMs },
    };
  }

  async stop(): Promise<void> {
    await end(this.#agent);
    await end(this.#collector);
  }
}

async function startRole(
  peer: FoundPeer,
  role: 'agent' | 'collector',
  port: number,
  { configs, dir, values: given }: PairOptions,
): Promise<ChildProcess> {
  const work = path.join(dir, role);
  await mkdir(work);
  const template = await readFile(path.join(CONFIGS, configs[role]), 'utf8');
  const values: Readonly<Record<string, string>> = {
    ...given,
    centralDirectory: path.dirname(given.central),
    centralName: path.basename(given.central),
    port: String(port),
    work,
  };
  const config = path.join(work, path.basename(configs[role]));
  await writeFile(
    config,
    template.replaceAll(/\{(\w+)\}/g, (text, name: string) => values[name] ?? text),
  );
  const log = openSync(path.join(work, 'log'), 'a');
  const child = spawn(peer.binary, peer.args({ config, work, modules: peer.modules }), {
    stdio: ['ignore', log, log],
    env: peer.env,
    cwd: work,
  });
  closeSync(log);
  running.add(child);
  child.once('exit', () => running.delete(child));
  child.once('error', () => running.delete(child));
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000);
  await exited;
  clearTimeout(timer);
}

async function answers(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}

async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  });
}
