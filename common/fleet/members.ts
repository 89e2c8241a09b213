// A name of one's own: a key with a heartbeat in the members bucket, for receivers and shippers alike. Its holder is gone
// when the key has not changed for a lease, measured on the clock of whoever looks.

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

import { z } from 'zod';

import { type Bucket, isUnanswered } from '../nats/bucket.ts';
import { LogferryError, systemCode } from '../runtime/errors.ts';
import type { Logger } from '../runtime/log.ts';
import { sleep } from '../runtime/run.ts';
import { formatDuration } from '../text/units.ts';
import { parseJson } from '../runtime/json.ts';

const schema = z.object({
  /** Names the state or output directory: the same one restarted goes on at once. */
  directory: z.string(),
  /** Where it runs, for whoever has to find it. */
  machine: z.string(),
  pid: z.number(),
  /** One boot of one machine: only there a directory's lock proves that its last user is dead. */
  boot: z.string(),
  /** Changes with every start. */
  run: z.string(),
  since: z.string(),
  /** Grows with every heartbeat. */
  beats: z.number(),
  /** What this kind of member says of itself. */
  status: z.unknown().optional(),
});

export type Member = z.infer<typeof schema>;

export interface RegistrationOptions {
  readonly bucket: Bucket;
  readonly key: string;
  /** What it is called in messages: `host web1`, `receiver r1`. */
  readonly what: string;
  /** How to choose another name. */
  readonly hint: string;
  readonly directory: string;
  readonly leaseMs: number;
  /** Said with every heartbeat. */
  readonly status?: () => unknown;
  /** Wait for another to let go at most this long; without it, for ever. */
  readonly giveUpMs?: number | undefined;
  readonly log: Logger;
}

/** Three lost in a row lose no name. */
const BEATS_IN_A_LEASE = 4;

/** The name is ours while beat() says so. */
export class Registration {
  readonly #options: RegistrationOptions;
  readonly #member: Member;
  #revision = 0;
  #epoch = -1;
  #beatAt = Number.NEGATIVE_INFINITY;

  private constructor(options: RegistrationOptions, member: Member) {
    this.#options = options;
    this.#member = member;
  }

  /**
   * Takes the name. The same directory on the same machine goes on at once (its lock proves that its predecessor is
   * dead); anybody else waits until the holder has been silent for a lease, saying who it is. Returns undefined when the signal fires first.
   * Throws `busy` when giveUpMs is over.
   */
  static async acquire(options: RegistrationOptions, signal: AbortSignal): Promise<Registration | undefined> {
    const member: Member = {
      directory: options.directory,
      machine: hostname(),
      pid: process.pid,
      boot: bootOf(),
      run: randomBytes(4).toString('hex'),
      since: new Date().toISOString(),
      beats: 0,
    };
    const registration = new Registration(options, member);
    const began = performance.now();
    let seen = { revision: -1, at: began };
    let said = false;
    while (!signal.aborted) {
      const found = await registration.#tryTake(
        performance.now() - seen.at > options.leaseMs ? seen.revision : -1,
      );
      if (found === 'taken') return registration;
      if (found !== 'unknown') {
        if (found.revision !== seen.revision) seen = { revision: found.revision, at: performance.now() };
        if (!said && found.holder !== undefined) {
          said = true;
          const { machine, pid, since } = found.holder;
          options.log.warn(
            `${options.what} is held by a process on ${machine} (pid ${pid}, since ${since}); waiting until it is ` +
              `silent for ${formatDuration(options.leaseMs)}; ${options.hint}`,
          );
        }
      }
      const { giveUpMs = Number.POSITIVE_INFINITY } = options;
      if (performance.now() - began >= giveUpMs)
        throw new LogferryError(
          'busy',
          `${options.what} is not free after ${formatDuration(giveUpMs)}`,
          options.hint,
        );
      await sleep(Math.min(500, options.leaseMs / 4), signal);
    }
    return undefined;
  }

  async #tryTake(
    expiredRevision: number,
  ): Promise<'taken' | 'unknown' | { revision: number; holder: Member | undefined }> {
    const { bucket, key } = this.#options;
    const { directory, boot } = this.#member;
    try {
      const read = await bucket.read(key);
      const holder = parseMember(read.data);
      const free =
        holder === undefined ||
        (holder.directory === directory && holder.boot === boot) ||
        read.revision === expiredRevision;
      if (!free) return { revision: read.revision, holder };
      const result = await bucket.set(key, this.#next(), read);
      if (typeof result !== 'object') return 'unknown';
      this.#revision = result.revision;
      this.#epoch = read.epoch;
      return 'taken';
    } catch (error) {
      if (isUnanswered(error)) return 'unknown';
      throw error;
    }
  }

  #next(): string {
    this.#member.beats += 1;
    return JSON.stringify({ ...this.#member, status: this.#options.status?.() });
  }

  /** Which start of which process this is. */
  get run(): string {
    return this.#member.run;
  }

  /** The heartbeat, when one is due: ten thousand shippers beat into one bucket. Throws as beat does. */
  async beatWhenDue(): Promise<void> {
    if (performance.now() - this.#beatAt >= this.#options.leaseMs / BEATS_IN_A_LEASE) await this.beat();
  }

  /** The heartbeat. Throws `lost` when another has the name now; no answer is not an answer. */
  async beat(): Promise<void> {
    const { bucket, key, what } = this.#options;
    this.#beatAt = performance.now();
    try {
      const result = await bucket.set(key, this.#next(), { revision: this.#revision, epoch: this.#epoch });
      if (typeof result === 'object') {
        this.#revision = result.revision;
        return;
      }
      const read = await bucket.read(key);
      const holder = parseMember(read.data);
      if (holder !== undefined && holder.run !== this.#member.run)
        throw new LogferryError(
          'lost',
          `${what} was taken by a process on ${holder.machine} (pid ${holder.pid})`,
        );
      const again = await bucket.set(key, this.#next(), read);
      if (typeof again === 'object') {
        this.#revision = again.revision;
        this.#epoch = read.epoch;
      }
    } catch (error) {
      if (!isUnanswered(error)) throw error;
    }
  }

  /** Lets go of the name, so that another need not wait. */
  async release(): Promise<void> {
    const { bucket, key } = this.#options;
    try {
      await bucket.set(key, '{}', { revision: this.#revision, epoch: this.#epoch });
    } catch (error) {
      if (!isUnanswered(error)) throw error;
    }
  }
}

/** Undefined when nobody is there: no value, a released name, or nothing that parses. */
export function parseMember(data: Uint8Array | undefined): Member | undefined {
  if (data === undefined) return undefined;
  try {
    return schema.safeParse(parseJson(new TextDecoder().decode(data))).data;
  } catch (error) {
    if (error instanceof LogferryError) return undefined;
    throw error;
  }
}

/** Names this boot of this machine's kernel; where it has no such name, the machine. */
function bootOf(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return hostname();
  }
}
