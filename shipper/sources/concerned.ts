// Which sources have to look at their own before a new file is begun: it may be the next file of one of them, under a name
// that it was rotated to, or another of its names.

import path from 'node:path';

import { type Found, lookNow } from '../files/discover.ts';
import { basesOf, keyOf } from '../files/identity.ts';

/**
 * The shipped paths that new files may belong to: those of whose names a rotation makes one of theirs, wherever they are,
 * and those whose links lead to one. Undefined where it may be any: a file has several names.
 *
 * @param shipped by path, whether what is there may be looked at
 * @param ends the shipped paths, by where their links lead
 */
export function concernedBy(
  news: readonly Found[],
  shipped: ReadonlyMap<string, unknown>,
  ends: ReadonlyMap<string, string>,
  mayLook: (file: string) => boolean,
): string[] | undefined {
  if (news.some(({ links }) => links > 1)) return undefined;
  const bases = new Set(news.flatMap(({ path: file }) => basesOf(path.basename(file))));
  const paths = new Set(news.map(({ path: file }) => file));
  const stamps = new Set(news.map(({ stamp }) => keyOf(stamp)));
  const isAt = (file: string): boolean => {
    const found = mayLook(file) ? lookNow(file) : undefined;
    return found !== undefined && stamps.has(keyOf(found.stamp));
  };
  const concerned = new Set<string>();
  if (bases.size > 0) for (const file of shipped.keys()) if (bases.has(nameOf(file))) concerned.add(file);
  for (const [end, file] of ends) {
    if (end === file || !shipped.has(file)) continue;
    if (paths.has(end) || bases.has(nameOf(end)) || isAt(file)) concerned.add(file);
  }
  return [...concerned];
}

/** Of tens of thousands: as path.basename says it of a path without a slash at its end. */
function nameOf(file: string): string {
  return file.slice(file.lastIndexOf('/') + 1);
}
