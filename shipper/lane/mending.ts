// Takes a generation back when the stream or a receiver has lost bytes of it: what was seen is judged at once
// (repair.ts), and what follows from it is done between two messages. Never publishes.

import type { Bell } from '../../common/runtime/run.ts';
import type { ShipperContext } from './context.ts';
import type { StreamPosition } from '../../common/record/record.ts';
import type { HostView } from '../host/host.ts';
import type { Publisher } from './publisher.ts';
import {
  afterLook,
  type Observed,
  committedOffset,
  decideRepair,
  isMissing,
  type Published,
  type Repair,
  Rewinds,
} from './repair.ts';

interface Decided {
  readonly decision: Repair;
  readonly lastSeq: number;
  readonly view: HostView;
}

export class Mending {
  readonly #context: ShipperContext;
  readonly #publisher: Publisher;
  readonly #bell: Bell;
  readonly #rewinds = new Rewinds();
  /** What was known of it before, and is not committed as a whole: a file that never pauses is judged by that. */
  #earlier: Published | undefined;
  #decided: Decided | undefined;

  /** @param bell rung when there is something to be done */
  constructor(context: ShipperContext, publisher: Publisher, bell: Bell) {
    this.#context = context;
    this.#publisher = publisher;
    this.#bell = bell;
  }

  /** A commit notice: whether it shows that bytes are missing, which record and stream then tell for certain. */
  noticed(offset: number, processed: StreamPosition): boolean {
    const now = this.#publisher.snapshot();
    const earlier = this.#earlier ?? now;
    if (this.#earlier === undefined || offset >= earlier.position) this.#earlier = now;
    return isMissing(now, offset, processed) || isMissing(earlier, offset, processed);
  }

  /** The record and the stream were read after `snapshot`. */
  observed(snapshot: Published, view: HostView): void {
    const publisher = this.#publisher;
    const { entry, committed } = publisher;
    const observed = observedOf(view, entry.file);
    if (snapshot.created === '' || !view.isRecordKnown) return;
    publisher.setCommitted(committedOffset(entry, observed));
    const decision = decideRepair(snapshot, observed, this.#earlier);
    const isSettled = this.#earlier === undefined || committed.offset >= this.#earlier.position;
    if (isSettled || decision.kind !== 'none')
      this.#earlier = decision.kind === 'none' ? snapshot : undefined;
    if (decision.kind === 'none') return;
    this.#decided = { decision, lastSeq: snapshot.lastSeq, view };
    this.#bell.ring();
  }

  /** Does what was decided, between two messages. */
  async apply(signal: AbortSignal): Promise<void> {
    const decided = this.#decided;
    if (decided === undefined || signal.aborted) return;
    this.#decided = undefined;
    const { lastSeq, view } = decided;
    const isAsDecided = (): boolean => this.#publisher.lastSeq === lastSeq;
    let { decision } = decided;
    if (decision.kind === 'look') {
      if (!isAsDecided()) return;
      decision = await this.#look(view);
    }
    if (decision.kind === 'forget') this.#publisher.forget(view.created);
    if (decision.kind !== 'rewind') return;
    if (!this.#rewinds.isDue(decision.to, performance.now())) return;
    this.#say(decision.to, decision.reason);
    this.#earlier = undefined;
    await this.#publisher.rewind(decision.to, decision.isLost && isAsDecided(), view);
  }

  /** Whether its last message is where it should be. */
  async #look(view: HostView): Promise<Repair> {
    const publisher = this.#publisher;
    const isThere = await this.#context.host.lanes.isThere(publisher.lastSeq);
    const observed = observedOf(view, publisher.entry.file);
    const decision = afterLook(publisher.snapshot(), observed, isThere, view.isAtRest);
    if (decision.kind === 'none') publisher.isStillThere();
    return decision;
  }

  #say(to: number, reason: string): void {
    const { log, counts } = this.#context;
    const { source: path, entry, cursor } = this.#publisher;
    const from = cursor.position;
    log.info(
      { path, file: entry.file, from, to, reason },
      `${path}: shipping again from byte ${to}: ${reason}`,
    );
    counts.repairs += 1;
    counts.repairedBytes += Math.max(0, from - to);
  }
}

/** What decideRepair needs of a view, for one file. */
function observedOf(view: HostView, file: string): Observed {
  return {
    offset: view.entry(file)?.offset,
    processed: view.processed,
    stream: { created: view.created, lastSeq: view.extent.lastSeq },
  };
}
