// One drain: source file → ship --once → nats-server → receive → central file, on disk and compared.

import { LogferryError } from '../common/runtime/errors.ts';
import { firstDifference } from './compare.ts';
import { type Measured, measured } from './measured.ts';
import { loopbackBytes, machineCpuMs, type Usage } from './process-usage.ts';
import type { Source } from './report.ts';
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
  /** Bytes of the central files on disk. */
  readonly diskBytes: number;
  /** Bytes that the loopback device carried meanwhile: from the shipper to nats-server, and on to the receiver. */
  readonly wireBytes: number;
}

const EMPTY_RUNS = 3;

/**
 * Throws `failed` when a byte at the destination differs.
 *
 * @param empty an empty file
 */
export async function drain(
  options: WorldOptions & {
    source: Source;
    empty: string;
    onProgress: ((done: number) => void) | undefined;
    /** Done with what the drain has left, while the server and the receiver still run. */
    afterwards?: (world: World) => Promise<void>;
  },
): Promise<Drain> {
  const { source, empty, signal } = options;
  const world = await World.start(options);
  try {
    const empties: Measured[] = [];
    for (let run = 0; run < EMPTY_RUNS; run += 1) empties.push(await shipOnce(world, empty, false, signal));
    const before = { ...world.usage(), machine: machineCpuMs(), wire: loopbackBytes() };
    const { onProgress } = options;
    const report = onProgress && (async (): Promise<void> => await arrived(world, source, onProgress));
    const shipped = await shipOnce(world, source.glob, true, signal, report);
    const after = { ...world.usage(), machine: machineCpuMs(), wire: loopbackBytes() };
    for (const file of source.files) await checkIdentical(world, file, signal);
    const since = (of: 'server' | 'receiver'): Usage => ({
      cpuMs: after[of].cpuMs - before[of].cpuMs,
      peakBytes: after[of].peakBytes,
    });
    const [server, receiver] = [since('server'), since('receiver')];
    const diskBytes = await centralBytes(world, source);
    await options.afterwards?.(world);
    const ours = shipped.usage.cpuMs + server.cpuMs + receiver.cpuMs;
    const emptyCpuMs = median(empties.map(({ usage }) => usage.cpuMs));
    return {
      wholeMs: shipped.ms,
      emptyMs: median(empties.map(({ ms }) => ms)),
      shipper: { ...shipped.usage, cpuMs: shipped.usage.cpuMs - emptyCpuMs },
      server,
      receiver,
      othersCpuMs: Math.max(0, after.machine - before.machine - ours),
      diskBytes,
      wireBytes: after.wire - before.wire,
    };
  } finally {
    await world.stop();
  }
}

/** Ends when all is committed. */
async function shipOnce(
  world: World,
  file: string,
  profile: boolean,
  signal: AbortSignal,
  report?: () => Promise<void>,
): Promise<Measured> {
  const reporter = report && setInterval(() => void report(), 500);
  try {
    return await measured(() => world.ship(file, ['--once', '--timeout', '15m'], profile), signal);
  } finally {
    clearInterval(reporter);
  }
}

async function arrived(world: World, source: Source, onProgress: (done: number) => void): Promise<void> {
  onProgress(await centralBytes(world, source));
}

async function centralBytes(world: World, source: Source): Promise<number> {
  let bytes = 0;
  for (const file of source.files) for (const { size } of await world.central(file)) bytes += size;
  return bytes;
}

async function checkIdentical(world: World, source: string, signal: AbortSignal): Promise<void> {
  const segments = await world.central(source);
  const names = world.format === 'plain' ? segments.map(({ name }) => name) : [await world.unpack(source)];
  const offset = await firstDifference([source], names, signal);
  if (offset !== undefined)
    throw new LogferryError(
      'failed',
      `the central file of ${source} differs from it at byte ${offset}`,
      'run again with --keep and compare them',
    );
}
