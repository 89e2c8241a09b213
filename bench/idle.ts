// `npm run bench -- idle`: many files that nobody writes to, in one shipper: what they cost, and how long it takes until
// all are shipped, and a start with their state.

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { LogferryError } from '../common/runtime/errors.ts';
import { inParallel, sleep, until } from '../common/runtime/run.ts';
import type { LogferryProcess } from './logferry-process.ts';
import { descriptorsOf, machineCpuMs, residentBytesOf, type Usage, usageOf } from './process-usage.ts';
import { showStatus } from './status-line.ts';
import { World, type WorldOptions } from './world.ts';

/** A start of the shipper. */
export interface IdleStart {
  /** Until a line in the last file has arrived; at the first start, of all files. */
  readonly ms: number;
  readonly cpuMs: number;
}

export interface Idle {
  readonly files: number;
  readonly first: IdleStart;
  readonly again: IdleStart;
  /** Shares of one core, while nothing is written. */
  readonly cpu: { readonly shipper: number; readonly receiver: number; readonly server: number };
  readonly othersCores: number;
  /** Of the shipper that was started with a state, after the idle time. */
  readonly residentBytes: number;
  /** Of the one that shipped the files, and of the other. */
  readonly peakBytes: readonly number[];
  readonly descriptors: number;
}

const FILES_PER_DIRECTORY = 1_000;
const AT_ONCE = 32;
/** A shipper polls a file for 30 s after its last byte, and tidies up 30 s after its start. */
const SETTLE_MS = 40_000;
const IDLE_MS = 30_000;
const TIMEOUT_MS = 900_000;
const LOOK_MS = 200;

/** Throws `failed` when a byte differs, or something does not arrive in time. */
export async function idle(options: WorldOptions, files: number): Promise<Idle> {
  const { signal } = options;
  showStatus(`making ${files} files`);
  const sources = await makeFiles(path.join(options.dir, '..', 'idle'), files);
  const glob = path.join(options.dir, '..', 'idle', '*', '*.log');
  const world = await World.start(options);
  try {
    const state = ['--state', path.join(options.dir, 'state')];
    showStatus('first start');
    const shipper = world.ship(glob, state);
    const first = await started(shipper, async () => (await arrived(world, sources)) >= files, signal);
    const firstPeak = need(shipper).peakBytes;
    await shipper.stop();
    showStatus('start with a state');
    const second = world.ship(glob, state, true);
    const [last = ''] = sources.slice(-1);
    await writeFile(last, 'and another line\n', { flag: 'a' });
    const more = (await readFile(last)).length;
    const again = await started(second, async () => (await central(world, last)).length >= more, signal);
    showStatus('nothing to do');
    await sleep(SETTLE_MS, signal);
    const used = (): Record<'shipper' | 'receiver' | 'server' | 'machine', number> => {
      const { server, receiver } = world.usage();
      const shipperMs = need(second).cpuMs;
      return {
        shipper: shipperMs,
        receiver: receiver.cpuMs,
        server: server.cpuMs,
        machine: machineCpuMs(),
      };
    };
    const [before, began] = [used(), performance.now()];
    await sleep(IDLE_MS, signal);
    signal.throwIfAborted();
    const [after, ms] = [used(), performance.now() - began];
    const share = (of: keyof typeof before): number => (after[of] - before[of]) / ms;
    const cpu = { shipper: share('shipper'), receiver: share('receiver'), server: share('server') };
    const { peakBytes } = need(second);
    const residentBytes = residentBytesOf(second.pid);
    const descriptors = descriptorsOf(second.pid);
    await second.stop();
    showStatus('comparing');
    await compare(world, sources);
    showStatus('');
    return {
      files,
      first,
      again,
      cpu,
      othersCores: Math.max(0, share('machine') - cpu.shipper - cpu.receiver - cpu.server),
      residentBytes,
      peakBytes: [firstPeak, peakBytes],
      descriptors,
    };
  } finally {
    await world.stop();
  }
}

async function makeFiles(directory: string, count: number): Promise<string[]> {
  const files: string[] = [];
  for (let number = 0; number < count; number += 1) {
    const below = path.join(directory, String(Math.floor(number / FILES_PER_DIRECTORY)));
    if (number % FILES_PER_DIRECTORY === 0) await mkdir(below, { recursive: true });
    files.push(path.join(below, `app-${number}-a.log`));
  }
  // Every other one is the same as its neighbour, byte for byte.
  await inParallel(files.entries(), AT_ONCE, async ([index, file]) => {
    await writeFile(file, `the only line of file ${index - (index % 2)}\n`);
  });
  return files;
}

async function started(
  shipper: LogferryProcess,
  isThere: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<IdleStart> {
  const began = performance.now();
  const done = await until(isThere, { timeoutMs: TIMEOUT_MS, everyMs: LOOK_MS, signal });
  signal.throwIfAborted();
  if (!done) throw new LogferryError('failed', 'not all has arrived', 'run again with --keep');
  return { ms: performance.now() - began, cpuMs: need(shipper).cpuMs };
}

/** How many of the files have something at their destination. */
async function arrived(world: World, sources: readonly string[]): Promise<number> {
  const directories = new Set(sources.map((file) => path.dirname(world.destination(file))));
  let count = 0;
  for (const directory of directories) {
    try {
      count += (await readdir(directory)).length;
    } catch {
      return count;
    }
  }
  return count;
}

async function central(world: World, file: string): Promise<Buffer> {
  return await readFile(world.destination(file));
}

async function compare(world: World, sources: readonly string[]): Promise<void> {
  await inParallel(sources, AT_ONCE, async (file) => {
    if (!(await readFile(file)).equals(await central(world, file)))
      throw new LogferryError('failed', `the central file of ${file} differs from it`);
  });
}

function need(shipper: LogferryProcess): Usage {
  const usage = usageOf(shipper.pid);
  if (usage === undefined)
    throw new LogferryError('failed', 'the shipper has ended', 'run again with --keep');
  return usage;
}
