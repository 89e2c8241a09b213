// A host's lanes in the stream: publishes behind the last message of one, reads what they hold. Never decides what is sent.

import type { StoredMsg } from '@nats-io/jetstream';
import { headers } from '@nats-io/transport-node';

import type { Link } from '../../common/nats/connection.ts';
import { lastMessageOf, messageAt } from '../../common/nats/last-message.ts';
import { Bundle, BUNDLE_HEADER, ifOurs, type Listed, type Packed } from '../../common/wire/bundle.ts';
import { headersOf } from '../../common/wire/headers.ts';
import {
  LANES,
  parseStoredSubject,
  publishSubject,
  storedSubject,
  storedSubjects,
} from '../../common/wire/subjects.ts';
import type { Topology } from '../../common/wire/topology.ts';
import type { LastOfLane } from './doubt.ts';

const PUBLISH_TIMEOUT_MS = 5_000;

/** A message of the lanes, as far as its table tells. */
export interface LaneMessage {
  readonly seq: number;
  /** When the server stored it, in milliseconds since 1970. */
  readonly storedAt: number;
  readonly listed: readonly Listed[];
}

export class HostLanes {
  readonly #link: Link;
  readonly #topology: Topology;
  readonly #name: string;

  constructor(link: Link, topology: Topology, name: string) {
    this.#link = link;
    this.#topology = topology;
    this.#name = name;
  }

  /** The most bytes that a message may have. */
  maxPayload(): number {
    return this.#link.maxPayload();
  }

  /** Publishes behind the lane's last sequence; returns its own. Throws the server's refusal, also when there is no answer. */
  async publish(lane: number, { header, payload }: Packed, expected: number): Promise<number> {
    const subject = publishSubject(this.#topology.prefix, this.#name, lane);
    const sent = headers();
    sent.set(BUNDLE_HEADER, header);
    const options = {
      headers: sent,
      expect: { lastSubjectSequence: expected },
      timeout: PUBLISH_TIMEOUT_MS,
    };
    return (await this.#link.ask(async () => await this.#link.js.publish(subject, payload, options))).seq;
  }

  /** Undefined when the lane is empty. Throws when there is no answer. */
  async lastOf(lane: number): Promise<LastOfLane | undefined> {
    const message = await lastMessageOf(this.#link, this.#topology.stream, this.#subjectOf(lane));
    return message === null ? undefined : { seq: message.seq, stamp: bundleOf(message)?.stamp };
  }

  /** Whether the stream still has this message of the host. Throws when there is no answer. */
  async isThere(seq: number): Promise<boolean> {
    if (seq === 0) return false;
    const message = await this.#messageAt(seq);
    if (message !== undefined) return message !== null;
    // For a user who may only ask for the last ones nothing else is known to be lost.
    const last = await this.#lastOfEach();
    return last.some((one) => one.seq >= seq);
  }

  /**
   * What the lanes hold from a sequence on, in its order; of a user who may only ask for the last message of each lane, no
   * more than those. Throws when there is no answer.
   */
  async *from(first: number): AsyncGenerator<LaneMessage, void> {
    const subject = storedSubjects(this.#topology, this.#name);
    for (let seq = first; ; seq += 1) {
      const message = await messageAt(this.#link, this.#topology.stream, { seq, next_by_subj: subject });
      if (message === null) return;
      if (message === undefined) break;
      seq = message.seq;
      yield laneMessage(message);
    }
    for (const message of await this.#lastOfEach()) if (message.seq >= first) yield laneMessage(message);
  }

  /** The bytes of a generation that a message holds, where they begin; undefined when it has none, or is damaged. */
  async bytesIn(
    seq: number,
    file: string,
  ): Promise<{ readonly start: number; readonly bytes: Uint8Array } | undefined> {
    const message = seq === 0 ? undefined : await this.#messageAt(seq);
    const bundle = message === undefined || message === null ? undefined : bundleOf(message);
    const index = bundle?.listed.findLastIndex((one) => one.file === file && one.chunk.kind === 'data') ?? -1;
    const bytes = await bundle?.bytesOf(index);
    const start = bundle?.listed[index]?.chunk.start;
    return bytes === undefined || start === undefined ? undefined : { start, bytes };
  }

  /** Null when it is not there, or not of this host; undefined where this user may not ask for it. */
  async #messageAt(seq: number): Promise<StoredMsg | null | undefined> {
    const message = await messageAt(this.#link, this.#topology.stream, { seq });
    if (message === null || message === undefined) return message;
    return parseStoredSubject(this.#topology.prefix, message.subject)?.host === this.#name ? message : null;
  }

  async #lastOfEach(): Promise<StoredMsg[]> {
    const lanes = Array.from({ length: LANES }, (_, lane) => this.#subjectOf(lane));
    const found = await Promise.all(
      lanes.map(async (subject) => await lastMessageOf(this.#link, this.#topology.stream, subject)),
    );
    return found.filter((message) => message !== null).toSorted((a, b) => a.seq - b.seq);
  }

  #subjectOf(lane: number): string {
    return storedSubject(this.#topology, this.#name, lane);
  }
}

/** Undefined for one that is not one of ours, or damaged in its table. */
function bundleOf(message: StoredMsg): Bundle | undefined {
  return ifOurs(() => new Bundle(headersOf(message)?.get(BUNDLE_HEADER) ?? '', message.data));
}

function laneMessage(message: StoredMsg): LaneMessage {
  return { seq: message.seq, storedAt: message.time.getTime(), listed: bundleOf(message)?.listed ?? [] };
}
