// How fast `logferry tail` prints what a stream holds: to nowhere, as it is, through --grep and as JSON.

import { measured } from './measured.ts';
import { machineCpuMs } from './process-usage.ts';
import type { Source } from './report.ts';
import { table, whole } from './table.ts';
import { World, type WorldOptions } from './world.ts';

/** One way of printing. */
export interface TailRun {
  readonly name: string;
  /** Of the whole process, and of one that prints nothing (`-n 0`). */
  readonly wholeMs: number;
  readonly emptyMs: number;
  readonly linesPerSecond: number;
  readonly mbPerSecond: number;
  readonly cpuMs: number;
  readonly peakBytes: number;
  /** Cores that everything else used meanwhile, nats-server included. */
  readonly othersCores: number;
}

const WAYS: readonly { readonly name: string; readonly args: readonly string[] }[] = [
  { name: 'plain', args: [] },
  { name: '--no-prefix', args: ['--no-prefix'] },
  { name: '--grep', args: ['--grep', ' 5\\d\\d '] },
  { name: '--json', args: ['--json'] },
];
const SINCE = ['--no-follow', '--since', '1d'];

export async function tail(options: WorldOptions & { readonly source: Source }): Promise<TailRun[]> {
  const { source, signal } = options;
  const world = await World.start(options);
  try {
    await world.ship(source.glob, ['--once', '--timeout', '15m']).done(signal);
    const runs: TailRun[] = [];
    for (const { name, args } of WAYS) {
      const empty = await timed(world, ['--no-follow', '-n', '0'], signal);
      const one = await timed(world, [...SINCE, ...args], signal);
      const seconds = (one.ms - empty.ms) / 1_000;
      runs.push({
        name,
        wholeMs: one.ms,
        emptyMs: empty.ms,
        linesPerSecond: source.lines / seconds,
        mbPerSecond: source.bytes / 1e6 / seconds,
        cpuMs: one.cpuMs - empty.cpuMs,
        peakBytes: one.peakBytes,
        othersCores: one.othersMs / one.ms,
      });
    }
    return runs;
  } finally {
    await world.stop();
  }
}

interface Timed {
  readonly ms: number;
  readonly cpuMs: number;
  readonly othersMs: number;
  readonly peakBytes: number;
}

async function timed(world: World, args: readonly string[], signal: AbortSignal): Promise<Timed> {
  const machine = machineCpuMs();
  const { ms, usage } = await measured(() => world.tail(args), signal);
  const { cpuMs, peakBytes } = usage;
  return { ms, cpuMs, othersMs: Math.max(0, machineCpuMs() - machine - cpuMs), peakBytes };
}

/** The target, for access lines. */
const LEAST_LINES = 300_000;

export function tailText(runs: readonly TailRun[]): string {
  const rows = runs.map((run) => [
    run.name,
    `${whole(run.linesPerSecond)}${run.name === 'plain' ? judged(run.linesPerSecond) : ''}`,
    whole(run.mbPerSecond),
    (run.cpuMs / 1_000).toFixed(2),
    whole(run.peakBytes / 1e6),
    run.othersCores.toFixed(2),
  ]);
  return `\n${table([['tail --since', 'lines/s', 'MB/s', 'CPU s', 'peak MB', 'other cores'], ...rows])}`;
}

function judged(linesPerSecond: number): string {
  return ` (at least ${whole(LEAST_LINES)}: ${linesPerSecond >= LEAST_LINES ? 'pass' : 'miss'})`;
}
