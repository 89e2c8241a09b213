// How many source bytes a receiver has recorded as lost, by host. Pure.

import { MAX_LOST_HOSTS } from '../../common/fleet/daemon-status.ts';

/** Names are from elsewhere: no more of them than this, and no more of their length in one answer. */
const MAX_HOSTS = 10_000;
const MAX_NAMES_BYTES = 24 * 1024;

export class LostBytes {
  #total = 0;
  readonly #byHost = new Map<string, number>();

  get total(): number {
    return this.#total;
  }

  add(host: string, bytes: number): void {
    this.#total += bytes;
    const before = this.#byHost.get(host);
    if (before !== undefined || this.#byHost.size < MAX_HOSTS) this.#byHost.set(host, (before ?? 0) + bytes);
  }

  /** The hosts with most, as many as fit into an answer. */
  most(): { host: string; bytes: number }[] {
    let room = MAX_NAMES_BYTES;
    return [...this.#byHost]
      .map(([host, bytes]) => ({ host, bytes }))
      .toSorted((a, b) => b.bytes - a.bytes)
      .slice(0, MAX_LOST_HOSTS)
      .filter(({ host }) => (room -= Buffer.byteLength(JSON.stringify(host))) >= 0);
  }
}
