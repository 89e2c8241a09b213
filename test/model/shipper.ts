// A shipper of the model: one message of a generation in flight, the fence of the stream instead of a memory, and the
// real rules of repair. It keeps nothing over a crash.

import type { Chunk, After } from '../../common/wire/chunk.ts';
import type { PartitionRecord } from '../../common/record/record.ts';
import { fileKey } from '../../common/wire/subjects.ts';
import { partitionKey } from '../../common/wire/topology.ts';
import { Forwarded } from '../../shipper/lane/forwarded.ts';
import {
  afterCentralLook,
  afterLook,
  decideRepair,
  STALLED_MS,
  type Observed,
  type Repair,
} from '../../shipper/lane/repair.ts';
import { isCaughtUp } from './leaf.ts';
import { ask, insist, nap, type Process } from './scheduler.ts';
import type { Generation, SourceFile } from './source.ts';
import type { Message, Stream, StreamInfo } from './stream.ts';
import type { Shipper, World } from './world.ts';

/** So that a shipper looks for a lost message after 80 ticks. */
const TICK_MS = STALLED_MS / 81;

export function startShipper(world: World, shipper: Shipper): void {
  shipper.dead = false;
  for (const file of shipper.files) {
    const edge = shipper.isAtEdge ? { forwarded: new Forwarded(), record: undefined } : undefined;
    world.scheduler.spawn(shipper, shipFile(world, shipper, file, edge));
  }
}

/** Ships the generations in order: each is drained before the next begins, and watched from then on. */
function* shipFile(world: World, shipper: Shipper, file: SourceFile, edge: Edge | undefined): Process {
  const known = file.generations.length;
  for (let index = 0; ; index += 1) {
    while (index >= file.generations.length) yield* nap(20);
    const publisher = newPublisher(world, file, index, edge, index >= known);
    world.scheduler.spawn(shipper, shipGeneration(publisher));
    while (!publisher.isDrained) yield* nap(world.random.integer(2, 8));
  }
}

const NOWHERE = { created: '', seq: 0 };

/** What a shipper at an edge keeps in memory. */
interface Edge {
  readonly forwarded: Forwarded;
  /** As it was read last, while the link was up. */
  record: PartitionRecord | undefined | 'none';
}

interface Publisher {
  readonly world: World;
  /** The stream that it ships to. */
  readonly stream: Stream;
  readonly edge: Edge | undefined;
  /** It came while the shipper ran: nobody has ever heard of it. */
  readonly isNew: boolean;
  readonly file: SourceFile;
  readonly generation: Generation;
  readonly after: After | undefined;
  position: number;
  ended: boolean;
  /** The subject's last sequence, as the fence expects it. */
  lastSeq: number;
  created: string;
  /** When something was last published, or looked for. */
  movedAt: number;
  isDrained: boolean;
}

function newPublisher(
  world: World,
  file: SourceFile,
  index: number,
  edge: Edge | undefined,
  isNew: boolean,
): Publisher {
  // One without bytes is never named: nothing of it is committed, so it would be complete before those before it are.
  const previous = file.generations.slice(0, index).findLast(({ size, begin }) => size > begin);
  return {
    world,
    stream: edge === undefined ? world.stream : world.leaf.stream,
    edge,
    isNew,
    file,
    generation: file.generations[index]!,
    after: previous && { file: previous.name.file, size: previous.size },
    position: 0,
    ended: false,
    lastSeq: 0,
    created: '',
    movedAt: world.scheduler.now,
    isDrained: false,
  };
}

function* shipGeneration(publisher: Publisher): Process {
  const { world, generation } = publisher;
  const { random } = world;
  yield* resume(publisher);
  for (;;) {
    if (publisher.position > generation.size)
      throw new Error(`BUG: ${generation.name.file} is shipped past its end`);
    if (publisher.position < generation.size || (generation.isClosed && !publisher.ended))
      yield* publishNext(publisher);
    else yield* nap(random.integer(3, 15));
    if (publisher.position >= generation.size || random.chance(0.5)) yield* repair(publisher);
    const isAtEnd = publisher.position >= generation.size;
    if (generation.isClosed && publisher.ended && isAtEnd) publisher.isDrained = true;
  }
}

/** The stream's last message says where to go on; else the record; else where shipping begins. */
function* resume(publisher: Publisher): Process {
  const { stream, generation } = publisher;
  for (;;) {
    const last = yield* insist(() => stream.lastOf(generation.name));
    const record = yield* ask(() => readRecord(publisher));
    const mayBegin = last.message !== undefined || (publisher.edge !== undefined && publisher.isNew);
    if (record === undefined && !mayBegin) continue;
    follow(publisher, last.info, last.message);
    if (last.message === undefined) publisher.position = record?.offset ?? generation.begin;
    break;
  }
  traceAs(publisher, `resumes at ${publisher.position} after seq ${publisher.lastSeq}`);
}

function follow(publisher: Publisher, info: StreamInfo, message: Message | undefined): void {
  publisher.created = info.created;
  publisher.lastSeq = message?.seq ?? 0;
  publisher.position = message?.chunk.end ?? 0;
  publisher.ended = message?.chunk.kind === 'end';
}

function* publishNext(publisher: Publisher): Process {
  const { world, stream, file, generation } = publisher;
  const chunk = nextChunk(publisher);
  const { partition } = file;
  const { lastSeq } = publisher;
  const answer = yield* ask(() => stream.publish({ source: generation.name, partition, chunk }, lastSeq));
  if (answer !== undefined && answer !== 'refused') {
    traceAs(publisher, `published ${chunk.kind} ${chunk.start}-${chunk.end} as seq ${answer.seq}`);
    const { created } = answer;
    const ended = chunk.kind === 'end';
    Object.assign(publisher, {
      created,
      lastSeq: answer.seq,
      position: chunk.end,
      ended,
      movedAt: world.scheduler.now,
    });
    return;
  }
  const last = yield* insist(() => stream.lastOf(generation.name));
  const isAsExpected = (last.message?.seq ?? 0) === lastSeq && last.info.created === publisher.created;
  if (isAsExpected) return;
  if (last.message === undefined) yield* resume(publisher);
  else follow(publisher, last.info, last.message);
}

function nextChunk({ world, generation, after, position }: Publisher): Chunk {
  const { begin, size } = generation;
  const base = { begin, after, start: position };
  if (position >= size) return { ...base, kind: 'end', end: position, reason: 'rotated' };
  if (generation.isGone) {
    world.gone.push({ generation, start: position, end: size });
    return { ...base, kind: 'gap', end: size, reason: 'source gone' };
  }
  const end = Math.min(size, position + world.random.integer(3, 20));
  const tail = `${generation.name.file} to ${end}`;
  return { ...base, kind: 'data', end, tail, encoding: 'none', crc32: 0 };
}

function* repair(publisher: Publisher): Process {
  const { world, stream, edge, generation } = publisher;
  if (edge !== undefined) yield* lookAtCentral(publisher, edge);
  const record = yield* ask(() => readRecord(publisher));
  if (record === undefined) return;
  const info = yield* ask(() => stream.info());
  if (info === undefined) return;
  const observed: Observed = { ...record, stream: info };
  const decision = decideRepair(published(publisher), observed);
  if (decision.kind !== 'look') {
    apply(publisher, decision, info);
    return;
  }
  publisher.movedAt = world.scheduler.now;
  const last = yield* insist(() => stream.lastOf(generation.name));
  const looked = afterLook(published(publisher), observed, decision.because, last.message?.seq ?? 0);
  apply(publisher, looked, info);
  if (looked.kind !== 'none' || edge === undefined) return;
  const central = yield* ask(() => {
    if (world.leaf.isCut) return undefined;
    const { origin, chunk } = world.stream.lastOf(generation.name).message ?? {};
    const newest = world.stream.newestOf(generation.name.host);
    const { created, seq } =
      edge.record === 'none' || edge.record === undefined ? NOWHERE : edge.record.stream;
    const isProcessed =
      newest === undefined || (created === world.stream.info().created && seq >= newest.seq);
    return { origin, end: chunk?.end, isAtRest: isProcessed && isCaughtUp(world.leaf) };
  });
  if (central !== undefined)
    apply(publisher, afterCentralLook(published(publisher), observed, central), info);
}

/** While the link is up. The local stream is read after the central one. */
function* lookAtCentral({ world, stream, file }: Publisher, { forwarded }: Edge): Process {
  const central = yield* ask(() => {
    if (world.leaf.isCut) return undefined;
    const newest = world.stream.newestOf(file.host);
    const { created, lastSeq } = world.stream.info();
    return {
      created,
      lastSeq,
      newest: newest && { seq: newest.seq, origin: newest.origin },
      isCaughtUp: isCaughtUp(world.leaf),
    };
  });
  if (central === undefined) return;
  const local = yield* ask(() => stream.info());
  if (local !== undefined) forwarded.saw(central, local);
}

function published(publisher: Publisher): Parameters<typeof decideRepair>[0] {
  const { position, ended, lastSeq, created, generation, world, movedAt } = publisher;
  const quietMs = (world.scheduler.now - movedAt) * TICK_MS;
  return { position, ended, lastSeq, created, begin: generation.begin, quietMs };
}

function apply(publisher: Publisher, decision: Repair, stream: StreamInfo): void {
  if (decision.kind === 'forget') Object.assign(publisher, { lastSeq: 0, created: stream.created });
  if (decision.kind !== 'rewind') return;
  traceAs(publisher, `rewinds ${publisher.position} to ${decision.to}: ${decision.reason}`);
  publisher.created = stream.created;
  publisher.lastSeq = decision.expected ?? publisher.lastSeq;
  publisher.position = decision.to;
  publisher.ended = false;
  publisher.movedAt = publisher.world.scheduler.now;
}

/** Undefined when it cannot be read and never was. */
function readRecord(publisher: Publisher): Omit<Observed, 'stream'> | undefined {
  const { edge, generation, stream } = publisher;
  const record = edge === undefined ? recordNow(publisher) : recordAtEdge(publisher, edge);
  if (record === undefined) return undefined;
  if (record === 'none') return { offset: undefined, processed: undefined };
  const { offset } = record.files.get(fileKey(generation.name.host, generation.name.file)) ?? {};
  if (edge === undefined) return { offset, processed: record.stream };
  const seq = edge.forwarded.processed(record.stream);
  return { offset, processed: seq === 0 ? undefined : { created: stream.info().created, seq } };
}

function recordAtEdge(publisher: Publisher, edge: Edge): PartitionRecord | 'none' | undefined {
  if (!publisher.world.leaf.isCut) edge.record = recordNow(publisher);
  return edge.record;
}

function recordNow({ world, file }: Publisher): PartitionRecord | 'none' {
  const { bucket, random, scenario, scheduler } = world;
  const key = partitionKey(file.partition);
  const isOld = !scheduler.quiet && random.chance(scenario.oldReads);
  const { record } = isOld ? bucket.readOld(key, random) : bucket.read(key);
  return record ?? 'none';
}

function traceAs({ world, generation }: Publisher, text: string): void {
  world.trace(`shipper ${generation.name.host} ${generation.name.file} ${text}`);
}
