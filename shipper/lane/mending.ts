// Takes a generation back when the stream or a receiver has lost bytes of it: what was seen is judged at once
// (repair.ts), and what follows from it is done between two messages. Never publishes.

import type { Bell } from '../../common/runtime/run.ts';
import type { ShipperContext } from './context.ts';
import { type HostView, observedOf } from './host.ts';
import type { Publisher } from './publisher.ts';
import {
  afterCentralLook,
  afterLook,
  committedOffset,
  decideRepair,
  type Published,
  type Repair,
  Rewinds,
} from './repair.ts';

interface Decided {
  readonly decision: Repair;
  readonly expected: number;
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
    this.#decided = { decision, expected: snapshot.lastSeq, view };
    this.#bell.ring();
  }

  /** Does what was decided, between two messages. */
  async apply(signal: AbortSignal): Promise<void> {
    const decided = this.#decided;
    if (decided === undefined || signal.aborted) return;
    this.#decided = undefined;
    const { expected, view } = decided;
    const isAsDecided = (): boolean => this.#publisher.expected === expected;
    let { decision } = decided;
    if (decision.kind === 'look') {
      if (!isAsDecided()) return;
      decision = await this.#look(view, decision.because);
    }
    if (decision.kind === 'forget') this.#publisher.forget(view.created);
    if (decision.kind !== 'rewind') return;
    if (!this.#rewinds.isDue(decision.to, performance.now())) return;
    this.#say(decision.to, decision.reason);
    this.#earlier = undefined;
    await this.#publisher.rewind(decision.to, isAsDecided() ? decision.expected : undefined, view);
  }

  /** Whether its last message is where it should be. */
  async #look(view: HostView, because: 'stream-shorter' | 'stalled'): Promise<Repair> {
    const { source, entry } = this.#publisher;
    const last = await this.#context.host.lastMessage(source, entry.file);
    const observed = observedOf(view, entry.file);
    let decision = afterLook(this.#publisher.snapshot(), observed, because, last.seq);
    if (decision.kind === 'none' && view.isAtRest) decision = await this.#lookAtCentral(view);
    if (decision.kind === 'none') this.#publisher.isStillThere();
    return decision;
  }

  async #lookAtCentral(view: HostView): Promise<Repair> {
    const { source, entry } = this.#publisher;
    const last = await this.#context.host.lastCentralMessage(source, entry.file);
    if (last === undefined) return { kind: 'none' };
    const observed = observedOf(view, entry.file);
    return afterCentralLook(this.#publisher.snapshot(), observed, { isAtRest: view.isAtRest, ...last });
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
