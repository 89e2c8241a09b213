// One seeded run of logferry's rules against a broker, machines and sources that fail: the decisions are those of the
// real modules, everything around them is played. The same seed gives the same run.

import { messageOf } from '../../common/runtime/errors.ts';
import { partitionOf } from '../../common/wire/subjects.ts';
import { Bucket } from './bucket.ts';
import { checkDirectories, uncommitted, type Violation } from './check.ts';
import { emptyDirectory } from './directory.ts';
import { endFaults, startFaults } from './faults.ts';
import { randomOf, type Random } from './random.ts';
import { forward, newLeaf } from './leaf.ts';
import { startHeart } from './membership.ts';
import { startReceiver } from './receiver.ts';
import type { Scenario } from './scenarios.ts';
import { Scheduler } from './scheduler.ts';
import { startShipper } from './shipper.ts';
import { addGeneration, type SourceFile } from './source.ts';
import { Stream } from './stream.ts';
import { sourceFiles, type Receiver, type Shipper, type World } from './world.ts';

/** The faults end then; from then on everything must come to rest. */
const FAULTS_END = 1500;
const SETTLE = 9000;
/** After everything is committed: time in which repair may finish, and time in which nothing may be published. */
const CALM = 600;

export interface Outcome {
  readonly violations: readonly Violation[];
  /** What happened, when asked for. */
  readonly trace: readonly string[];
  readonly ticks: number;
  readonly published: number;
}

export function runModel(seed: number, scenario: Scenario, options: { trace?: boolean } = {}): Outcome {
  const trace: string[] = [];
  const world = newWorld(seed, scenario, (text) => {
    if (options.trace === true) trace.push(`${String(world.scheduler.now).padStart(5)} ${text}`);
  });
  let violations: Violation[];
  try {
    violations = [...rest(world), ...checkDirectories(world)];
  } catch (error) {
    const stack = error instanceof Error ? error.stack : undefined;
    violations = [{ kind: 'ERROR', detail: stack ?? messageOf(error) }];
  }
  return { violations, trace, ticks: world.scheduler.now, published: attempts(world) };
}

/** Runs until everything has come to rest, or should have. */
function rest(world: World): Violation[] {
  const { scheduler } = world;
  start(world);
  let committedAt: number | undefined;
  let calmed: number | undefined;
  scheduler.run(FAULTS_END + SETTLE, () => {
    if (scheduler.now <= FAULTS_END + 400) return false;
    if (committedAt === undefined) {
      if (uncommitted(world).length === 0) committedAt = scheduler.now;
      return false;
    }
    if (scheduler.now === committedAt + CALM) calmed = attempts(world);
    return scheduler.now >= committedAt + 2 * CALM;
  });
  const late = uncommitted(world);
  if (late.length > 0) return [{ kind: 'STUCK', detail: late.join(', ') }];
  const more = attempts(world) - (calmed ?? 0);
  return more > 0 ? [{ kind: 'BUSY', detail: `${more} messages after everything was committed` }] : [];
}

function attempts({ stream, leaf }: World): number {
  return stream.attempts + leaf.stream.attempts;
}

function start(world: World): void {
  const { scheduler } = world;
  for (const file of sourceFiles(world)) {
    // Some fall silent early: what a fault takes from them then, no later message shows.
    const until = world.random.integer(FAULTS_END / 2, FAULTS_END);
    scheduler.in(world.random.integer(1, 50), () => grow(world, file, until));
  }
  for (const shipper of world.shippers) startShipper(world, shipper);
  for (const receiver of world.receivers) {
    startReceiver(world, receiver);
    startHeart(world, receiver);
  }
  if (world.scenario.edgeHosts > 0) scheduler.spawn(world.leaf, forward(world, world.leaf));
  startFaults(world);
  scheduler.in(FAULTS_END, () => endFaults(world));
}

function grow(world: World, file: SourceFile, until: number): void {
  const { random, scheduler, scenario } = world;
  if (scheduler.now >= until) return;
  file.generations.at(-1)!.size += random.integer(1, 12);
  if (random.chance(scenario.sourceRotations))
    do {
      file.generations.at(-1)!.isClosed = true;
      addGeneration(file, 0);
    } while (random.chance(scenario.emptyGenerations));
  if (random.chance(scenario.lateWrites)) writeLate(world, file);
  scheduler.in(random.integer(5, 90), () => grow(world, file, until));
}

/** A generation that was rotated away is written to again, when a later one has bytes. */
function writeLate({ random, trace }: World, { path, generations }: SourceFile): void {
  const last = generations.findLastIndex(({ size, begin }) => size > begin);
  const rotated = generations.slice(0, Math.max(0, last)).filter(({ isGone }) => !isGone);
  if (rotated.length === 0) return;
  const generation = random.pick(rotated);
  if (generation.hasEnded) generation.lateFrom ??= generation.size;
  generation.size += random.integer(1, 12);
  trace(`${path} ${generation.name.file} is written to again, up to ${generation.size}`);
}

function newWorld(seed: number, scenario: Scenario, trace: (text: string) => void): World {
  const random = randomOf(seed * 7919 + 13);
  let tokens = 0;
  return {
    scenario,
    random,
    scheduler: new Scheduler(random, scenario),
    stream: new Stream(),
    bucket: new Bucket(),
    leaf: newLeaf(),
    shippers: hostsOf(scenario).map((host, index) => newShipper(host, index, scenario, random)),
    receivers: Array.from({ length: scenario.receivers }, (_, index) => newReceiver(`r${index}`)),
    gone: [],
    token: () => String((tokens += 1)),
    trace,
  };
}

/** Host names that fill every partition. */
function hostsOf({ hosts, partitions }: Scenario): string[] {
  const names: string[] = [];
  for (let number = 0; names.length < hosts; number += 1)
    if (partitionOf(`web${number}`, partitions) === names.length % partitions) names.push(`web${number}`);
  return names;
}

function newShipper(host: string, index: number, scenario: Scenario, random: Random): Shipper {
  const files = Array.from({ length: scenario.files }, (_, number): SourceFile => {
    const path = `/f${number}`;
    const file: SourceFile = { host, partition: index % scenario.partitions, path, generations: [] };
    const begins = scenario.begin > 0 && random.chance(0.8);
    addGeneration(file, begins ? random.integer(1, scenario.begin) : 0);
    return file;
  });
  const machine = { name: `shipper ${host}`, life: 0, dead: false, pausedUntil: 0 };
  return { ...machine, isAtEdge: index < scenario.edgeHosts, files, saved: undefined, earlier: [] };
}

function newReceiver(name: string): Receiver {
  const directory = emptyDirectory(name);
  return { name, life: 0, dead: false, pausedUntil: 0, directory, beat: 0, isFull: false };
}
