// What happens to machines, the broker and the sources while a run of the model is not quiet.

import { loseLedgerEnd } from './ledger-on-disk.ts';
import { startReceiver } from './receiver.ts';
import type { Fault } from './scenarios.ts';
import type { Machine } from './scheduler.ts';
import { startShipper } from './shipper.ts';
import { sourceFiles, type Shipper, type World } from './world.ts';

/** One fault after the other, until the quiet time. */
export function startFaults(world: World): void {
  const { random, scheduler, scenario } = world;
  const next = (): void => {
    if (scheduler.quiet) return;
    const fault = random.pick(scenario.faults);
    world.trace(`FAULT ${fault}`);
    HAPPENS[fault](world);
    scheduler.in(random.integer(10, 120), next);
  };
  scheduler.in(random.integer(20, 100), next);
}

/** Everything runs again and stays. */
export function endFaults(world: World): void {
  world.scheduler.quiet = true;
  world.leaf.isCut = false;
  for (const receiver of world.receivers) {
    receiver.isFull = false;
    receiver.pausedUntil = 0;
    if (receiver.dead) startReceiver(world, receiver);
  }
}

const HAPPENS: Record<Fault, (world: World) => void> = {
  crashReceiver: (world) => {
    const receiver = world.random.pick(world.receivers);
    crash(world, receiver, () => startReceiver(world, receiver), 200);
  },
  stopReceiver: (world) => {
    const receiver = world.random.pick(world.receivers);
    crash(world, receiver, () => startReceiver(world, receiver), 1200);
  },
  crashShipper: (world) => {
    const shipper = world.random.pick(world.shippers);
    if (!shipper.dead) damageState(world, shipper);
    crash(world, shipper, () => startShipper(world, shipper), 200);
  },
  pauseReceiver: ({ random, scheduler, receivers, trace }) => {
    const receiver = random.pick(receivers);
    receiver.pausedUntil = scheduler.now + random.integer(20, 300);
    trace(`${receiver.name} is paused until ${receiver.pausedUntil}`);
  },
  fillReceiver: ({ random, scheduler, receivers, trace }) => {
    const receiver = random.pick(receivers);
    receiver.isFull = true;
    trace(`${receiver.name} is full`);
    scheduler.in(random.integer(50, 400), () => {
      receiver.isFull = false;
    });
  },
  rollBackStream: ({ stream, random }) => stream.rollBack(random, random.chance(0.5)),
  wipeStream: ({ stream }) => stream.wipe(),
  loseMessage: ({ stream, random }) => stream.loseOne(random),
  dropOldest: ({ stream, random }) => stream.dropOldest(random),
  rollBackBucket: ({ bucket, random }) => bucket.rollBack(random),
  wipeBucket: ({ bucket }) => bucket.wipe(),
  rollBackBoth: ({ stream, bucket, random }) => {
    stream.rollBack(random, true);
    bucket.rollBack(random);
  },
  wipeBoth: ({ stream, bucket }) => {
    stream.wipe();
    bucket.wipe();
  },
  loseLedgerEnd: (world) => {
    const receiver = world.random.pick(world.receivers);
    const lines = world.random.integer(1, 4);
    for (const partition of receiver.directory.ledgers.keys())
      loseLedgerEnd(receiver.directory, partition, lines);
    receiver.dead = false;
    crash(world, receiver, () => startReceiver(world, receiver), 200);
  },
  cutLink: ({ random, scheduler, leaf }) => {
    leaf.isCut = true;
    scheduler.in(random.integer(20, 400), () => {
      leaf.isCut = false;
    });
  },
  rollBackLeaf: ({ leaf, random }) => leaf.stream.rollBack(random, false),
  wipeLeaf: ({ leaf }) => leaf.stream.wipe(),
  loseAtLeaf: ({ leaf, random }) => leaf.stream.loseOne(random),
  dropOldestAtLeaf: ({ leaf, random }) => leaf.stream.dropOldest(random),
  loseSource: (world) => {
    const generations = sourceFiles(world).flatMap((file) => file.generations);
    const closed = generations.filter((generation) => generation.isClosed);
    if (closed.length > 0) world.random.pick(closed).isGone = true;
  },
};

/** Of the state on disk, a crash may leave an older one, or nothing. */
function damageState({ random, scenario, trace }: World, shipper: Shipper): void {
  if (random.chance(scenario.lostStates)) shipper.saved = undefined;
  else if (shipper.earlier.length > 0 && random.chance(scenario.olderStates))
    shipper.saved = random.pick(shipper.earlier);
  trace(`${shipper.name} has saved what there was up to ${shipper.saved?.seq ?? 'nothing'}`);
}

function crash(world: World, machine: Machine, restart: () => void, longest: number): void {
  if (machine.dead) return;
  machine.life += 1;
  machine.dead = true;
  world.trace(`${machine.name} is killed`);
  world.scheduler.in(world.random.integer(2, longest), () => {
    if (machine.dead) restart();
  });
}
