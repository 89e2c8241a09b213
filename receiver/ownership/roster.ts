// Which receivers are there, and what they say of themselves. Heartbeats are heard as they are published, which says
// at once who comes and goes; nobody counts as gone before the key was read and found unchanged for a lease.

import { z } from 'zod';

import type { Bucket } from '../../common/nats/bucket.ts';
import { type Member, parseMember } from '../../common/fleet/members.ts';
import type { Link } from '../../common/nats/connection.ts';
import { receiverKey } from '../../common/wire/topology.ts';
import type { Receiver } from './plan.ts';

const statusSchema = z.object({
  id: z.string(),
  owned: z.array(z.int().min(0)),
  fixed: z.array(z.int().min(0)).nullable(),
  stays: z.boolean(),
  hasRoom: z.boolean(),
});

/** Keys are listed anew this often, should a first heartbeat not have been heard. */
const LIST_MS = 2_000;
/** Heard from this lately, a member need not be read. */
const QUIET_SHARE = 0.5;
/** One that has been silent for long is read less and less often: when it comes back, its heartbeat is heard. */
const LONGEST_PAUSE_MS = 60_000;
/** One whose key is gone for this time was forgotten. */
const GONE_MS = 60_000;

const ALL_RECEIVERS = 'receiver.*';

interface Known {
  member: Member | undefined;
  /** When it was last known to live, or was first looked for. */
  at: number;
  readAt: number;
  /** It says something new, or nothing was read yet. */
  isNews: boolean;
}

export class Roster {
  readonly #link: Link;
  readonly #bucket: Bucket;
  readonly #leaseMs: number;
  readonly #onNews: () => void;
  readonly #known = new Map<string, Known>();
  #epoch = -1;
  #listedAt = Number.NEGATIVE_INFINITY;

  /** @param onNews called when somebody comes, goes, or says something new */
  constructor(link: Link, bucket: Bucket, leaseMs: number, onNews: () => void) {
    this.#link = link;
    this.#bucket = bucket;
    this.#leaseMs = leaseMs;
    this.#onNews = onNews;
  }

  /** Listens until the function that it returns is called. */
  listen(): () => void {
    return this.#bucket.listen(ALL_RECEIVERS, (key, data) => {
      const known = this.#known.get(key);
      const said = parseMember(data);
      if (known?.member !== undefined && said !== undefined && saysTheSame(known.member, said)) {
        known.at = performance.now();
        known.member = said;
        return;
      }
      if (known === undefined) this.#entry(key);
      else known.isNews = true;
      this.#onNews();
    });
  }

  /** Reads what is not known for certain. Throws when there is no answer. */
  async refresh(): Promise<void> {
    const epoch = this.#link.epoch();
    if (epoch !== this.#epoch) {
      // Nobody was watched meanwhile.
      for (const known of this.#known.values()) known.at = performance.now();
      this.#listedAt = Number.NEGATIVE_INFINITY;
      this.#epoch = epoch;
    }
    if (performance.now() - this.#listedAt > LIST_MS) {
      const keys = new Set(await this.#bucket.keys(ALL_RECEIVERS));
      for (const key of keys) this.#entry(key);
      this.#listedAt = performance.now();
      for (const [key, { at }] of this.#known)
        if (!keys.has(key) && this.#listedAt - at > GONE_MS) this.#known.delete(key);
    }
    for (const [key, known] of this.#known) {
      const now = performance.now();
      const quietMs = now - known.at;
      const pause = quietMs > 2 * this.#leaseMs ? Math.min(quietMs * QUIET_SHARE, LONGEST_PAUSE_MS) : 0;
      const isDue = quietMs > this.#leaseMs * QUIET_SHARE && now - known.readAt >= pause;
      if (known.isNews || (isDue && known.member !== undefined)) await this.#read(key, known);
    }
  }

  #entry(key: string): Known {
    const at = performance.now();
    const known = this.#known.get(key) ?? { member: undefined, at, readAt: 0, isNews: true };
    this.#known.set(key, known);
    return known;
  }

  async #read(key: string, known: Known): Promise<void> {
    known.isNews = false;
    known.readAt = performance.now();
    try {
      const read = await this.#bucket.read(key);
      const member = parseMember(read.data);
      const before = known.member;
      // A key that vanished with its bucket comes back with the next heartbeat.
      if (read.data === undefined) return;
      if (member === undefined || before?.run !== member.run || before.beats !== member.beats)
        known.at = performance.now();
      known.member = member;
    } catch (error) {
      known.isNews = true;
      throw error;
    }
  }

  /** The receivers that live, but for the one of this run. */
  others(run: string): Receiver[] {
    const others: Receiver[] = [];
    for (const { member, at } of this.#known.values()) {
      if (member === undefined || member.run === run || performance.now() - at > this.#leaseMs) continue;
      const { data } = statusSchema.safeParse(member.status);
      if (data !== undefined) others.push(data);
    }
    return others;
  }

  /** Whether a receiver lives. One that was not watched for a lease counts as alive, unless it has let go of its name. */
  async isAlive(id: string): Promise<boolean> {
    const key = receiverKey(id);
    const known = this.#known.get(key);
    if (known === undefined || known.member === undefined) {
      const { data } = await this.#bucket.read(key);
      if (data !== undefined && parseMember(data) === undefined) return false;
      return performance.now() - this.#entry(key).at <= this.#leaseMs;
    }
    return performance.now() - known.at <= this.#leaseMs;
  }

  /** Milliseconds until the next one would count as gone. */
  nextExpiryMs(): number {
    let next = Number.POSITIVE_INFINITY;
    const now = performance.now();
    for (const { member, at } of this.#known.values()) {
      const left = at + this.#leaseMs - now;
      if (member !== undefined && left >= 0) next = Math.min(next, left + 1);
    }
    return next;
  }
}

function saysTheSame(a: Member, b: Member): boolean {
  return a.run === b.run && JSON.stringify(a.status) === JSON.stringify(b.status);
}
