// How far the receivers have come, told in the sequences of an edge's own stream (docs/edge.md). The record speaks of the
// central stream; what was seen there of this host says which local sequence a central one is. Pure.

import type { StreamPosition } from '../../common/record/record.ts';

/** A message of this host in the central stream, and the sequence that it has in the local one. */
interface Sighting {
  readonly seq: number;
  readonly origin: number;
}

/** What the central stream says of this host at one moment. */
export interface Central {
  /** ISO 8601: another value means another stream. */
  readonly created: string;
  readonly lastSeq: number;
  /** The newest message of this host, and the sequence that it had in the stream it was brought in from, if it was. */
  readonly newest: { readonly seq: number; readonly origin: number | undefined } | undefined;
  /** Everything that the local stream holds is there, by what the central server says. */
  readonly isCaughtUp: boolean;
}

/** Of a receiver that is so far behind, the oldest sightings say enough. */
const MAX_SEEN = 1_000;

/** What was seen of one host in the central stream. A message is forwarded behind those that were stored before it. */
export class Forwarded {
  #central = '';
  #local = '';
  #seen: Sighting[] = [];
  /** The highest local sequence that the owner of the record has come to. */
  #processed = 0;

  /**
   * Sightings of another stream, or from beyond its end, count no more.
   *
   * @param local as it was read after the central one: what is not in it yet is from a stream that it replaced
   */
  saw(central: Central, local: { readonly created: string; readonly lastSeq: number }): void {
    if (
      central.created !== this.#central ||
      local.created !== this.#local ||
      this.#processed > local.lastSeq
    ) {
      this.#central = central.created;
      this.#local = local.created;
      this.#seen = [];
      this.#processed = 0;
    }
    const { newest } = central;
    this.#seen = this.#seen.filter(({ seq, origin }) => seq <= central.lastSeq && origin <= local.lastSeq);
    if (newest?.origin === undefined || newest.origin > local.lastSeq) return;
    if (newest.seq <= (this.#seen.at(-1)?.seq ?? 0)) return;
    if (this.#seen.length >= MAX_SEEN) this.#seen = this.#seen.filter((_, index) => index % 2 === 0);
    this.#seen.push({ seq: newest.seq, origin: newest.origin });
  }

  /**
   * The local sequence up to which the record's owner has processed what was forwarded, 0 when that is not known. It
   * may say less than is true; more only when a stream was rolled back, and then bytes are sent twice.
   */
  processed(position: StreamPosition | undefined): number {
    if (position === undefined || position.created !== this.#central) return 0;
    const next = this.#seen.findIndex(({ seq }) => seq > position.seq);
    const passed = this.#seen.slice(0, next < 0 ? this.#seen.length : next);
    for (const { origin } of passed) this.#processed = Math.max(this.#processed, origin);
    this.#seen = this.#seen.slice(passed.length);
    return this.#processed;
  }
}
