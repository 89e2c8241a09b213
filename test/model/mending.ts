// The repair of a shipper of the model: the real rules upon what it reads.

import {
  afterLook,
  decideRepair,
  STALLED_MS,
  type Observed,
  type Published,
  type Repair,
} from '../../shipper/lane/repair.ts';
import { isAtRest, lookAtCentral, readRecord } from './central.ts';
import { keyOf, storedUpTo, streamSeen, traceOf, type Publisher } from './host.ts';
import { ask, insist, type Process } from './scheduler.ts';
import type { StreamInfo } from './stream.ts';

/** So that a shipper looks for a lost message after 80 ticks. */
const TICK_MS = STALLED_MS / 81;

/** Reads record and stream, and rewinds the generation when bytes of it were lost. */
export function* repair(publisher: Publisher): Process {
  const { host } = publisher;
  const { world, stream, name } = host;
  const before = storedUpTo(host);
  const snapshot = published(publisher);
  yield* lookAtCentral(host);
  const record = yield* ask(() => readRecord(host));
  if (record === undefined) return;
  const info = yield* ask(() => stream.info());
  if (info === undefined) return;
  streamSeen(host, before, info);
  const { offset } = record.files.get(keyOf(publisher)) ?? {};
  const observed: Observed = { offset, processed: record.processed, stream: info };
  const decision = decideRepair(snapshot, observed);
  const isAsDecided = (): boolean => publisher.lastSeq === snapshot.lastSeq;
  if (decision.kind !== 'look') {
    apply(publisher, decision, info, isAsDecided());
    return;
  }
  if (!isAsDecided()) return;
  publisher.movedAt = world.scheduler.now;
  const isThere = yield* insist(() => stream.has(name, snapshot.lastSeq));
  const isResting = (yield* ask(() => isAtRest(host))) ?? false;
  apply(publisher, afterLook(published(publisher), observed, isThere, isResting), info, isAsDecided());
}

function published(publisher: Publisher): Published {
  const { position, ended, lastSeq, created, generation, host, movedAt } = publisher;
  const quietMs = (host.world.scheduler.now - movedAt) * TICK_MS;
  return { position, ended, lastSeq, created, begin: generation.begin, quietMs };
}

function apply(publisher: Publisher, decision: Repair, { created }: StreamInfo, isAsDecided: boolean): void {
  const { host } = publisher;
  if (decision.kind !== 'forget' && decision.kind !== 'rewind') return;
  publisher.created = created;
  publisher.isStored = false;
  if (decision.kind === 'forget') {
    publisher.lastSeq = 0;
    return;
  }
  const { to, isLost, reason } = decision;
  traceOf(publisher, `rewinds ${publisher.position} to ${to}: ${reason}`);
  if (isLost && isAsDecided) publisher.lastSeq = 0;
  publisher.position = Math.min(publisher.position, to);
  publisher.ended = false;
  publisher.tail = undefined;
  publisher.movedAt = host.world.scheduler.now;
}
