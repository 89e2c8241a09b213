// How long partitions stand still when receivers die, come and go, while their hosts publish.

import { LogferryError } from '../common/runtime/errors.ts';
import { sleep } from '../common/runtime/run.ts';
import { fileKey, partitionOf } from '../common/wire/subjects.ts';
import { Fleet, PARTITIONS, PREFIX } from './fleet.ts';
import type { Commit } from './record-watch.ts';
import { type SimulatedFile, SimulatedHosts } from './simulated-hosts.ts';
import { showStatus } from './status-line.ts';
import { SteadyLoad } from './steady-load.ts';
import { verifySimulated } from './verify-simulated.ts';
import type { WorldOptions } from './world.ts';

const CHUNK = 512;
const OTHERS_EVERY_MS = 1_000;

const TAKE_OVER_RECEIVERS = 3;
const TAKE_OVER_EVERY_MS = 100;
/** Beyond the lease. */
const TAKE_OVER_TIMEOUT_MS = 30_000;

const HAND_OVER_EVERY_MS = 50;
/** What is looked at around a change. */
const WINDOW_MS = 4_000;
const BETWEEN_MS = 2_000;

export interface TakeOvers {
  readonly leaseMs: number;
  readonly kills: number;
  /** For each partition of a killed receiver: from the kill to the first commit of another's term. */
  readonly ms: readonly number[];
}

/** Milliseconds, one number for each partition and change. */
export interface HandOvers {
  /** The longest time between two commits that cover a host of the partition, while nothing changes. */
  readonly quiet: readonly number[];
  /** The same of the partitions that stayed where they were, while a third receiver started or stopped. */
  readonly stayed: readonly number[];
  readonly started: Moved;
  readonly stopped: Moved;
}

/** Partitions that moved to a receiver that started, or from one that stopped. */
export interface Moved {
  /** From the last commit of the old term to the first of the new one. */
  readonly pauses: number[];
  /** The longest time between two commits, as above. */
  readonly longest: number[];
}

/** Kills one of three receivers, again and again. Throws `failed` when a partition is not taken over, or a byte differs. */
export async function takeOvers(
  options: WorldOptions,
  leaseMs: number,
  hosts: number,
  kills: number,
): Promise<TakeOvers> {
  const fleet = await Fleet.start({ ...options, lease: `${leaseMs}ms` });
  const ids = Array.from({ length: TAKE_OVER_RECEIVERS }, (_, index) => `r${index + 1}`);
  try {
    return await underLoad(fleet, ids, hosts, TAKE_OVER_EVERY_MS, async (probes) => {
      const ms: number[] = [];
      for (let kill = 0; kill < kills; kill += 1) {
        showStatus(`lease ${leaseMs / 1_000} s: kill ${kill + 1} of ${kills}`);
        const id = ids[kill % ids.length] ?? '';
        ms.push(...(await takeOver(fleet, id, leaseMs, new Set(probes.keys()))));
        fleet.receive(id);
        await fleet.settle();
        await sleep(BETWEEN_MS, fleet.signal);
      }
      return { leaseMs, kills, ms };
    });
  } finally {
    await fleet.stop();
  }
}

async function takeOver(
  fleet: Fleet,
  id: string,
  leaseMs: number,
  probed: ReadonlySet<number>,
): Promise<number[]> {
  const owners = await fleet.owners();
  const orphans = new Set([...probed].filter((partition) => owners[partition] === id));
  const times: number[] = [];
  let killedAt = Number.POSITIVE_INFINITY;
  const stopListening = fleet.watch.listen(({ at, partition, record }) => {
    if (record.owner === id || at < killedAt || !orphans.delete(partition)) return;
    times.push(at - killedAt);
  });
  try {
    killedAt = performance.now();
    await fleet.killReceiver(id);
    const timeoutMs = leaseMs + TAKE_OVER_TIMEOUT_MS;
    await fleet.wait(() => orphans.size === 0, timeoutMs, 'not every partition was taken over');
    return times;
  } finally {
    stopListening();
  }
}

/** Two receivers, and a third that comes and goes. Throws `failed` when a byte differs. */
export async function handOvers(options: WorldOptions, hosts: number, rounds: number): Promise<HandOvers> {
  const fleet = await Fleet.start(options);
  try {
    return await underLoad(fleet, ['r1', 'r2'], hosts, HAND_OVER_EVERY_MS, async (probes) => {
      const quiet: number[] = [];
      const stayed: number[] = [];
      const started: Moved = { pauses: [], longest: [] };
      const stopped: Moved = { pauses: [], longest: [] };
      for (let round = 1; round <= rounds; round += 1) {
        showStatus(`hand-over: round ${round} of ${rounds}`);
        quiet.push(...(await standstills(fleet, probes, started, async () => {})));
        const starting = standstills(fleet, probes, started, async () => {
          fleet.receive('r3');
          await fleet.settle();
        });
        stayed.push(...(await starting));
        const stopping = standstills(fleet, probes, stopped, async () => {
          await fleet.stopReceiver('r3');
          await fleet.settle();
        });
        stayed.push(...(await stopping));
      }
      return { quiet, stayed, started, stopped };
    });
  } finally {
    await fleet.stop();
  }
}

/** Starts the receivers, publishes meanwhile, and compares all bytes at the end. */
async function underLoad<T>(
  fleet: Fleet,
  ids: readonly string[],
  hosts: number,
  probeEveryMs: number,
  work: (probes: ReadonlyMap<number, SimulatedFile>) => Promise<T>,
): Promise<T> {
  showStatus(`${ids.length} receivers: starting`);
  for (const id of ids) fleet.receive(id);
  await fleet.settle();
  const simulated = new SimulatedHosts(fleet.link, PREFIX, hosts, 1, CHUNK);
  const probes = new Map(simulated.files.map((file) => [partitionOf(file.host, PARTITIONS), file]));
  const probing = [...probes.values()];
  const others = simulated.files.filter((file) => !probing.includes(file));
  const load = new SteadyLoad(simulated, [
    { files: probing, everyMs: probeEveryMs },
    { files: others, everyMs: OTHERS_EVERY_MS },
  ]);
  let result: T;
  try {
    await sleep(BETWEEN_MS, fleet.signal);
    result = await work(probes);
  } finally {
    await load.stop();
    showStatus('');
  }
  await fleet.committed(simulated.files, 30_000);
  await fleet.stopReceivers();
  await verifySimulated(fleet.outs, simulated.files, fleet.signal);
  return result;
}

interface Covered {
  readonly at: number;
  readonly term: string | null;
}

/**
 * The longest times between two commits in a window that begins with the change, of the probed partitions that stay;
 * those that move are added to `moved`.
 */
async function standstills(
  fleet: Fleet,
  probes: ReadonlyMap<number, SimulatedFile>,
  moved: Moved,
  change: () => Promise<void>,
): Promise<number[]> {
  const commits = new Map<number, Covered[]>([...probes.keys()].map((partition) => [partition, []]));
  const offsets = new Map<number, number>();
  const note = ({ at, partition, record }: Commit): void => {
    const file = probes.get(partition);
    const offset = file === undefined ? 0 : (record.files.get(fileKey(file.host, file.file))?.offset ?? 0);
    if (offset <= (offsets.get(partition) ?? 0)) return;
    offsets.set(partition, offset);
    commits.get(partition)?.push({ at, term: record.term });
  };
  const stopListening = fleet.watch.listen(note);
  try {
    await sleep(BETWEEN_MS, fleet.signal);
    const from = performance.now();
    await change();
    await sleep(Math.max(0, from + WINDOW_MS - performance.now()), fleet.signal);
    const to = performance.now();
    await sleep(BETWEEN_MS, fleet.signal);
    fleet.signal.throwIfAborted();
    const stayed: number[] = [];
    for (const covered of commits.values()) {
      const gaps = gapsBetween(covered, from, to);
      const longest = Math.max(...gaps.map(({ ms }) => ms));
      const pauses = gaps.filter(({ isHandOver }) => isHandOver).map(({ ms }) => ms);
      if (pauses.length === 0) stayed.push(longest);
      else {
        moved.longest.push(longest);
        moved.pauses.push(...pauses);
      }
    }
    return stayed;
  } finally {
    stopListening();
  }
}

/** The times between commits of one partition that have a part in the window. */
function gapsBetween(
  commits: readonly Covered[],
  from: number,
  to: number,
): { ms: number; isHandOver: boolean }[] {
  if (!commits.some(({ at }) => at < from) || !commits.some(({ at }) => at > to))
    throw new LogferryError('failed', 'a partition is not committed before or after a change');
  return commits.slice(1).flatMap(({ at, term }, index) => {
    const before = commits[index];
    if (before === undefined || at < from || before.at > to) return [];
    return [{ ms: at - before.at, isHandOver: term !== before.term }];
  });
}
