// The load of `npm run bench -- many-files`: the writer runs, and what the system under it takes is measured meanwhile.

import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { LogferryError } from '../common/runtime/errors.ts';
import { sleep } from '../common/runtime/run.ts';
import { monotonicMs, type Window } from './arrivals.ts';
import { loopbackBytes, machineCpuMs, residentBytesOf, usageOf } from './process-usage.ts';

/** What the processes of one role took. */
export interface RoleUsage {
  readonly role: string;
  /** Share of one core. */
  readonly cpu: number;
  /** At the end. */
  readonly residentBytes: number;
}

/** What was measured from one moment to another, while the writer wrote as before and after. */
export interface Load extends Window {
  readonly ms: number;
  readonly roles: readonly RoleUsage[];
  readonly lines: number;
  readonly wireBytes: number;
  readonly writerCpu: number;
  readonly othersCores: number;
  /** Of all appends, those before and after included: the n-th went to file n modulo the number of files. */
  readonly moments: readonly number[];
}

const WRITER = fileURLToPath(new URL('many-files-writer.ts', import.meta.url));
const WRITER_ROLE = 'writer';
/** Left out of the figures: programs are slower at first. */
const WARM_UP_SECONDS = 3;
/** The writer goes on for so long after what is measured. */
const COOL_DOWN_SECONDS = 0.5;

type Pids = Readonly<Record<string, readonly number[]>>;

/**
 * Throws `failed` when the writer, or a process under load, ends early.
 *
 * @param sources files of one directory
 * @param linesPerSecond of all files together
 */
export async function load(
  pids: Pids,
  sources: readonly string[],
  linesPerSecond: number,
  seconds: number,
  signal: AbortSignal,
): Promise<Load> {
  const directory = path.dirname(sources[0] ?? '');
  const momentsFile = path.join(directory, 'moments');
  const writing = WARM_UP_SECONDS + seconds + COOL_DOWN_SECONDS;
  const writer = new Writer([directory, String(linesPerSecond), String(writing), momentsFile], signal);
  const processes = { ...pids, [WRITER_ROLE]: [writer.pid] };
  let before: Used;
  let after: Used;
  try {
    await writer.begun;
    await sleep(WARM_UP_SECONDS * 1_000, signal);
    before = used(processes);
    await sleep(seconds * 1_000, signal);
    after = used(processes);
    await writer.done;
  } finally {
    writer.kill();
  }
  return loadOf(before, after, await momentsIn(momentsFile));
}

function loadOf(before: Used, after: Used, moments: readonly number[]): Load {
  const [from, to] = [before.at, after.at];
  const ms = to - from;
  const share = (role: string): number => ((after.cpuMs[role] ?? NaN) - (before.cpuMs[role] ?? NaN)) / ms;
  const all = Object.keys(after.cpuMs).map((role) => ({
    role,
    cpu: share(role),
    residentBytes: after.residentBytes[role] ?? NaN,
  }));
  const own = (after.ownCpuMs - before.ownCpuMs) / ms;
  const known = all.reduce((sum, { cpu }) => sum + cpu, own);
  return {
    ...{ from, to, ms, moments },
    roles: all.filter(({ role }) => role !== WRITER_ROLE),
    lines: moments.filter((moment) => moment >= from && moment < to).length,
    wireBytes: after.wireBytes - before.wireBytes,
    writerCpu: share(WRITER_ROLE),
    othersCores: Math.max(0, (after.machineCpuMs - before.machineCpuMs) / ms - known),
  };
}

/** A run of the writer; ends with this process, and when its signal fires. */
class Writer {
  readonly pid: number;
  /** Resolve when it has begun to write, and when it has ended well. Throw `failed` when it ends otherwise. */
  readonly begun: Promise<void>;
  readonly done: Promise<void>;
  readonly kill: () => void;

  constructor(args: readonly string[], signal: AbortSignal) {
    const child = spawn(process.execPath, [WRITER, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.pid = child.pid ?? 0;
    this.kill = () => {
      child.kill('SIGKILL');
    };
    signal.addEventListener('abort', this.kill, { once: true });
    process.once('exit', this.kill);
    this.done = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => {
        signal.removeEventListener('abort', this.kill);
        process.removeListener('exit', this.kill);
        if (code === 0) resolve();
        else if (signal.aborted) reject(signal.reason as Error);
        else reject(new LogferryError('failed', `the writer ended with ${code ?? 'a signal'}`));
      });
    });
    const output = new Promise<void>((resolve) => {
      child.stdout.once('data', () => {
        resolve();
      });
    });
    this.begun = Promise.race([output, this.done]);
  }
}

interface Used {
  readonly at: number;
  readonly cpuMs: Readonly<Record<string, number>>;
  readonly residentBytes: Readonly<Record<string, number>>;
  readonly ownCpuMs: number;
  readonly machineCpuMs: number;
  readonly wireBytes: number;
}

function used(pids: Pids): Used {
  const cpuMs: Record<string, number> = {};
  const residentBytes: Record<string, number> = {};
  for (const [role, all] of Object.entries(pids)) {
    cpuMs[role] = all.reduce((sum, pid) => sum + cpuMsOf(role, pid), 0);
    residentBytes[role] = all.reduce((sum, pid) => sum + residentBytesOf(pid), 0);
  }
  const own = process.cpuUsage();
  return {
    at: monotonicMs(),
    cpuMs,
    residentBytes,
    ownCpuMs: (own.user + own.system) / 1_000,
    machineCpuMs: machineCpuMs(),
    wireBytes: loopbackBytes(),
  };
}

function cpuMsOf(role: string, pid: number): number {
  const usage = usageOf(pid);
  if (usage === undefined)
    throw new LogferryError('failed', `the ${role} has ended`, 'run again with --keep');
  return usage.cpuMs;
}

async function momentsIn(file: string): Promise<number[]> {
  const { buffer, byteOffset, length } = await readFile(file);
  return [...new Float64Array(buffer.slice(byteOffset, byteOffset + length))];
}
