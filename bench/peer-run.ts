// One peer ships one file: a collector, then an agent, until all of it is in the central file or nothing more comes.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { LogferryError } from '../common/runtime/errors.ts';
import { sleep, until } from '../common/runtime/run.ts';
import type { FoundPeer } from './peers.ts';
import { type Usage, usageOf } from './process-usage.ts';

const CONFIGS = fileURLToPath(new URL('peers/', import.meta.url));
const START_MS = 15_000;
/** Nothing came for so long: it will not come. */
const STALLED_MS = 10_000;
const LOOK_MS = 5;

export interface PeerRun {
  /** From the start of the agent until the central file had all, or had grown for the last time. */
  readonly ms: number;
  readonly agent: Usage;
  readonly collector: Usage;
  readonly central: string;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** @param dir a directory of its own, which is made */
export async function runPeer(
  peer: FoundPeer,
  { dir, source, signal }: { dir: string; source: string; signal: AbortSignal },
): Promise<PeerRun> {
  await mkdir(dir);
  const port = await freePort();
  const central = path.join(dir, 'central.log');
  const size = (await stat(source)).size;
  const collector = await startRole(peer, 'collector', { dir, source, central, port });
  try {
    const listens = await until(async () => await answers(port), {
      timeoutMs: START_MS,
      everyMs: 50,
      signal,
    });
    if (!listens)
      throw new LogferryError('failed', `${peer.name}: the collector does not listen`, `see ${dir}`);
    const collectorBefore = usageOf(collector.pid ?? 0)?.cpuMs ?? 0;
    const began = performance.now();
    const agent = await startRole(peer, 'agent', { dir, source, central, port });
    try {
      const ended = await arrival(central, size, signal);
      const usage = (child: ChildProcess): Usage => usageOf(child.pid ?? 0) ?? { cpuMs: NaN, peakBytes: NaN };
      const whole = usage(collector);
      return {
        ms: ended - began,
        agent: usage(agent),
        collector: { ...whole, cpuMs: whole.cpuMs - collectorBefore },
        central,
      };
    } finally {
      await end(agent);
    }
  } finally {
    await end(collector);
  }
}

/** When the central file had as many bytes as the source, or grew for the last time. */
async function arrival(central: string, size: number, signal: AbortSignal): Promise<number> {
  let last = -1;
  let grewAt = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const now = await stat(central).then(
      (stats) => stats.size,
      () => 0,
    );
    if (now !== last) grewAt = performance.now();
    last = now;
    if (now >= size || performance.now() - grewAt > STALLED_MS) return grewAt;
    await sleep(LOOK_MS, signal);
  }
}

async function startRole(
  peer: FoundPeer,
  role: 'agent' | 'collector',
  { dir, source, central, port }: { dir: string; source: string; central: string; port: number },
): Promise<ChildProcess> {
  const work = path.join(dir, role);
  await mkdir(work);
  const template = await readFile(path.join(CONFIGS, peer[role]), 'utf8');
  const values: Record<string, string> = {
    source,
    central,
    centralDirectory: path.dirname(central),
    centralName: path.basename(central),
    port: String(port),
    work,
  };
  const config = path.join(work, path.basename(peer[role]));
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
