// How fast a stream fills, and how long it will keep what nobody has committed. Pure: the time is an argument.

/** What comes in, a second. */
export interface Flow {
  readonly bytesPerSecond: number;
  readonly messagesPerSecond: number;
}

/** The stream as it was at one look; times in milliseconds since 1970, by the server's clock. */
export interface Sight {
  readonly created: string;
  readonly messages: number;
  readonly bytes: number;
  readonly lastSeq: number;
  /** When its first message was stored; undefined without one. */
  readonly firstAt: number | undefined;
  readonly now: number;
}

/** Looks this far back are measured against. */
const WINDOW_MS = 15_000;
/** Looks that are closer together measure nothing. */
const LEAST_MS = 500;
/** At the first look: what came within a moment is no rate. */
const LEAST_AGE_MS = 60_000;
const SECOND_MS = 1_000;

/** The inflow, measured from look to look; at the first one over all that the stream holds. */
export class Inflow {
  #seen: Sight[] = [];

  /** Undefined when nothing is known: the stream is empty, and this is the first look. */
  look(sight: Sight): Flow | undefined {
    const { created, lastSeq, now, messages, bytes, firstAt } = sight;
    this.#seen = this.#seen.filter((before) => before.created === created && before.lastSeq <= lastSeq);
    while ((this.#seen[1]?.now ?? now) <= now - WINDOW_MS) this.#seen.shift();
    const [first] = this.#seen;
    this.#seen.push(sight);
    if (first !== undefined && now - first.now >= LEAST_MS) {
      // By sequences: what the stream has dropped meanwhile makes it no smaller.
      const perMessage = messages > 0 ? bytes / messages : 0;
      return flowOf(lastSeq - first.lastSeq, perMessage, now - first.now);
    }
    if (firstAt === undefined || messages === 0) return undefined;
    return flowOf(messages, bytes / messages, Math.max(LEAST_AGE_MS, now - firstAt));
  }
}

function flowOf(messages: number, bytesEach: number, ms: number): Flow {
  const messagesPerSecond = (messages / ms) * SECOND_MS;
  return { messagesPerSecond, bytesPerSecond: messagesPerSecond * bytesEach };
}

export interface Keeping {
  readonly now: number;
  /** The first message that no receiver has committed. */
  readonly oldest: { readonly seq: number; readonly storedAt: number };
  readonly stream: {
    readonly messages: number;
    readonly bytes: number;
    readonly firstSeq: number;
    readonly lastSeq: number;
  };
  /** 0 or less: none. */
  readonly limits: { readonly bytes: number; readonly messages: number; readonly ageMs: number };
  readonly inflow: Flow | undefined;
}

/**
 * Milliseconds until the stream drops the oldest message that is not committed, if nothing is committed meanwhile;
 * undefined when it never does. What lies before it goes first, so a stream that is full is not in danger by that.
 */
export function dropsInMs({ now, oldest, stream, limits, inflow }: Keeping): number | undefined {
  const before = Math.max(0, oldest.seq - stream.firstSeq);
  const share = before / Math.max(1, stream.lastSeq - stream.firstSeq + 1);
  const left: number[] = [];
  if (limits.ageMs > 0) left.push(limits.ageMs - (now - oldest.storedAt));
  const { bytesPerSecond = 0, messagesPerSecond = 0 } = inflow ?? {};
  if (limits.bytes > 0 && bytesPerSecond > 0)
    left.push(((limits.bytes - stream.bytes + stream.bytes * share) / bytesPerSecond) * SECOND_MS);
  if (limits.messages > 0 && messagesPerSecond > 0)
    left.push(
      ((limits.messages - stream.messages + stream.messages * share) / messagesPerSecond) * SECOND_MS,
    );
  return left.length === 0 ? undefined : Math.max(0, Math.min(...left));
}
