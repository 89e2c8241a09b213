// The known names that are most like a mistyped one. Pure.

/** At most `count` of the names, the most alike first: the share of them that a common beginning and end make up. */
export function nearest(name: string, known: Iterable<string>, count: number): string[] {
  return [...known]
    .map((candidate) => ({ candidate, alike: likeness(name, candidate) }))
    .toSorted((a, b) => b.alike - a.alike || (a.candidate < b.candidate ? -1 : 1))
    .slice(0, count)
    .map(({ candidate }) => candidate);
}

function likeness(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let begin = 0;
  while (begin < most && a[begin] === b[begin]) begin += 1;
  let end = 0;
  while (end < most - begin && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  return (begin + end) / Math.max(a.length, b.length, 1);
}
