// The lanes of a shipper of the model: each takes chunks of several generations as one bundle, and has one in flight.
// After a refusal, or no answer, the last message of the lane decides.

import { afterDoubt } from '../../shipper/host/doubt.ts';
import { assertStored, traceOf, type Host, type Lane, type Offer, type Publisher } from './host.ts';
import { ask, insist, nap, type Process } from './scheduler.ts';

/** What is shorter goes to the first lane. */
const LARGE = 8;

/** Waits for a lane. A generation hands over one chunk at a time. */
export function handOver(publisher: Publisher, chunk: Offer['chunk']): void {
  publisher.offer = { publisher, chunk };
  publisher.host.offers.push(publisher.offer);
}

export function* runLane(host: Host, lane: Lane): Process {
  const { random } = host.world;
  for (;;) {
    yield* nap(random.integer(1, 4));
    const offers = take(host, lane);
    if (offers.length > 0) yield* send(host, lane, offers);
  }
}

/** Some of what waits. What was rewound since goes back. */
function take(host: Host, lane: Lane): Offer[] {
  for (const offer of host.offers) if (isRewound(offer)) offer.publisher.offer = undefined;
  host.offers = host.offers.filter((offer) => !isRewound(offer));
  const suited = host.offers.filter(({ chunk }) => lane.number === 0 || chunk.end - chunk.start >= LARGE);
  const taken = suited.slice(0, suited.length > 0 ? host.world.random.integer(1, suited.length) : 0);
  host.offers = host.offers.filter((offer) => !taken.includes(offer));
  return taken;
}

function isRewound({ publisher, chunk }: Offer): boolean {
  return publisher.position !== chunk.start;
}

/** One bundle, until the stream has it. What was rewound meanwhile may drop out, and then it is another bundle. */
function* send(host: Host, lane: Lane, taken: Offer[]): Process {
  const { world, stream } = host;
  let offers = taken;
  let stamp = nextStamp(host);
  lane.floor = host.highest;
  const { losses } = stream;
  while (offers.length > 0) {
    const seq = yield* publish(host, lane, offers, stamp);
    if (seq !== undefined) {
      stored({ host, lane, offers, losses }, seq);
      break;
    }
    const { last } = yield* insist(() => ({ last: stream.lastOfLane(host.name, lane.number) }));
    const verdict = afterDoubt(stamp, last);
    world.trace(`shipper ${host.name} lane ${lane.number} ${stamp} ${JSON.stringify(verdict)}`);
    if (verdict.kind === 'stored') {
      stored({ host, lane, offers, losses }, verdict.seq);
      break;
    }
    lane.expected = verdict.expected;
    const kept = offers.filter((offer) => !isRewound(offer) || world.random.chance(0.5));
    if (kept.length === offers.length) continue;
    for (const { publisher } of offers.filter((offer) => !kept.includes(offer))) publisher.offer = undefined;
    offers = kept;
    stamp = nextStamp(host);
  }
  lane.floor = undefined;
}

function nextStamp(host: Host): string {
  host.bundles += 1;
  return `${host.incarnation}.${host.bundles}`;
}

/** The sequence that it was acknowledged with; undefined when it was refused, or not answered for. */
function* publish(
  host: Host,
  lane: Lane,
  offers: readonly Offer[],
  stamp: string,
): Process<number | undefined> {
  const { stream, name, partition } = host;
  const { number, expected } = lane;
  const chunks = offers.map(({ publisher, chunk }) => ({ source: publisher.generation.name, chunk }));
  const message = { host: name, lane: number, stamp, partition, chunks };
  const answer = yield* ask(() => stream.publish(message, expected));
  return answer === undefined || answer === 'refused' ? undefined : answer.seq;
}

interface Flight {
  readonly host: Host;
  readonly lane: Lane;
  readonly offers: readonly Offer[];
  /** Of the stream, when it was first sent. */
  readonly losses: number;
}

function stored({ host, lane, offers, losses }: Flight, seq: number): void {
  lane.expected = seq;
  host.highest = Math.max(host.highest, seq);
  for (const offer of offers) acknowledged(offer, seq, losses);
}

/** A rewind meanwhile wins. */
function acknowledged(offer: Offer, seq: number, losses: number): void {
  const { publisher, chunk } = offer;
  const { kind, start, end } = chunk;
  publisher.offer = undefined;
  traceOf(publisher, `published ${kind} ${start}-${end} as seq ${seq}${isRewound(offer) ? ', rewound' : ''}`);
  if (isRewound(offer)) return;
  assertStored(publisher, publisher.position, end, losses);
  publisher.position = end;
  publisher.lastSeq = seq;
  publisher.isStored = true;
  publisher.ended = kind === 'end';
  if (publisher.ended) publisher.generation.endedAt = end;
  if (chunk.kind !== 'end') publisher.tail = chunk.kind === 'data' ? chunk.tail : undefined;
  publisher.movedAt = publisher.host.world.scheduler.now;
}
