// How long a line takes from the append to the source file until it can be read from the central file, at a steady
// rate; and what that costs.

import { closeSync, openSync, readSync, watch, writeSync } from 'node:fs';
import { symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { LogferryError } from '../common/runtime/errors.ts';
import { sleep, until } from '../common/runtime/run.ts';
import { machineCpuMs, usageOf } from './process-usage.ts';
import { quantile } from './table.ts';
import { World, type WorldOptions } from './world.ts';

export interface Latency {
  readonly lines: number;
  readonly linesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** Of the backlog, meanwhile: decimal megabytes of source bytes a second in the central file; 0 without one. */
  readonly backlogMBs: number;
  /** Share of one core. */
  readonly cpu: { readonly shipper: number; readonly receiver: number; readonly server: number };
  /** Cores that others than these and the bench used meanwhile. */
  readonly othersCores: number;
}

const LINE_BYTES = 200;
const LINES_PER_SECOND = 20_000;
const SECONDS = 10;
/** A backlog of 1 GiB takes at least as long. */
const BACKLOG_SECONDS = 5;
/** Left out of the figures: programs are slower at first. */
const WARM_UP_SECONDS = 3;
const ARRIVAL_TIMEOUT_MS = 10_000;
/** A line begins with the time of its append: microseconds of performance.now(), in this many digits. */
const STAMP_DIGITS = 12;

/**
 * Throws `failed` when a line does not arrive, or something else does.
 *
 * @param backlog a file that is there to be shipped as well, from the moment at which what counts begins
 */
export async function latency(options: WorldOptions, backlog: string | undefined): Promise<Latency> {
  const { signal } = options;
  const world = await World.start(options);
  const source = path.join(options.dir, 'steady.log');
  await writeFile(source, lineOf(performance.now()));
  const other = path.join(options.dir, 'backlog.log');
  const shipper = world.ship(source, backlog === undefined ? [] : [other], true);
  try {
    const central = await firstArrival(world, source, signal);
    const usage = (): Record<'shipper' | 'receiver' | 'server' | 'machine', number> => {
      const { server, receiver } = world.usage();
      const own = usageOf(shipper.pid)?.cpuMs ?? Number.NaN;
      return { shipper: own, receiver: receiver.cpuMs, server: server.cpuMs, machine: machineCpuMs() };
    };
    const reader = new Reader(central);
    try {
      await append(source, WARM_UP_SECONDS, signal);
      reader.read();
      reader.latencies.length = 0;
      const [before, began, ownBefore] = [usage(), performance.now(), process.cpuUsage()];
      if (backlog !== undefined) await symlink(backlog, other);
      const lines = await append(source, backlog === undefined ? SECONDS : BACKLOG_SECONDS, signal);
      const [after, ms, own] = [usage(), performance.now() - began, process.cpuUsage(ownBefore)];
      const drained = backlog === undefined ? 0 : await bytesOf(world, other);
      await until(() => reader.latencies.length >= lines, { timeoutMs: ARRIVAL_TIMEOUT_MS, signal });
      signal.throwIfAborted();
      const { latencies } = reader;
      if (latencies.length < lines)
        throw new LogferryError('failed', `${latencies.length} of ${lines} lines have arrived`);
      const share = (of: keyof typeof before): number => (after[of] - before[of]) / ms;
      const cpu = { shipper: share('shipper'), receiver: share('receiver'), server: share('server') };
      const known = cpu.shipper + cpu.receiver + cpu.server + (own.user + own.system) / 1_000 / ms;
      return {
        lines,
        linesPerSecond: lines / (ms / 1_000),
        p50Ms: quantile(latencies, 0.5),
        p99Ms: quantile(latencies, 0.99),
        maxMs: quantile(latencies, 1),
        backlogMBs: drained / 1e3 / ms,
        cpu,
        othersCores: Math.max(0, share('machine') - known),
      };
    } finally {
      reader.close();
    }
  } finally {
    await shipper.stop();
    await world.stop();
  }
}

/** Appends at the rate, a few lines each millisecond; returns how many. */
async function append(file: string, seconds: number, signal: AbortSignal): Promise<number> {
  const fd = openSync(file, 'a');
  try {
    const began = performance.now();
    let lines = 0;
    for (let ms = 0; ms < seconds * 1_000; ms = performance.now() - began) {
      signal.throwIfAborted();
      const due = Math.floor((ms / 1_000) * LINES_PER_SECOND) - lines;
      if (due > 0) writeSync(fd, lineOf(performance.now()).repeat(due));
      lines += due;
      await sleep(1, signal);
    }
    return lines;
  } finally {
    closeSync(fd);
  }
}

function lineOf(now: number): string {
  const stamp = String(Math.round(now * 1_000)).padStart(STAMP_DIGITS, '0');
  return `${stamp} ${'a line of a steady log, as long as most are '.repeat(5)}`
    .slice(0, LINE_BYTES - 1)
    .concat('\n');
}

async function firstArrival(world: World, source: string, signal: AbortSignal): Promise<string> {
  let name: string | undefined;
  const arrived = async (): Promise<boolean> => {
    const [segment] = await world.central(source);
    name = segment?.size === LINE_BYTES ? segment.name : undefined;
    return name !== undefined;
  };
  await until(arrived, { timeoutMs: ARRIVAL_TIMEOUT_MS, signal });
  signal.throwIfAborted();
  if (name === undefined) throw new LogferryError('failed', 'the first line has not arrived');
  return name;
}

async function bytesOf(world: World, source: string): Promise<number> {
  const segments = await world.central(source);
  return segments.reduce((sum, { size }) => sum + size, 0);
}

/** Reads what is new in the central file whenever inotify says that it changed. */
class Reader {
  readonly latencies: number[] = [];
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(LINE_BYTES * 1_000);
  readonly #close: () => void;
  #at = LINE_BYTES;

  constructor(file: string) {
    this.#fd = openSync(file, 'r');
    const watcher = watch(file, () => {
      this.read();
    });
    this.#close = () => {
      watcher.close();
    };
  }

  /** Lines are never torn here: they are appended as whole lines, and a chunk ends after a newline. */
  read(): void {
    for (;;) {
      const length = readSync(this.#fd, this.#buffer, 0, this.#buffer.length, this.#at);
      const now = performance.now();
      const whole = length - (length % LINE_BYTES);
      for (let at = 0; at < whole; at += LINE_BYTES)
        this.latencies.push(now - Number(this.#buffer.toString('latin1', at, at + STAMP_DIGITS)) / 1_000);
      this.#at += whole;
      if (length < this.#buffer.length) return;
    }
  }

  close(): void {
    this.#close();
    closeSync(this.#fd);
  }
}
