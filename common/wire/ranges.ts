// Sets of bytes as ranges [start, end), in order and none touching the next. Pure.

export type ByteRange = readonly [start: number, end: number];

/** All the bytes of ranges that may come in any order and overlap. */
export function joinRanges(ranges: Iterable<ByteRange>): ByteRange[] {
  const joined: [number, number][] = [];
  for (const [start, end] of [...ranges].toSorted((a, b) => a[0] - b[0])) {
    const last = joined.at(-1);
    if (start >= end) continue;
    if (last === undefined || start > last[1]) joined.push([start, end]);
    else last[1] = Math.max(last[1], end);
  }
  return joined;
}

/** The bytes that are in both. */
export function bothRanges(some: readonly ByteRange[], others: readonly ByteRange[]): ByteRange[] {
  const both = some.flatMap(([start, end]) =>
    others.map(([from, to]): ByteRange => [Math.max(start, from), Math.min(end, to)]),
  );
  return joinRanges(both);
}

/** The bytes of `some` that are not among `others`. */
export function withoutRanges(some: readonly ByteRange[], others: readonly ByteRange[]): ByteRange[] {
  const left: ByteRange[] = [];
  const gone = joinRanges(others);
  for (const [start, end] of joinRanges(some)) {
    let at = start;
    for (const [from, to] of gone) {
      if (to <= at || from >= end) continue;
      if (from > at) left.push([at, from]);
      at = to;
    }
    if (at < end) left.push([at, end]);
  }
  return left;
}

/** How many bytes they are. */
export function bytesOf(ranges: readonly ByteRange[]): number {
  return ranges.reduce((sum, [start, end]) => sum + end - start, 0);
}
