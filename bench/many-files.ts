// `npm run bench -- many-files`: many files that are written to at a low rate each, through logferry and the peers in
// turn: what that costs, and how long a line takes from its append until it can be read from its central file.

import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { LogferryError } from '../common/runtime/errors.ts';
import { until } from '../common/runtime/run.ts';
import { sizeOf } from './generate.ts';
import { Follower, latenciesOf } from './arrivals.ts';
import { firstDifference } from './compare.ts';
import { partOf } from './fleet.ts';
import { type Load, load, type RoleUsage } from './many-files-load.ts';
import type { Following, Stored, System } from './many-files-systems.ts';
import { usageOf } from './process-usage.ts';
import { showStatus } from './status-line.ts';
import { quantile } from './table.ts';
import type { WorldOptions } from './world.ts';

export interface Workload {
  readonly files: number;
  /** Of each file. */
  readonly linesPerSecond: number;
}

export interface ManyFiles extends Workload {
  readonly system: string;
  /** Of all files together, as the writer got to append them. */
  readonly reachedPerSecond: number;
  readonly roles: readonly RoleUsage[];
  /** Of the lines of some of the files. */
  readonly latency: {
    readonly lines: number;
    readonly p50Ms: number;
    readonly p99Ms: number;
    readonly maxMs: number;
  };
  /** What the loopback device carried for each hop, as a share of what was appended. */
  readonly wireShare: number;
  /** What nats-server got by all that was appended, which were so many bytes; undefined without one. */
  readonly stored: (Stored & { readonly sourceBytes: number }) | undefined;
  /** Shares of one core: of the writer, and of everything that is not known. */
  readonly writerCpu: number;
  readonly othersCores: number;
}

/** 20,000 lines a second in one file and in twenty, and less in more. */
export const WORKLOADS: readonly Workload[] = [
  { files: 1, linesPerSecond: 20_000 },
  { files: 20, linesPerSecond: 1_000 },
  { files: 100, linesPerSecond: 100 },
  { files: 200, linesPerSecond: 20 },
  { files: 1_000, linesPerSecond: 2 },
];

const FIRST = 'a first line\n';
const MOST_FOLLOWED = 10;
const TIMEOUT_MS = 60_000;
const LOOK_MS = 200;

/**
 * Every workload through every system in turn; the results in that order. Throws `failed` when a byte of a central file
 * differs from its source.
 */
export async function manyFiles(
  world: WorldOptions,
  options: {
    readonly workloads: readonly Workload[];
    readonly systems: readonly System[];
    readonly seconds: number;
    readonly keep: boolean;
  },
  onWorkload: (results: readonly ManyFiles[]) => void,
): Promise<ManyFiles[]> {
  await mkdir(world.dir, { recursive: true });
  const all: ManyFiles[] = [];
  for (const workload of options.workloads) {
    const results: ManyFiles[] = [];
    for (const [index, system] of options.systems.entries()) {
      world.signal.throwIfAborted();
      const part = partOf(world, `${workload.files}x${workload.linesPerSecond}-${index}`);
      results.push(await one(part, system, workload, options.seconds));
      if (!options.keep) await rm(part.dir, { recursive: true });
    }
    showStatus('');
    onWorkload(results);
    all.push(...results);
  }
  return all;
}

async function one(
  options: WorldOptions,
  system: System,
  workload: Workload,
  seconds: number,
): Promise<ManyFiles> {
  const { dir, signal } = options;
  const what = `${system.name}, ${workload.files} files × ${workload.linesPerSecond} lines/s`;
  showStatus(what);
  await mkdir(dir);
  const sources = await makeFiles(path.join(dir, 'files'), workload.files);
  const following = await system.start({ ...options, dir: path.join(dir, 'world') }, sources);
  let figures: ManyFiles;
  try {
    await arrival(what, following, sources, signal);
    figures = await measure(what, { system, workload, following, sources, seconds, signal });
  } finally {
    await following.stop();
  }
  showStatus(`${what}: comparing`);
  await refuseDifference(what, following, sources, signal);
  return figures;
}

/** Resolves when all that was appended has arrived. */
async function measure(
  what: string,
  run: {
    readonly system: System;
    readonly workload: Workload;
    readonly following: Following;
    readonly sources: readonly string[];
    readonly seconds: number;
    readonly signal: AbortSignal;
  },
): Promise<ManyFiles> {
  const { system, workload, following, sources, seconds, signal } = run;
  const { files, linesPerSecond } = workload;
  const before = await following.stored();
  const bytesBefore = await bytesOf(sources);
  const followed = sources.filter((_, index) => index % Math.ceil(files / MOST_FOLLOWED) === 0);
  const follower = new Follower(followed.map(following.central));
  let loaded: Load;
  try {
    loaded = await load(following.pids, sources, files * linesPerSecond, seconds, signal);
    await arrival(what, following, sources, signal);
    follower.look();
  } finally {
    follower.close();
  }
  const after = await following.stored();
  const sourceBytes = (await bytesOf(sources)) - bytesBefore;
  const latencies = await latenciesOfSome(loaded, sources, followed, follower);
  return {
    ...{ system: system.name, ...workload },
    reachedPerSecond: loaded.lines / (loaded.ms / 1_000),
    roles: loaded.roles,
    latency: {
      lines: latencies.length,
      p50Ms: quantile(latencies, 0.5),
      p99Ms: quantile(latencies, 0.99),
      maxMs: quantile(latencies, 1),
    },
    wireShare: loaded.wireBytes / system.hops / ((sourceBytes * loaded.lines) / loaded.moments.length),
    stored: before && after && { ...since(before, after), sourceBytes },
    ...{ writerCpu: loaded.writerCpu, othersCores: loaded.othersCores },
  };
}

/** One line in each; names of one length, the order of which is that of the numbers. */
async function makeFiles(directory: string, count: number): Promise<string[]> {
  await mkdir(directory);
  const sources = Array.from({ length: count }, (_, number) =>
    path.join(directory, `${String(number).padStart(6, '0')}.log`),
  );
  for (const source of sources) await writeFile(source, FIRST);
  return sources;
}

/** Resolves when each central file is as long as its source. Throws `failed` when one never is. */
async function arrival(
  what: string,
  { central, pids }: Following,
  sources: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const missing = new Set(sources);
  const isThere = async (): Promise<boolean> => {
    refuseEnded(what, pids);
    for (const source of missing) {
      if ((await sizeOf(central(source))) < (await sizeOf(source))) return false;
      missing.delete(source);
    }
    return true;
  };
  await until(isThere, { timeoutMs: TIMEOUT_MS, everyMs: LOOK_MS, signal });
  signal.throwIfAborted();
  if (missing.size > 0)
    throw new LogferryError(
      'failed',
      `${what}: not all of ${missing.size} files has arrived`,
      'run again with --keep',
    );
}

function refuseEnded(what: string, pids: Following['pids']): void {
  for (const [role, all] of Object.entries(pids))
    if (all.some((pid) => usageOf(pid) === undefined))
      throw new LogferryError('failed', `${what}: the ${role} has ended`, 'run again with --keep');
}

async function refuseDifference(
  what: string,
  { central }: Following,
  sources: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (const source of sources) {
    const offset = await firstDifference([source], [central(source)], signal);
    if (offset !== undefined)
      throw new LogferryError(
        'failed',
        `${what}: the central file of ${source} differs from it at byte ${offset}`,
        'run again with --keep and compare them',
      );
  }
}

async function latenciesOfSome(
  { moments, from, to }: Load,
  sources: readonly string[],
  followed: readonly string[],
  follower: Follower,
): Promise<number[]> {
  const latencies: number[] = [];
  for (const [index, source] of followed.entries()) {
    const number = sources.indexOf(source);
    const own = moments.filter((_, line) => line % sources.length === number);
    const its = await latenciesOf(source, own, follower.growths[index] ?? [], { from, to });
    for (const latency of its) latencies.push(latency);
  }
  return latencies;
}

function since(before: Stored, { stream, buckets }: Stored): Stored {
  return {
    stream: {
      messages: stream.messages - before.stream.messages,
      bytes: stream.bytes - before.stream.bytes,
    },
    buckets: { sets: buckets.sets - before.buckets.sets, bytes: buckets.bytes },
  };
}

async function bytesOf(files: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const file of files) bytes += await sizeOf(file);
  return bytes;
}
