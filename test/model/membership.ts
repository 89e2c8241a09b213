// Who is alive in the model, by heartbeats, and who should own what by the real plan.

import { partitionKey } from '../../common/wire/topology.ts';
import { planPartitions } from '../../receiver/ownership/plan.ts';
import type { Receiver, World } from './world.ts';

/** A heartbeat older than this is gone. */
const LEASE = 60;
const HEARTBEAT = 15;

/** The heart beats for as long as the model runs; it is silent while the receiver is dead or paused. */
export function startHeart(world: World, receiver: Receiver): void {
  const { scheduler } = world;
  if (!receiver.dead && receiver.pausedUntil <= scheduler.now) receiver.beat = scheduler.now;
  scheduler.in(HEARTBEAT, () => startHeart(world, receiver));
}

export function isAlive(world: World, receiver: Receiver): boolean {
  return !receiver.dead && world.scheduler.now - receiver.beat <= LEASE;
}

/** What everybody computes from the members and the records that they watch. */
export function isPlannedFor(world: World, receiver: Receiver, partition: number): boolean {
  const alive = world.receivers.filter((each) => isAlive(world, each));
  const members = alive.filter((each) => !each.isFull);
  const owners = Array.from(
    { length: world.scenario.partitions },
    (_, index) => world.bucket.read(partitionKey(index)).record?.owner ?? null,
  );
  const names = (members.length > 0 ? members : alive).map((each) => each.name);
  return planPartitions(names, owners)[partition] === receiver.name;
}
