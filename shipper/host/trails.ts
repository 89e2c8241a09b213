// What the lanes hold of this host that the state does not know: read once, at the start. Then every generation that goes on
// finds where.

import { LogferryError } from '../../common/runtime/errors.ts';
import { splitFileId } from '../files/identity.ts';
import type { GenerationState, Sent } from '../files/generation-state.ts';
import type { State } from '../files/state.ts';
import type { Host, HostView } from './host.ts';
import { Trail } from './trail.ts';

/** The highest number of a generation by its base, and the path that it is known under, '' for none. */
export type KnownGenerations = Map<string, { number: number; path: string }>;

export class Trails {
  readonly #host: Host;
  readonly #state: State;
  readonly #onRead: (upTo: number) => void;
  #read: Promise<void> | undefined;
  #isRead = false;
  /** What was read so far, of the stream that was created then: after an answer that did not come it goes on there. */
  #trails = new Map<string, Trail>();
  #upTo = 0;
  #readOf: string | undefined;

  /** @param onRead told up to which sequence the positions of all generations are known, before anything else is */
  constructor(host: Host, state: State, onRead: (upTo: number) => void) {
    this.#host = host;
    this.#state = state;
    this.#onRead = onRead;
  }

  /** Of all generations; what the state says of each is up to date then. Throws when there is no answer. */
  async all(view: HostView): Promise<ReadonlyMap<string, Trail>> {
    this.#read ??= this.#readFrom(view);
    try {
      await this.#read;
      return this.#trails;
    } catch (error) {
      this.#read = undefined;
      throw error;
    }
  }

  /** Undefined when nothing was found of it. */
  async of(view: HostView, file: string): Promise<Trail | undefined> {
    return (await this.all(view)).get(file);
  }

  /**
   * The generations that lanes and record know of this host: for a shipper that has lost its state, or has an older one.
   * Throws `unreachable` while the record is not known.
   */
  async known(view: HostView): Promise<KnownGenerations> {
    if (!view.isRecordKnown) throw new LogferryError('unreachable', 'the record was never read');
    const known: KnownGenerations = new Map();
    const add = (file: string, path: string): void => {
      const split = splitFileId(file);
      if (split === undefined) return;
      const before = known.get(split.base);
      if (before === undefined || before.number < split.number)
        known.set(split.base, { number: split.number, path });
    };
    for (const file of view.files()) add(file, view.entry(file)?.path ?? '');
    for (const [file, { path }] of await this.all(view)) add(file, path);
    return known;
  }

  /** Behind what the state knows of this stream; if it knows nothing, behind what was processed. */
  async #readFrom(view: HostView): Promise<void> {
    const { processed, created, extent } = view;
    const isKept = this.#state.isSentOf(created, extent.lastSeq);
    const begun = processed?.created === created ? processed.seq : 0;
    if (this.#readOf !== created)
      [this.#readOf, this.#trails, this.#upTo] = [created, new Map(), isKept ? this.#state.sent.seq : begun];
    const trails = this.#trails;
    for await (const { seq, storedAt, listed } of this.#host.lanes.from(this.#upTo + 1)) {
      for (const { path, file, chunk } of listed) {
        const trail = trails.get(file) ?? new Trail(path, chunk);
        trails.set(file, trail);
        trail.add(chunk, seq, storedAt);
      }
      this.#upTo = seq;
    }
    this.#state.resetSent(created, extent.lastSeq);
    for (const entry of [...this.#state.sources.values()].flat()) {
      const trail = trails.get(entry.file);
      if (trail !== undefined) entry.sent = follow(trail, entry, view);
    }
    this.#reaches(created, this.#upTo);
  }

  /**
   * The stream is another one now, or has lost its last messages.
   *
   * @param sent what the state said before the view was read
   */
  changed(
    sent: { readonly created: string; readonly seq: number },
    { created: now, extent: { lastSeq } }: HostView,
  ): void {
    const isSame = sent.created === now;
    if (!this.#isRead || (isSame && sent.seq <= lastSeq)) return;
    this.#state.resetSent(now, lastSeq);
    this.#reaches(now, isSame ? lastSeq : 0);
  }

  #reaches(created: string, upTo: number): void {
    this.#isRead = true;
    this.#state.sentUpTo(upTo, created);
    this.#onRead(upTo);
  }
}

/** Where a generation has come to in the stream: from what is committed, or known to be there, behind its messages. */
export function follow(
  trail: Trail | undefined,
  { sent, begin, file }: Pick<GenerationState, 'sent' | 'begin' | 'file'>,
  view: HostView,
): Sent {
  const known = view.entry(file);
  const committed = known?.offset ?? begin;
  const from =
    sent !== null && sent.position >= committed
      ? sent
      : { position: committed, tail: known?.tail ?? null, ended: false, seq: 0, dataSeq: 0 };
  if (trail === undefined) return from;
  const { created, processed } = view;
  const behind = Math.max(from.seq, processed?.created === created ? processed.seq : 0);
  const { tail, ...reached } = trail.follow({ ...from, tail: from.tail ?? undefined }, behind);
  return { ...reached, tail: tail ?? null, dataSeq: trail.dataSeq > 0 ? trail.dataSeq : from.dataSeq };
}
