// One drain: source file → ship --once → nats-server → receive → central file, on disk and compared.

import { LogferryError } from '../common/errors.ts';
import { firstDifference } from './compare.ts';
import { endedChildrenCpuMs, machineCpuMs, type Usage, usageOf } from './process-usage.ts';
import { median } from './table.ts';
import { World, type WorldOptions } from './world.ts';

export interface Drain {
  /** Of the whole `ship --once`, and of the same on an empty file (median of three). */
  readonly wholeMs: number;
  readonly emptyMs: number;
  /** CPU time of the drain alone: the shipper's is without that of the run on the empty file. */
  readonly shipper: Usage;
  readonly server: Usage;
  readonly receiver: Usage;
  /** CPU time that everything else on the machine used meanwhile. */
  readonly othersCpuMs: number;
}

const EMPTY_RUNS = 3;
const SAMPLE_MS = 50;

/**
 * Throws `failed` when a byte at the destination differs.
 *
 * @param empty an empty file
 */
export async function drain(
  options: WorldOptions & { source: string; empty: string; onProgress: ((done: number) => void) | undefined },
): Promise<Drain> {
  const { source, empty, signal } = options;
  const world = await World.start(options);
  try {
    const empties: Shipped[] = [];
    for (let run = 0; run < EMPTY_RUNS; run += 1) empties.push(await shipOnce(world, empty, false, signal));
    const before = { ...world.usage(), machine: machineCpuMs() };
    const shipped = await shipOnce(world, source, true, signal, options.onProgress);
    const after = { ...world.usage(), machine: machineCpuMs() };
    await checkIdentical(world, source, signal);
    const since = (of: 'server' | 'receiver'): Usage => ({
      cpuMs: after[of].cpuMs - before[of].cpuMs,
      peakBytes: after[of].peakBytes,
    });
    const [server, receiver] = [since('server'), since('receiver')];
    const ours = shipped.usage.cpuMs + server.cpuMs + receiver.cpuMs;
    const emptyCpuMs = median(empties.map(({ usage }) => usage.cpuMs));
    return {
      wholeMs: shipped.ms,
      emptyMs: median(empties.map(({ ms }) => ms)),
      shipper: { ...shipped.usage, cpuMs: shipped.usage.cpuMs - emptyCpuMs },
      server,
      receiver,
      othersCpuMs: Math.max(0, after.machine - before.machine - ours),
    };
  } finally {
    await world.stop();
  }
}

interface Shipped {
  readonly ms: number;
  readonly usage: Usage;
}

/** From the start of the process to its end, which comes when all is committed. */
async function shipOnce(
  world: World,
  file: string,
  profile: boolean,
  signal: AbortSignal,
  onProgress?: (done: number) => void,
): Promise<Shipped> {
  const cpuBefore = endedChildrenCpuMs();
  const began = performance.now();
  const shipper = world.ship(file, ['--once', '--timeout', '15m'], profile);
  let peakBytes = 0;
  // The peak only grows: the last look before the end is the one that counts.
  const sampler = setInterval(() => {
    peakBytes = usageOf(shipper.pid)?.peakBytes ?? peakBytes;
  }, SAMPLE_MS);
  const reporter = onProgress && setInterval(() => void report(world, file, onProgress), 500);
  try {
    await shipper.done(signal);
    return {
      ms: performance.now() - began,
      usage: { cpuMs: endedChildrenCpuMs() - cpuBefore, peakBytes },
    };
  } finally {
    clearInterval(sampler);
    clearInterval(reporter);
  }
}

async function report(world: World, file: string, onProgress: (done: number) => void): Promise<void> {
  const segments = await world.central(file);
  onProgress(segments.reduce((sum, { size }) => sum + size, 0));
}

async function checkIdentical(world: World, source: string, signal: AbortSignal): Promise<void> {
  const segments = await world.central(source);
  const names = segments.map(({ name }) => name);
  const offset = await firstDifference(source, names, signal);
  if (offset !== undefined)
    throw new LogferryError(
      'failed',
      `the central file differs from the source at byte ${offset}`,
      'run again with --keep and compare them',
    );
}
