// When record and stream are read next. A notice of the owner says what the record says, so while notices come there is little
// to be read. Pure: the time comes as an argument.

/** While something is not committed and no notice comes, and otherwise. */
const SOON_MS = 1_000;
const IDLE_MS = 10_000;
/** A receiver commits every five seconds at least, and says so. */
const OVERDUE_MS = 6_000;
/** Of a stream that holds so much, what may be published before it is read how full it is. */
const SHARE_UNSEEN = 0.01;

export interface ViewNow {
  readonly ms: number;
  /** Whether something is published and not committed, or held back; asked only when it matters, as it looks at every file. */
  readonly isBehind: () => boolean;
  /** Nothing is published until the stream has room. */
  readonly isHeld: boolean;
  /** Of the connection: another one means that the server may be another, too. */
  readonly epoch: number;
  /** Source bytes so far. */
  readonly published: number;
}

export class ViewPace {
  #noticedAt = Number.NEGATIVE_INFINITY;
  #last: (Omit<ViewNow, 'isBehind'> & { readonly isBehind: boolean; readonly maxBytes: number }) | undefined;
  #isWanted = false;

  /** A notice came. */
  noticed(ms: number): void {
    this.#noticedAt = ms;
  }

  /** Something was seen that only record and stream explain. */
  want(): void {
    this.#isWanted = true;
  }

  /** @param maxBytes of the stream, negative for no limit */
  viewed(now: ViewNow, maxBytes: number): void {
    this.#last = { ...now, isBehind: now.isBehind(), maxBytes };
    this.#isWanted = false;
  }

  isDue(now: ViewNow): boolean {
    const last = this.#last;
    if (last === undefined || this.#isWanted || now.epoch !== last.epoch) return true;
    const since = now.ms - last.ms;
    if (since >= IDLE_MS) return true;
    // What was committed as a whole, and nothing was published since, still is.
    if (since < SOON_MS || (!last.isBehind && now.published === last.published)) return false;
    const isUnseen = last.maxBytes > 0 && now.published - last.published > last.maxBytes * SHARE_UNSEEN;
    const isOverdue = now.ms - this.#noticedAt >= OVERDUE_MS;
    return (isUnseen || now.isHeld || isOverdue) && now.isBehind();
  }
}
