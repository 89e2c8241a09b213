// One replay of what a drain has left in the stream: from the start of the process to its end, on disk and compared.

import path from 'node:path';

import { LogferryError } from '../common/runtime/errors.ts';
import { destinationOf } from '../receiver/ledger/names.ts';
import { segmentsOf } from '../receiver/disk/segments.ts';
import { firstDifference } from './compare.ts';
import type { Drain } from './drain.ts';
import { LogferryProcess } from './logferry-process.ts';
import { type Measured, measured } from './measured.ts';
import type { Usage } from './process-usage.ts';
import type { Source } from './report.ts';
import { table, whole } from './table.ts';
import { HOST, type World } from './world.ts';

export interface Replayed {
  /** Of the whole command, and of the same with a path of one line. */
  readonly wholeMs: number;
  readonly emptyMs: number;
  readonly usage: Usage;
}

export interface ReplayRun {
  readonly drained: Drain;
  readonly replayed: Replayed;
}

/** Throws `failed` when a byte differs. */
export async function replayAgain(world: World, source: Source, signal: AbortSignal): Promise<Replayed> {
  const empty = await run(world, 'replay-empty', ['--path', world.first], signal);
  const whole = await run(world, 'replay', [], signal);
  for (const file of source.files) {
    const out = path.join(world.dir, 'replay');
    const segments = await segmentsOf(out, destinationOf(HOST, file));
    const names = segments.map(({ name }) => path.join(out, name));
    const offset = await firstDifference([file], names, signal);
    if (offset !== undefined)
      throw new LogferryError('failed', `what was replayed of ${file} differs from it at byte ${offset}`);
  }
  const cpuMs = whole.usage.cpuMs - empty.usage.cpuMs;
  return { wholeMs: whole.ms, emptyMs: empty.ms, usage: { ...whole.usage, cpuMs } };
}

export function replayText(title: string, { bytes }: Source, { drained, replayed }: ReplayRun): string {
  const rate = (ms: number): string => whole(bytes / 1e6 / (ms / 1_000));
  const perGib = ({ cpuMs }: Usage): string => (cpuMs / 1_000 / (bytes / 1024 ** 3)).toFixed(2);
  const peak = ({ peakBytes }: Usage): string => whole(peakBytes / 1e6);
  return `\n${table([
    [title, 'MB/s', 'CPU s per GiB', 'peak MB'],
    [
      'drain, its receiver',
      rate(drained.wholeMs - drained.emptyMs),
      perGib(drained.receiver),
      peak(drained.receiver),
    ],
    ['replay', rate(replayed.wholeMs - replayed.emptyMs), perGib(replayed.usage), peak(replayed.usage)],
  ])}\n`;
}

async function run(
  world: World,
  name: string,
  extra: readonly string[],
  signal: AbortSignal,
): Promise<Measured> {
  const args = ['replay', '--out', path.join(world.dir, name), '--server', world.urls, ...extra];
  const log = path.join(world.dir, `${name}.log`);
  return await measured(() => new LogferryProcess(args, log, world.profiler(name)), signal);
}
