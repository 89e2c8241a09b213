// An edge of the model: a stream of its own, whose messages come into the central one late, and sometimes twice, over a
// link that is cut now and then.

import { nap, type Machine, type Process } from './scheduler.ts';
import { Stream } from './stream.ts';
import type { World } from './world.ts';

export interface Leaf extends Machine {
  readonly stream: Stream;
  isCut: boolean;
  /** What is forwarded next. */
  next: number;
}

export function newLeaf(): Leaf {
  const machine = { name: 'leaf', life: 0, dead: false, pausedUntil: 0 };
  return { ...machine, stream: new Stream(true), isCut: false, next: 0 };
}

/** Forwards in order. After every doubt it goes on behind what the central stream has, or further back. */
export function* forward(world: World, leaf: Leaf): Process {
  const { random, stream } = world;
  let between = '';
  for (;;) {
    yield* nap(random.integer(1, leaf.isCut ? 20 : 6));
    const { created, connection } = stream.info();
    const now = leaf.isCut ? '' : `${leaf.stream.info().created} ${created} ${connection}`;
    if (now !== '' && now !== between)
      leaf.next = stream.lastOrigin() + 1 - (random.chance(0.3) ? random.integer(0, 6) : 0);
    between = now;
    for (let count = random.integer(1, 5); count > 0 && now !== ''; count -= 1) {
      const message = leaf.stream.from(leaf.next);
      if (message === undefined) break;
      stream.forward(message);
      leaf.next = message.seq + 1;
    }
  }
}

/** What the central server says: everything that there is has been forwarded. */
export function isCaughtUp(leaf: Leaf): boolean {
  return !leaf.isCut && leaf.stream.from(leaf.next) === undefined;
}
