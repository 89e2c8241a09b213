// The figures as text. Pure.

import type { Drain } from './drain.ts';
import type { Latency } from './latency.ts';
import { median, table, whole } from './table.ts';

export interface Source {
  /** What is shipped, and the one file or the many that it names. */
  readonly glob: string;
  readonly files: readonly string[];
  readonly bytes: number;
  readonly lines: number;
}

/** One drain and the floors that were measured right before it. */
export interface DrainRun extends Drain {
  readonly load: number;
  readonly copyMs: number;
  readonly zstdMs: number;
  readonly zstdBy: string;
}

/** What a run comes to. MB is 10^6 bytes, GiB 2^30. */
export interface Figures {
  readonly mbPerSecond: number;
  readonly linesPerSecond: number;
  readonly copyMbPerSecond: number;
  readonly zstdMbPerSecond: number;
  readonly toCopy: number;
  readonly toZstd: number;
  readonly cpuSecondsPerGib: PerProcess;
  readonly peakMb: PerProcess;
  /** What the central files take, of the source's bytes. */
  readonly onDisk: number;
  /** Cores that others used during the drain. */
  readonly othersCores: number;
}

interface PerProcess {
  readonly shipper: number;
  readonly server: number;
  readonly receiver: number;
}

/** The targets: share of `zstd -1` on one core, and MB resident. */
const LEAST_TO_ZSTD = 0.4;
const MOST_MB = { shipper: 200, receiver: 250 };
/** For many files at once. */
const MOST_MB_MANY = 250;
const LEAST_MB_PER_SECOND_MANY = 130;

export function figuresOf(source: Source, run: DrainRun): Figures {
  const ms = run.wholeMs - run.emptyMs;
  const mbPerSecond = (of: number): number => source.bytes / 1e6 / (of / 1_000);
  const each = (figure: (of: 'shipper' | 'server' | 'receiver') => number): PerProcess => ({
    shipper: figure('shipper'),
    server: figure('server'),
    receiver: figure('receiver'),
  });
  return {
    mbPerSecond: mbPerSecond(ms),
    linesPerSecond: source.lines / (ms / 1_000),
    copyMbPerSecond: mbPerSecond(run.copyMs),
    zstdMbPerSecond: mbPerSecond(run.zstdMs),
    toCopy: run.copyMs / ms,
    toZstd: run.zstdMs / ms,
    cpuSecondsPerGib: each((of) => run[of].cpuMs / 1_000 / (source.bytes / 1024 ** 3)),
    peakMb: each((of) => run[of].peakBytes / 1e6),
    onDisk: run.diskBytes / source.bytes,
    othersCores: run.othersCpuMs / run.wholeMs,
  };
}

/** The median of every figure by itself. */
export function mediansOf(all: readonly Figures[]): Figures {
  const of = (figure: (one: Figures) => number): number => median(all.map(figure));
  const each = (figure: (one: Figures) => PerProcess): PerProcess => ({
    shipper: of((one) => figure(one).shipper),
    server: of((one) => figure(one).server),
    receiver: of((one) => figure(one).receiver),
  });
  return {
    mbPerSecond: of((one) => one.mbPerSecond),
    linesPerSecond: of((one) => one.linesPerSecond),
    copyMbPerSecond: of((one) => one.copyMbPerSecond),
    zstdMbPerSecond: of((one) => one.zstdMbPerSecond),
    toCopy: of((one) => one.toCopy),
    toZstd: of((one) => one.toZstd),
    cpuSecondsPerGib: each((one) => one.cpuSecondsPerGib),
    peakMb: each((one) => one.peakMb),
    onDisk: of((one) => one.onDisk),
    othersCores: of((one) => one.othersCores),
  };
}

export function sourceText({ files, bytes, lines }: Source): string {
  const among = files.length > 1 ? ` in ${whole(files.length)} files` : '';
  return `source: ${whole(bytes / 1e6)} MB${among}, ${whole(lines)} lines of ${whole(bytes / lines)} bytes on average\n`;
}

export function drainText(title: string, zstdBy: string, of: Figures, files = 1): string {
  const { cpuSecondsPerGib: cpu, peakMb: peak } = of;
  const rates = table([
    [title, 'MB/s', 'lines/s', 'drain is'],
    [
      'drain',
      files === 1 ? whole(of.mbPerSecond) : verdict(of.mbPerSecond, 'least', LEAST_MB_PER_SECOND_MANY),
      whole(of.linesPerSecond),
      '',
    ],
    [
      `${zstdBy} -1, one core`,
      whole(of.zstdMbPerSecond),
      '',
      files === 1 ? verdict(of.toZstd, 'least', LEAST_TO_ZSTD) : of.toZstd.toFixed(2),
    ],
    ['cp, then sync', whole(of.copyMbPerSecond), '', of.toCopy.toFixed(2)],
  ]);
  const processes = table([
    ['process', 'CPU s per GiB', 'peak MB'],
    [
      'shipper',
      cpu.shipper.toFixed(2),
      verdict(peak.shipper, 'most', files === 1 ? MOST_MB.shipper : MOST_MB_MANY),
    ],
    ['nats-server', cpu.server.toFixed(2), whole(peak.server)],
    ['receiver', cpu.receiver.toFixed(2), verdict(peak.receiver, 'most', MOST_MB.receiver)],
    ['together', (cpu.shipper + cpu.server + cpu.receiver).toFixed(2), ''],
  ]);
  const others = `meanwhile everything else used ${of.othersCores.toFixed(2)} cores\n`;
  const onDisk = `the central files take ${of.onDisk.toFixed(3)} of the source\n`;
  return `\n${rates}\n${processes}\n${onDisk}${others}`;
}

function verdict(value: number, bound: 'least' | 'most', target: number): string {
  if (bound === 'least')
    return `${value.toFixed(2)} (at least ${target}: ${value >= target ? 'pass' : 'miss'})`;
  return `${whole(value)} (under ${target}: ${value < target ? 'pass' : 'miss'})`;
}

export function latencyMediansOf(all: readonly Latency[]): Latency {
  const of = (figure: (one: Latency) => number): number => median(all.map(figure));
  return {
    lines: of((one) => one.lines),
    linesPerSecond: of((one) => one.linesPerSecond),
    p50Ms: of((one) => one.p50Ms),
    p99Ms: of((one) => one.p99Ms),
    maxMs: of((one) => one.maxMs),
    backlogMBs: of((one) => one.backlogMBs),
    cpu: {
      shipper: of((one) => one.cpu.shipper),
      receiver: of((one) => one.cpu.receiver),
      server: of((one) => one.cpu.server),
    },
    othersCores: of((one) => one.othersCores),
  };
}

export function latencyText(title: string, of: Latency): string {
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  const { cpu } = of;
  return `\n${table([
    [title, ''],
    ['lines/s', whole(of.linesPerSecond)],
    ['append → central file, p50', `${of.p50Ms.toFixed(1)} ms`],
    ['p99', `${of.p99Ms.toFixed(1)} ms`],
    ['longest', `${of.maxMs.toFixed(1)} ms`],
    ...(of.backlogMBs === 0 ? [] : [['backlog meanwhile', `${whole(of.backlogMBs)} MB/s`]]),
    ['CPU of the shipper', percent(cpu.shipper)],
    ['CPU of the receiver', percent(cpu.receiver)],
    ['CPU of nats-server', percent(cpu.server)],
  ])}\nmeanwhile everything else but the bench used ${of.othersCores.toFixed(2)} cores\n`;
}
