// Asks every shipper and receiver of a stream how it is, with one inbox, and says who is registered and silent. Nobody
// lists the fleet: who answers is there, and who has a key in the members bucket was. Never waits for anybody long.

import { createInbox, type Msg } from '@nats-io/transport-node';

import { type ScannedValue, scanBucket } from './bucket-scan.ts';
import {
  type Answer,
  MAX_STATUS_BYTES,
  parseAnswer,
  RECEIVER_SERVICE,
  type ReceiverAnswer,
  SHIPPER_SERVICE,
  type ShipperAnswer,
} from './daemon-status.ts';
import { LogferryError } from './errors.ts';
import { type Member, parseMember } from './members.ts';
import type { Link } from './nats.ts';
import { parseJson } from './record.ts';
import { Bell } from './run.ts';
import { SERVICE_PREFIX } from './service.ts';
import { memberOfKey, membersBucket } from './topology.ts';

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

export interface FleetNames {
  readonly stream: string;
  readonly prefix: string;
}

/** Whoever has not answered by then is silent. */
export const ANSWER_MS = 700;
/** Of thousands, answers may still come then: as long as there is no longer pause than this between them. */
const QUIET_MS = 100;
const LONGEST_MS = 5_000;
/** With room for what else the services say of themselves, and for a later version. */
const MAX_ANSWER_BYTES = 2 * MAX_STATUS_BYTES;
const MAX_ANSWERS = 50_000;

/** The fleet as it is now. Throws when the server does not answer. */
export async function lookAtFleet(link: Link, names: FleetNames, waitMs = ANSWER_MS): Promise<Fleet> {
  const gathering = new Gathering(link, names, [SHIPPER_SERVICE, RECEIVER_SERVICE]);
  try {
    const members = await readMembers(link, names.stream);
    await gathering.until(
      members.filter(({ member }) => member !== undefined).map(({ kind, name }) => answerKey(kind, name)),
      waitMs,
    );
    return fleetOf(members, gathering.answers);
  } finally {
    gathering.stop();
  }
}

/** Whether anybody answers as this shipper within the time. */
export async function answersAs(
  link: Link,
  names: FleetNames,
  host: string,
  waitMs: number,
): Promise<boolean> {
  const gathering = new Gathering(link, names, [SHIPPER_SERVICE]);
  try {
    const key = answerKey('shipper', host);
    await gathering.until([key], waitMs);
    return gathering.answers.has(key);
  } finally {
    gathering.stop();
  }
}

type Kind = Answer['kind'];

/** A key of the members bucket that parses. */
interface Registered {
  readonly kind: Kind;
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

function answerKey(kind: Kind, name: string): string {
  return `${kind} ${name}`;
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

/** Answers as they come, one for each name: of several the one that was started last. */
class Gathering {
  readonly answers = new Map<string, Answer>();
  readonly #names: FleetNames;
  readonly #bell = new Bell();
  readonly #askedAt = performance.now();
  readonly #link: Link;
  readonly #subjects: readonly string[];
  readonly #unsubscribe: () => void;
  #missing: Set<string> | undefined;
  #heard = 0;
  #heardAt = 0;

  constructor(link: Link, names: FleetNames, services: readonly string[]) {
    this.#names = names;
    this.#link = link;
    this.#subjects = services.map((service) => `${SERVICE_PREFIX}.STATS.${service}`);
    if (!link.isConnected()) throw new LogferryError('unreachable', 'the connection to nats-server was lost');
    const inbox = createInbox();
    const subscription = link.nc.subscribe(inbox, {
      callback: (error, message) => {
        if (error === null) this.#take(message);
      },
    });
    this.#unsubscribe = () => {
      subscription.unsubscribe();
    };
    for (const subject of this.#subjects) link.nc.publish(subject, '', { reply: inbox });
  }

  #take(message: Msg): void {
    this.#heard += 1;
    if (this.#heard > MAX_ANSWERS || message.data.length > MAX_ANSWER_BYTES) return;
    const answer = readAnswer(message.data, this.#names);
    if (answer === undefined) return;
    this.#heardAt = performance.now();
    const { kind } = answer;
    const key = answerKey(kind, kind === 'shipper' ? answer.metadata.host : answer.metadata.receiver);
    const before = this.answers.get(key);
    if (before === undefined || before.status.started <= answer.status.started) this.answers.set(key, answer);
    this.#missing?.delete(key);
    if (this.#missing?.size === 0) this.#bell.ring();
  }

  /**
   * Until all of these have answered, or the time since the question is over and no more answers come. Throws the
   * server's error where this user may not ask: nobody is silent then.
   */
  async until(expected: readonly string[], waitMs: number): Promise<void> {
    this.#missing = new Set(expected.filter((key) => !this.answers.has(key)));
    while (this.#missing.size > 0) {
      const now = performance.now();
      const end = Math.max(this.#askedAt + waitMs, this.#heardAt + QUIET_MS);
      const left = Math.min(end, this.#askedAt + LONGEST_MS) - now;
      if (left <= 0) break;
      await this.#bell.wait(left);
    }
    for (const subject of this.#subjects) {
      const violation = this.#link.violation(subject);
      if (violation !== undefined) throw violation;
    }
  }

  stop(): void {
    this.#unsubscribe();
  }
}

function readAnswer(data: Uint8Array, names: FleetNames): Answer | undefined {
  try {
    return parseAnswer(parseJson(new TextDecoder().decode(data)), names);
  } catch (error) {
    if (error instanceof LogferryError) return undefined;
    throw error;
  }
}
