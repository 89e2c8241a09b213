// Which segments go, and in which order: the oldest first, never an active file, until the limits hold. Pure: the
// files and the time are given.

/** Undefined for no limit. */
export interface Limits {
  /** Since the last write to a segment, milliseconds. */
  readonly ageMs?: number | undefined;
  /** Segments of one destination, the active file not counted. */
  readonly count?: number | undefined;
  /** Bytes on disk of one destination, the active file counted. */
  readonly sizeBytes?: number | undefined;
  /** Bytes on disk of all destinations, the active files counted. */
  readonly totalBytes?: number | undefined;
}

/** One file on disk of a destination. */
export interface Stored {
  readonly destination: string;
  readonly size: number;
  readonly writtenMs: number;
  /** A segment of which every byte is committed. */
  readonly finished: boolean;
}

/**
 * The segments to remove, in this order. `stored` has the files of each destination oldest first; one that is not
 * finished stays, and everything behind it.
 */
export function toRemove<S extends Stored>(stored: readonly S[], limits: Limits, nowMs: number): S[] {
  const goes = new Set<S>();
  const left: Aged<S>[] = [];
  for (const files of Map.groupBy(stored, ({ destination }) => destination).values()) {
    const finished = agedOf(files);
    const surplus = surplusOf(finished, bytesOf(files), limits, nowMs);
    for (const { one } of finished.slice(0, surplus)) goes.add(one);
    left.push(...finished.slice(surplus));
  }
  let total = bytesOf(stored) - bytesOf(goes);
  for (const { one } of left.toSorted((a, b) => a.sinceMs - b.sinceMs)) {
    if (total <= (limits.totalBytes ?? Infinity)) break;
    goes.add(one);
    total -= one.size;
  }
  return [...goes];
}

/** A clock that went back makes no segment older than the one before it: that one goes first. */
interface Aged<S> {
  readonly one: S;
  readonly sinceMs: number;
}

/** The finished segments before the first file that is not. */
function agedOf<S extends Stored>(files: readonly S[]): Aged<S>[] {
  const aged: Aged<S>[] = [];
  let sinceMs = -Infinity;
  for (const one of files) {
    if (!one.finished) break;
    sinceMs = Math.max(sinceMs, one.writtenMs);
    aged.push({ one, sinceMs });
  }
  return aged;
}

/** How many of the oldest have to go for the limits of one destination. */
function surplusOf(
  finished: readonly Aged<Stored>[],
  allBytes: number,
  { ageMs = Infinity, count = Infinity, sizeBytes = Infinity }: Limits,
  nowMs: number,
): number {
  let bytes = allBytes;
  let surplus = 0;
  for (const { one, sinceMs } of finished) {
    const isTooOld = nowMs - sinceMs > ageMs;
    const areTooMany = finished.length - surplus > count;
    if (!isTooOld && !areTooMany && bytes <= sizeBytes) break;
    bytes -= one.size;
    surplus += 1;
  }
  return surplus;
}

function bytesOf(files: Iterable<Stored>): number {
  let bytes = 0;
  for (const { size } of files) bytes += size;
  return bytes;
}
