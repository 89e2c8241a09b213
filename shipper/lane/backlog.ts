// How far a backlog may run ahead of the receiver. Messages of a host are written in the order of the stream, so what
// is written to a file now would wait behind everything that an old file has put there. Pure.

/** Source bytes of backlogs that no receiver has written yet, while another file is being written to. */
const AHEAD_BYTES = 1024 * 1024;
/** A file that brought something for so long ago still counts as being written to. */
const LIVE_MS = 2_000;
/** From a receiver that has said nothing for so long nothing is to be expected: then the stream is where a backlog waits. */
const SILENT_MS = 3_000;
/** The oldest beyond so many are forgotten: then the receiver is far behind, and the rest says so too. */
const MAX_SENT = 1_000;

/** One shipper's backlogs together. Times are those of any clock that only goes forward, in milliseconds. */
export class Backlog {
  /** What was published and not received, oldest first. */
  #sent: { readonly seq: number; readonly bytes: number }[] = [];
  #bytes = 0;
  #created = '';
  #liveAt = Number.NEGATIVE_INFINITY;
  #receivedAt = Number.NEGATIVE_INFINITY;

  /** A file that is being written to brought a message. */
  livePublished(now: number): void {
    this.#liveAt = now;
  }

  /** A full chunk, with more behind it, is in the stream that was created then. */
  backlogPublished(created: string, seq: number, bytes: number): void {
    if (created !== this.#created) this.#forget(created);
    this.#sent.push({ seq, bytes });
    this.#bytes += bytes;
    if (this.#sent.length > MAX_SENT) this.#drop(MAX_SENT / 2);
  }

  /** A receiver has written, or passed over, everything of this host up to there. */
  received(created: string, seq: number, now: number): void {
    if (created !== this.#created) return;
    this.#receivedAt = now;
    const next = this.#sent.findIndex((each) => each.seq > seq);
    this.#drop(next < 0 ? this.#sent.length : next);
  }

  #drop(count: number): void {
    for (const { bytes } of this.#sent.slice(0, count)) this.#bytes -= bytes;
    this.#sent = this.#sent.slice(count);
  }

  #forget(created: string): void {
    this.#sent = [];
    this.#bytes = 0;
    this.#created = created;
  }

  /** For how long the next chunk of a backlog should wait at most, unless something is received; 0 for not at all. */
  waitMs(now: number): number {
    if (this.#bytes < AHEAD_BYTES) return 0;
    return Math.max(0, Math.min(this.#liveAt + LIVE_MS, this.#receivedAt + SILENT_MS) - now);
  }
}
