// `npm run bench -- rotations`: a writer at full speed whose file is renamed away again and again. Every byte that it
// wrote is compared with what has arrived.

import { spawn } from 'node:child_process';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { LogferryError } from '../common/runtime/errors.ts';
import { until } from '../common/runtime/run.ts';
import { firstDifference } from './compare.ts';
import { machineCpuMs, type Usage, usageOf } from './process-usage.ts';
import { showStatus } from './status-line.ts';
import { World, type WorldOptions } from './world.ts';

export interface Rotations {
  readonly seconds: number;
  readonly rotations: number;
  readonly bytes: number;
  /** While it was written, and from its end until all was committed. */
  readonly writeMs: number;
  readonly restMs: number;
  readonly shipper: Usage;
  readonly receiver: Usage;
  readonly othersCores: number;
}

const WRITER = fileURLToPath(new URL('rotating-writer.ts', import.meta.url));
const FIRST = 'a first line\n';
const BEGIN_TIMEOUT_MS = 30_000;
const REST_TIMEOUT_MS = 300_000;
const LOOK_MS = 200;

/**
 * Throws `failed` when a byte differs.
 *
 * @param perMinute how often the file is renamed away
 * @param mostBytes a second, that the writer writes
 */
export async function rotations(
  options: WorldOptions,
  seconds: number,
  perMinute: number,
  mostBytes: number,
): Promise<Rotations> {
  const { signal, dir } = options;
  const world = await World.start(options);
  const source = path.join(dir, 'rotating', 'app.log');
  // What is rotated away before the very first look is not shipped: its first line has arrived before the writer begins.
  await mkdir(path.dirname(source));
  await writeFile(source, FIRST);
  const shipper = world.ship(source, [], true);
  try {
    const hasBegun = async (): Promise<boolean> => (await arrived(world, source)) === FIRST.length;
    if (!(await until(hasBegun, { timeoutMs: BEGIN_TIMEOUT_MS, signal })))
      throw new LogferryError('failed', 'the first line has not arrived', 'run again with --keep');
    showStatus(`writing and rotating for ${seconds} s`);
    const before = { machine: machineCpuMs(), ...world.usage() };
    const began = performance.now();
    await write([source, String(seconds), String(perMinute), String(mostBytes)], signal);
    const writeMs = performance.now() - began;
    const parts = await generations(path.dirname(source));
    const bytes = parts.reduce((sum, { size }) => sum + size, 0);
    showStatus('waiting for the rest');
    const isThere = async (): Promise<boolean> => (await arrived(world, source)) >= bytes;
    await until(isThere, { timeoutMs: REST_TIMEOUT_MS, everyMs: LOOK_MS, signal });
    signal.throwIfAborted();
    const restMs = performance.now() - began - writeMs;
    const own = usageOf(shipper.pid);
    const { receiver } = world.usage();
    const machine = machineCpuMs() - before.machine;
    if (own === undefined)
      throw new LogferryError('failed', 'the shipper has ended', 'run again with --keep');
    await shipper.stop();
    showStatus('comparing');
    const there = (await world.central(source)).map(({ name }) => name);
    const offset = await firstDifference(
      parts.map(({ file }) => file),
      there,
      signal,
    );
    showStatus('');
    if (offset !== undefined)
      throw new LogferryError(
        'failed',
        `what has arrived differs from what was written at byte ${offset} of ${bytes}`,
        'run again with --keep and compare them',
      );
    const receiverCpu = receiver.cpuMs - before.receiver.cpuMs;
    return {
      seconds,
      rotations: parts.length - 1,
      bytes,
      writeMs,
      restMs,
      shipper: own,
      receiver: { ...receiver, cpuMs: receiverCpu },
      othersCores: Math.max(0, machine - own.cpuMs - receiverCpu) / (writeMs + restMs),
    };
  } finally {
    await shipper.stop();
    await world.stop();
  }
}

async function arrived(world: World, source: string): Promise<number> {
  return (await world.central(source)).reduce((sum, { size }) => sum + size, 0);
}

/** What the writer has written, oldest first. */
async function generations(directory: string): Promise<{ file: string; size: number }[]> {
  const number = (name: string): number => Number(/\.(\d+)$/.exec(name)?.[1] ?? Number.POSITIVE_INFINITY);
  const names = (await readdir(directory)).toSorted((a, b) => number(a) - number(b));
  return await Promise.all(
    names.map(async (name) => {
      const file = path.join(directory, name);
      return { file, size: (await stat(file)).size };
    }),
  );
}

async function write(args: readonly string[], signal: AbortSignal): Promise<void> {
  const child = spawn(process.execPath, [WRITER, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  signal.addEventListener('abort', kill, { once: true });
  const code = await new Promise<number | null>((resolve) => {
    child.once('exit', resolve);
  });
  signal.removeEventListener('abort', kill);
  signal.throwIfAborted();
  if (code !== 0) throw new LogferryError('failed', `the writer ended with ${code ?? 'a signal'}`);
}
