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
  const left: { readonly one: S; readonly ageKey: number }[] = [];
  for (const files of Map.groupBy(stored, ({ destination }) => destination).values()) {
    const finished = files.slice(0, finishedFirst(files));
    const surplus = surplusOf(files, finished, limits, nowMs);
    for (const one of finished.slice(0, surplus)) goes.add(one);
    // A clock that went back must not make a later segment go first.
    let ageKey = -Infinity;
    for (const one of finished.slice(surplus)) {
      ageKey = Math.max(ageKey, one.writtenMs);
      left.push({ one, ageKey });
    }
  }
  let total = bytesOf(stored) - bytesOf(goes);
  for (const { one } of left.toSorted((a, b) => a.ageKey - b.ageKey)) {
    if (total <= (limits.totalBytes ?? Infinity)) break;
    goes.add(one);
    total -= one.size;
  }
  return [...goes];
}

function finishedFirst(files: readonly Stored[]): number {
  const first = files.findIndex(({ finished }) => !finished);
  return first < 0 ? files.length : first;
}

/** How many of the oldest have to go for the limits of one destination. */
function surplusOf(
  files: readonly Stored[],
  finished: readonly Stored[],
  { ageMs = Infinity, count = Infinity, sizeBytes = Infinity }: Limits,
  nowMs: number,
): number {
  let bytes = bytesOf(files);
  let surplus = 0;
  for (const { writtenMs, size } of finished) {
    const isTooOld = nowMs - writtenMs > ageMs;
    const areTooMany = finished.length - surplus > count;
    if (!isTooOld && !areTooMany && bytes <= sizeBytes) break;
    bytes -= size;
    surplus += 1;
  }
  return surplus;
}

function bytesOf(files: Iterable<Stored>): number {
  let bytes = 0;
  for (const { size } of files) bytes += size;
  return bytes;
}
