// `npm run bench -- scale`: 200 hosts and several receivers. Throughput and its costs, the records' traffic, and how long
// a partition stands still when a receiver dies, comes or goes.

import { rm } from 'node:fs/promises';

import { handOvers, type HandOvers, takeOvers, type TakeOvers } from './scale-changes.ts';
import { scaleDrain, type ScaleDrain } from './scale-drain.ts';
import { partOf } from './fleet.ts';
import type { WorldOptions } from './world.ts';

export interface Scale {
  readonly hosts: number;
  readonly drains: readonly ScaleDrain[];
  readonly takeOvers: readonly TakeOvers[];
  readonly handOvers: HandOvers;
}

export interface ScaleOptions {
  readonly hosts: number;
  readonly bytes: number;
  /** Kills for each lease, and how often a third receiver comes and goes. */
  readonly rounds: number;
  readonly keep: boolean;
}

/** What is told as soon as it is known. */
export interface ScaleTold {
  readonly drain: (drain: ScaleDrain) => void;
  readonly takeOver: (takeOver: TakeOvers) => void;
  readonly handOver: (handOver: HandOvers) => void;
}

const RECEIVERS = [1, 2, 4];
const LEASES_MS = [6_000, 2_000];

/** Throws `failed` when a byte differs, or something does not happen in time. */
export async function scale(world: WorldOptions, options: ScaleOptions, told: ScaleTold): Promise<Scale> {
  const { hosts, bytes, rounds } = options;
  const inWorld = async <T>(name: string, work: (part: WorldOptions) => Promise<T>): Promise<T> => {
    const part = partOf(world, name);
    const result = await work(part);
    if (!options.keep) await rm(part.dir, { recursive: true });
    return result;
  };
  const drains: ScaleDrain[] = [];
  for (const receivers of RECEIVERS) {
    const drained = await inWorld(
      `drain-${receivers}`,
      async (part) => await scaleDrain(part, receivers, hosts, bytes),
    );
    told.drain(drained);
    drains.push(drained);
  }
  const taken: TakeOvers[] = [];
  for (const leaseMs of LEASES_MS) {
    const result = await inWorld(
      `take-over-${leaseMs}`,
      async (part) => await takeOvers(part, leaseMs, hosts, rounds),
    );
    told.takeOver(result);
    taken.push(result);
  }
  const handed = await inWorld('hand-over', async (part) => await handOvers(part, hosts, rounds));
  told.handOver(handed);
  return { hosts, drains, takeOvers: taken, handOvers: handed };
}
