// Asks every shipper and receiver of a stream how it is, and says who is registered and silent. Nobody lists the fleet:
// who answers is there, and who has a key in the members bucket was. Those of edges have theirs in another bucket, and are
// known by their answers alone. Never waits for anybody long.

import { type ScannedValue, scanBucket } from '../nats/bucket-scan.ts';
import {
  type Answer,
  RECEIVER_SERVICE,
  type ReceiverAnswer,
  SHIPPER_SERVICE,
  type ShipperAnswer,
} from './daemon-status.ts';
import { answerKey, type FleetNames, Gathering } from './gathering.ts';
import { type Member, parseMember } from './members.ts';
import type { Link } from '../nats/connection.ts';
import { streamInfo } from '../stream/stream.ts';
import { memberOfKey, membersBucket } from '../wire/topology.ts';

export type { FleetNames } from './gathering.ts';

/** What one name is known by: its key, its answer, or both. */
export interface Fellow<A> {
  readonly name: string;
  /** Undefined when it did not answer in time. */
  readonly answer: A | undefined;
  /** Undefined when it has let go of its name, or has none. */
  readonly member: Member | undefined;
  /** When its key was set last, by the server's clock: milliseconds since 1970; undefined without a key. */
  readonly setAt: number | undefined;
}

/** By name. */
export interface Fleet {
  readonly shippers: ReadonlyMap<string, Fellow<ShipperAnswer>>;
  readonly receivers: ReadonlyMap<string, Fellow<ReceiverAnswer>>;
}

/** Whoever has not answered by then is silent. */
export const ANSWER_MS = 700;
/** What all are asked stays in this account: a shipper that has not answered by then is asked by its name. */
const BY_NAME_AFTER_MS = 100;

/** The fleet as it is now. Throws when the server does not answer. */
export async function lookAtFleet(link: Link, names: FleetNames, waitMs = ANSWER_MS): Promise<Fleet> {
  const gathering = new Gathering(link, names, [SHIPPER_SERVICE, RECEIVER_SERVICE]);
  try {
    const [members, areAllHere] = await Promise.all([
      readMembers(link, names.stream),
      areAllRegisteredHere(link, names.stream),
    ]);
    const registered = members.filter(({ member }) => member !== undefined);
    const expected = registered.map(({ kind, name }) => answerKey(kind, name));
    await gathering.until(expected, BY_NAME_AFTER_MS);
    const unheard = registered.filter(
      ({ kind, name }) => kind === 'shipper' && !gathering.answers.has(answerKey(kind, name)),
    );
    gathering.askByName(unheard.map(({ name }) => name));
    await gathering.until(expected, waitMs, areAllHere);
    return fleetOf(members, gathering.answers);
  } finally {
    gathering.stop();
  }
}

/** Whether anybody answers as this shipper, or receiver, within the time. */
export async function answersAs(
  link: Link,
  names: FleetNames,
  kind: Answer['kind'],
  name: string,
  waitMs: number,
): Promise<boolean> {
  const gathering = new Gathering(link, names, [kind === 'shipper' ? SHIPPER_SERVICE : RECEIVER_SERVICE]);
  try {
    const key = answerKey(kind, name);
    if (kind === 'shipper') gathering.askByName([name]);
    await gathering.until([key], waitMs);
    return gathering.answers.has(key);
  } finally {
    gathering.stop();
  }
}

/** A stream with sources brings in those of edges, whose shippers have registered there. */
async function areAllRegisteredHere(link: Link, stream: string): Promise<boolean> {
  const info = await streamInfo(link, stream);
  return (info?.config.sources ?? []).length === 0;
}

/** A key of the members bucket that parses. */
interface Registered {
  readonly kind: Answer['kind'];
  readonly name: string;
  readonly member: Member | undefined;
  readonly setAt: number;
}

async function readMembers(link: Link, stream: string): Promise<Registered[]> {
  const values = await scanBucket(link, membersBucket(stream), '>');
  return values.map(registeredOf).filter((one) => one !== undefined);
}

function registeredOf({ key, data, setAt }: ScannedValue): Registered | undefined {
  const found = memberOfKey(key);
  return found === undefined || data === undefined
    ? undefined
    : { ...found, member: parseMember(data), setAt };
}

function fleetOf(members: readonly Registered[], answers: ReadonlyMap<string, Answer>): Fleet {
  const shippers = new Map<string, Fellow<ShipperAnswer>>();
  const receivers = new Map<string, Fellow<ReceiverAnswer>>();
  for (const { kind, name, member, setAt } of members)
    (kind === 'shipper' ? shippers : receivers).set(name, { name, answer: undefined, member, setAt });
  for (const answer of answers.values()) {
    const unregistered = { member: undefined, setAt: undefined };
    if (answer.kind === 'shipper') {
      const name = answer.metadata.host;
      shippers.set(name, { name, ...(shippers.get(name) ?? unregistered), answer });
    } else {
      const name = answer.metadata.receiver;
      receivers.set(name, { name, ...(receivers.get(name) ?? unregistered), answer });
    }
  }
  return { shippers, receivers };
}
