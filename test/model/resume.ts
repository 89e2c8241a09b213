// How a shipper of the model finds out where to go on: its saved positions or the record, and what the lanes hold behind.

import { fileKey } from '../../common/wire/subjects.ts';
import { type Reached, Trail } from '../../shipper/host/trail.ts';
import { lookAtCentral, readRecord, type Recorded } from './central.ts';
import { addPublisher, assertStored, keyOf, traceOf, type Host, type Publisher, type Saved } from './host.ts';
import { insist, nap, type Process } from './scheduler.ts';
import type { StreamInfo } from './stream.ts';

const AT_ONCE = 4;

/** Generations that came before the start go on behind what is known of them. */
export function* resume(host: Host): Process {
  const { shipper, stream } = host;
  for (const file of shipper.files) for (const generation of file.generations) addPublisher(host, generation);
  for (;;) {
    const { losses } = stream;
    yield* lookAtCentral(host);
    const { record } = yield* insist(() => ({ record: readRecord(host) }));
    const info = yield* insist(() => stream.info());
    const saved = shipper.saved?.created === info.created ? shipper.saved : undefined;
    const trails = yield* readTrails(host, info, startOf(info, saved, record));
    if (trails === undefined) continue;
    Object.assign(host, { created: info.created, highest: info.lastSeq });
    goOn(host, info, { saved, record, trails, losses });
    return;
  }
}

/** Messages up to there are in the saved positions; where the stream has lost some of those, they were processed. */
function startOf(info: StreamInfo, saved: Saved | undefined, record: Recorded | undefined): number {
  return saved !== undefined && saved.seq <= info.lastSeq ? saved.seq : processedOf(info.created, record);
}

function processedOf(created: string, record: Recorded | undefined): number {
  return record?.processed?.created === created ? record.processed.seq : 0;
}

/** What the lanes hold of each generation behind a sequence; undefined when the stream became another one. */
function* readTrails(
  { world, stream, name, lanes }: Host,
  info: StreamInfo,
  behind: number,
): Process<Map<string, Trail> | undefined> {
  const trails = new Map<string, Trail>();
  for (let seq = behind + 1; seq <= info.lastSeq;) {
    const from = seq;
    const read = yield* insist(() => stream.read(name, from, AT_ONCE));
    if (read.info.created !== info.created) return undefined;
    for (const message of read.messages)
      for (const { source, chunk } of message.chunks) {
        const key = fileKey(source.host, source.file);
        const trail = trails.get(key) ?? new Trail(source.path, chunk);
        trail.add(chunk, message.seq, world.scheduler.now);
        trails.set(key, trail);
      }
    seq = (read.messages.at(-1)?.seq ?? info.lastSeq) + 1;
  }
  for (const lane of lanes) {
    const { last } = yield* insist(() => ({ last: stream.lastOfLane(name, lane.number) }));
    lane.expected = last?.seq ?? 0;
  }
  return trails;
}

interface Known {
  readonly saved: Saved | undefined;
  readonly record: Recorded | undefined;
  readonly trails: ReadonlyMap<string, Trail>;
  /** Of the stream, before anything was read. */
  readonly losses: number;
}

function goOn(host: Host, { created, lastSeq: last }: StreamInfo, known: Known): void {
  const { saved, record, trails, losses } = known;
  for (const publisher of host.publishers) {
    const key = keyOf(publisher);
    const committed = record?.files.get(key)?.offset ?? publisher.generation.begin;
    const kept = saved?.generations.get(key);
    const isKept = kept !== undefined && kept.seq <= last && kept.position >= committed;
    const start: Reached = isKept ? kept : { position: committed, ended: false, tail: undefined, seq: 0 };
    const trail = trails.get(key);
    const behind = Math.max(start.seq, processedOf(created, record));
    const { position, ended, tail, seq: lastSeq } = trail?.follow(start, behind) ?? start;
    Object.assign(publisher, { position, ended, tail, lastSeq, isStored: lastSeq > 0, created });
    assertStored(publisher, start.position, position, losses);
    if (ended) publisher.generation.endedAt = position;
    publisher.movedAt = host.world.scheduler.now;
    publisher.isFound = record !== undefined || isKept || trail !== undefined;
    traceOf(
      publisher,
      `resumes at ${position} of seq ${lastSeq}, ${isKept ? 'kept' : 'recorded'} ${start.position}`,
    );
  }
}

/** Of one of which nobody but the record can say anything, without it, at an edge: waits for the link. */
export function* find(publisher: Publisher): Process {
  const { host, generation } = publisher;
  while (!publisher.isFound) {
    yield* nap(host.world.random.integer(5, 20));
    const { record } = yield* insist(() => ({ record: readRecord(host) }));
    if (record === undefined) continue;
    publisher.position = record.files.get(keyOf(publisher))?.offset ?? generation.begin;
    publisher.isFound = true;
    traceOf(publisher, `resumes at ${publisher.position}, when the record is known`);
  }
}
