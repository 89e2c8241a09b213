// What daemons of a stream answer to a question, as long as answers come. Never knows who should answer: fleet.ts does.

import { createInbox, type Msg } from '@nats-io/transport-node';

import {
  type Answer,
  MAX_STATUS_BYTES,
  parseAnswer,
  parseShipperStatus,
  STATUS_ENDPOINT,
} from './daemon-status.ts';
import { LogferryError } from '../runtime/errors.ts';
import type { Link } from '../nats/connection.ts';
import { Bell } from '../runtime/run.ts';
import { SERVICE_PREFIX } from '../nats/service.ts';
import { endpointSubject } from '../wire/topology.ts';
import { parseJson } from '../runtime/json.ts';

export interface FleetNames {
  readonly stream: string;
  readonly prefix: string;
}

/** Of thousands, answers may still come then: as long as there is no longer pause than this between them. */
const QUIET_MS = 100;
const LONGEST_MS = 5_000;
/** With room for what else the services say of themselves, and for a later version. */
const MAX_ANSWER_BYTES = 2 * MAX_STATUS_BYTES;
const MAX_ANSWERS = 50_000;
/** Ends the inbox of what all are asked. */
const ALL = 'all';

/** Whose answer it is. */
export function answerKey(kind: Answer['kind'], name: string): string {
  return `${kind} ${name}`;
}

/** Answers as they come, one for each name: of several the one that was started last. */
export class Gathering {
  readonly answers = new Map<string, Answer>();
  readonly #names: FleetNames;
  readonly #bell = new Bell();
  readonly #link: Link;
  readonly #subjects: string[] = [];
  readonly #inbox: string;
  /** Shippers that were asked by their names, each at the end of the inbox by its place here. */
  readonly #named: string[] = [];
  readonly #unsubscribe: () => void;
  #askedAt = performance.now();
  #missing: Set<string> | undefined;
  #heard = 0;
  #heardAt = 0;
  /** Where this user may not listen for answers. */
  #failure: Error | undefined;

  /** Asks all daemons that are services of these kinds, as far as this account goes. */
  constructor(link: Link, names: FleetNames, services: readonly string[]) {
    this.#names = names;
    this.#link = link;
    this.#inbox = createInbox(link.inboxPrefix);
    refuseDisconnected(link);
    const subscription = link.nc.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.#take(message);
        else this.#fail(error);
      },
    });
    this.#unsubscribe = () => {
      subscription.unsubscribe();
    };
    for (const service of services) this.#ask(`${SERVICE_PREFIX}.STATS.${service}`, ALL);
  }

  /** Asks these shippers by their names, on subjects that can be imported from accounts of their own. */
  askByName(hosts: readonly string[]): void {
    refuseDisconnected(this.#link);
    for (const host of hosts) {
      const subject = endpointSubject(STATUS_ENDPOINT, this.#names.prefix, 'shipper', host);
      // until() throws it.
      this.#link.handled.add(subject);
      this.#ask(subject, String(this.#named.length));
      this.#named.push(host);
      this.#askedAt = performance.now();
    }
  }

  #ask(subject: string, about: string): void {
    this.#subjects.push(subject);
    this.#link.nc.publish(subject, '', { reply: `${this.#inbox}.${about}` });
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#bell.ring();
  }

  #take(message: Msg): void {
    this.#heard += 1;
    if (this.#heard > MAX_ANSWERS || message.data.length > MAX_ANSWER_BYTES) return;
    const answer = this.#read(message);
    if (answer === undefined) return;
    this.#heardAt = performance.now();
    const { kind } = answer;
    const key = answerKey(kind, kind === 'shipper' ? answer.metadata.host : answer.metadata.receiver);
    const before = this.answers.get(key);
    if (before === undefined || before.status.started <= answer.status.started) this.answers.set(key, answer);
    this.#missing?.delete(key);
    if (this.#missing?.size === 0) this.#bell.ring();
  }

  #read({ subject, data }: Msg): Answer | undefined {
    const about = subject.slice(this.#inbox.length + 1);
    const said = parsed(data);
    if (about === ALL) return parseAnswer(said, this.#names);
    const host = this.#named[Number(about)];
    return host === undefined ? undefined : parseShipperStatus(host, said);
  }

  /**
   * Until all of these have answered, or the time since the last question is over and no more answers come. Throws the
   * server's error where this user may not ask, or not hear: nobody is silent then.
   *
   * @param areAll nobody else is to answer; otherwise the time is waited for whoever does
   */
  async until(expected: readonly string[], waitMs: number, areAll = true): Promise<void> {
    this.#missing = new Set(expected.filter((key) => !this.answers.has(key)));
    while ((this.#missing.size > 0 || !areAll) && this.#failure === undefined) {
      const now = performance.now();
      const end = Math.max(this.#askedAt + waitMs, this.#heardAt + QUIET_MS);
      const left = Math.min(end, this.#askedAt + LONGEST_MS) - now;
      if (left <= 0) break;
      await this.#bell.wait(left);
    }
    if (this.#failure !== undefined) throw this.#failure;
    for (const subject of this.#subjects) {
      const violation = this.#link.violation(subject);
      if (violation !== undefined) throw violation;
    }
  }

  stop(): void {
    this.#unsubscribe();
  }
}

function refuseDisconnected(link: Link): void {
  if (!link.isConnected()) throw new LogferryError('unreachable', 'the connection to nats-server was lost');
}

/** Undefined for what is no JSON. */
function parsed(data: Uint8Array): unknown {
  try {
    return parseJson(new TextDecoder().decode(data));
  } catch (error) {
    if (error instanceof LogferryError) return undefined;
    throw error;
  }
}
