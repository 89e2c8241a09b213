// What daemons of a stream answer to one question, as long as answers come. Never knows who should answer: fleet.ts does.

import { createInbox, type Msg } from '@nats-io/transport-node';

import { type Answer, MAX_STATUS_BYTES, parseAnswer } from './daemon-status.ts';
import { LogferryError } from './errors.ts';
import type { Link } from './nats.ts';
import { parseJson } from './record.ts';
import { Bell } from './run.ts';
import { SERVICE_PREFIX } from './service.ts';

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

/** Whose answer it is. */
export function answerKey(kind: Answer['kind'], name: string): string {
  return `${kind} ${name}`;
}

/** Answers as they come, one for each name: of several the one that was started last. */
export class Gathering {
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
