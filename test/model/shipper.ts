// A shipper of the model: each generation has one chunk in flight, on one of the host's lanes, and the real rules of
// repair watch it. Over a crash it keeps what was saved.

import type { Chunk } from '../../common/wire/chunk.ts';
import { addPublisher, before, keepState, newHost, type Host, type Publisher } from './host.ts';
import { handOver, runLane } from './lanes.ts';
import { repair } from './mending.ts';
import { find, resume } from './resume.ts';
import { nap, type Process } from './scheduler.ts';
import type { SourceFile } from './source.ts';
import type { Shipper, World } from './world.ts';

export function startShipper(world: World, shipper: Shipper): void {
  shipper.dead = false;
  world.scheduler.spawn(shipper, ship(newHost(world, shipper)));
}

function* ship(host: Host): Process {
  const { world, shipper } = host;
  yield* resume(host);
  for (const lane of host.lanes) world.scheduler.spawn(shipper, runLane(host, lane));
  for (const file of shipper.files) world.scheduler.spawn(shipper, shipFile(host, file));
  world.scheduler.spawn(shipper, keepState(host));
}

/** Ships the generations in order: each is drained before the next begins, and watched from then on. */
function* shipFile(host: Host, file: SourceFile): Process {
  const { world, shipper } = host;
  for (let index = 0; ; index += 1) {
    while (index >= file.generations.length) yield* nap(20);
    const generation = file.generations[index]!;
    const known = host.publishers.find((each) => each.generation === generation);
    const publisher = known ?? addPublisher(host, generation);
    publisher.after = before(file, generation);
    world.scheduler.spawn(shipper, shipGeneration(publisher));
    while (!publisher.isDrained) yield* nap(world.random.integer(2, 8));
  }
}

function* shipGeneration(publisher: Publisher): Process {
  const { generation, host } = publisher;
  const { random } = host.world;
  yield* find(publisher);
  for (;;) {
    if (publisher.position > generation.size)
      throw new Error(`BUG: ${generation.name.file} is shipped past its end`);
    const isAtEnd = publisher.position === generation.size;
    const isDrained = isAtEnd && generation.isClosed && publisher.ended;
    if (isDrained) publisher.isDrained = true;
    if (publisher.offer === undefined && (!isAtEnd || (generation.isClosed && !isDrained)))
      handOver(publisher, nextChunk(publisher));
    const isWaiting = publisher.offer !== undefined;
    yield* nap(isWaiting ? random.integer(1, 4) : random.integer(3, 15));
    if (!isWaiting || random.chance(0.3)) yield* repair(publisher);
  }
}

function nextChunk({ host: { world }, generation, after, position }: Publisher): Chunk {
  const { begin, size } = generation;
  const base = { begin, after, start: position };
  if (position >= size) {
    generation.hasEnded = true;
    return { ...base, kind: 'end', end: position, reason: 'rotated' };
  }
  if (generation.isGone) {
    world.gone.push({ generation, start: position, end: size });
    return { ...base, kind: 'gap', end: size, reason: 'source gone' };
  }
  const end = Math.min(size, position + world.random.integer(3, 20));
  return { ...base, kind: 'data', end, tail: `${generation.name.file} to ${end}` };
}
