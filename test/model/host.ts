// What a shipper of the model keeps in memory: its generations, its lanes, and what it knows of an edge's other side.
// What of it is saved outlives a crash, older than it was, or not at all.

import type { After, Chunk } from '../../common/wire/chunk.ts';
import type { PartitionRecord } from '../../common/record/record.ts';
import { fileKey } from '../../common/wire/subjects.ts';
import { Forwarded } from '../../shipper/host/forwarded.ts';
import type { Reached } from '../../shipper/host/trail.ts';
import { nap, type Process } from './scheduler.ts';
import type { Generation, SourceFile } from './source.ts';
import type { Stream, StreamInfo } from './stream.ts';
import type { Shipper, World } from './world.ts';

/** All bundles of the host up to stream sequence `seq` are in the positions. */
export interface Saved {
  readonly created: string;
  readonly seq: number;
  /** By fileKey; without those of which nothing is known to be there. */
  readonly generations: ReadonlyMap<string, Reached>;
}

/** What a shipper at an edge knows of the central side. */
export interface Edge {
  readonly forwarded: Forwarded;
  /** As it was read last, while the link was up. */
  record: PartitionRecord | undefined | 'none';
}

export interface Lane {
  readonly number: number;
  /** The sequence that its last message has, as the fence expects it. */
  expected: number;
  /** With a bundle in flight: what was known to be stored when it was first sent. */
  floor: number | undefined;
}

/** A chunk that a generation has handed over: it waits for a lane, or is in flight. */
export interface Offer {
  readonly publisher: Publisher;
  readonly chunk: Chunk;
}

export interface Publisher {
  readonly host: Host;
  readonly generation: Generation;
  after: After | undefined;
  position: number;
  ended: boolean;
  tail: string | undefined;
  /** The stream sequence of its last message, 0 for none. */
  lastSeq: number;
  /** The stream has it up to the position, as far as is known: that is saved. */
  isStored: boolean;
  created: string;
  /** When something of it was last stored, or looked for. */
  movedAt: number;
  offer: Offer | undefined;
  /** It is known where to go on. */
  isFound: boolean;
  isDrained: boolean;
}

export interface Host {
  readonly world: World;
  readonly shipper: Shipper;
  readonly name: string;
  readonly partition: number;
  /** The stream that it ships to. */
  readonly stream: Stream;
  readonly edge: Edge | undefined;
  /** New with each start: no stamp is ever used again. */
  readonly incarnation: string;
  bundles: number;
  readonly lanes: readonly Lane[];
  /** Chunks that wait for a lane. */
  offers: Offer[];
  readonly publishers: Publisher[];
  /** The stream that its positions are about. */
  created: string;
  /** The highest sequence that was read at the start, or acknowledged. */
  highest: number;
}

export function newHost(world: World, shipper: Shipper): Host {
  const { host: name, partition } = shipper.files[0]!;
  const numbers = Array.from({ length: world.scenario.lanes }, (_, number) => number);
  return {
    world,
    shipper,
    name,
    partition,
    stream: shipper.isAtEdge ? world.leaf.stream : world.stream,
    edge: shipper.isAtEdge ? { forwarded: new Forwarded(), record: undefined } : undefined,
    incarnation: world.token(),
    bundles: 0,
    lanes: numbers.map((number) => ({ number, expected: 0, floor: undefined })),
    offers: [],
    publishers: [],
    created: '',
    highest: 0,
  };
}

/** The generation that comes before this one, when it is drained: earlier its size may still grow. */
export function before(file: SourceFile, generation: Generation): After | undefined {
  const earlier = file.generations.slice(0, file.generations.indexOf(generation));
  // One without bytes is never named: nothing of it is committed, so it would be complete before those before it are.
  const previous = earlier.findLast(({ size, begin }) => size > begin);
  return previous && { file: previous.name.file, size: previous.size };
}

/** A generation of which nothing is known, at the place where its shipping begins. */
export function addPublisher(host: Host, generation: Generation): Publisher {
  const publisher: Publisher = {
    host,
    generation,
    after: undefined,
    position: generation.begin,
    ended: false,
    tail: undefined,
    lastSeq: 0,
    isStored: false,
    isFound: true,
    created: host.created,
    movedAt: host.world.scheduler.now,
    offer: undefined,
    isDrained: false,
  };
  host.publishers.push(publisher);
  return publisher;
}

export function keyOf({ generation }: Publisher): string {
  return fileKey(generation.name.host, generation.name.file);
}

/** Up to where all bundles of the host are in the positions. */
export function storedUpTo({ created, highest, lanes }: Host): Pick<Saved, 'created' | 'seq'> {
  const floors = lanes.flatMap(({ floor }) => floor ?? []);
  return { created, seq: Math.min(highest, ...floors) };
}

/**
 * The stream may be another one, or have lost its last messages: what was known of them counts no more.
 *
 * @param before what was known when it was asked
 */
export function streamSeen(
  host: Host,
  before: Pick<Saved, 'created' | 'seq'>,
  { created, lastSeq }: StreamInfo,
): void {
  const isSame = before.created === created;
  if (isSame && before.seq <= lastSeq) return;
  for (const publisher of host.publishers)
    if (!isSame || publisher.lastSeq > lastSeq) publisher.isStored = false;
  host.created = created;
  host.highest = isSame ? lastSeq : 0;
  for (const lane of host.lanes)
    if (lane.floor !== undefined) lane.floor = Math.min(lane.floor, host.highest);
}

/** Saves the positions now and then. What a crash leaves of them is a matter of the faults. */
export function* keepState(host: Host): Process {
  const { world, shipper } = host;
  for (;;) {
    yield* nap(world.random.integer(5, world.scenario.savesWithin));
    const saved = stateOf(host);
    yield* nap(world.random.integer(0, 3));
    shipper.saved = saved;
    shipper.earlier.push(saved);
  }
}

function stateOf(host: Host): Saved {
  const stored = host.publishers.filter(({ isStored }) => isStored);
  const reached = stored.map((publisher): [string, Reached] => {
    const { position, ended, tail, lastSeq: seq } = publisher;
    return [keyOf(publisher), { position, ended, tail, seq }];
  });
  return { ...storedUpTo(host), generations: new Map(reached) };
}

/**
 * A shipper that takes for stored what the stream does not have would see it in the end, and too late. What was taken away
 * since is another matter.
 *
 * @param losses what the stream had lost when it was asked
 */
export function assertStored(publisher: Publisher, from: number, to: number, losses: number): void {
  const { host, generation } = publisher;
  if (host.stream.losses !== losses || host.stream.holds(generation.name, from, to)) return;
  throw new Error(`BUG: ${host.name} takes ${generation.name.file} ${from}-${to} for stored`);
}

export function traceOf({ host: { world, name }, generation }: Publisher, text: string): void {
  world.trace(`shipper ${name} ${generation.name.file} ${text}`);
}
