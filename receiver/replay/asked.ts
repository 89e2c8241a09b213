// Which files a replay was asked for: a message holds chunks of many, so each is asked about again and again.

import type { Selection } from '../../common/fleet/selection.ts';

/** Whether this file of this host was asked for. */
export type IsAsked = (source: { readonly host: string; readonly path: string }) => boolean;

/** Remembers what a selection said. */
export function askedBy(selection: Selection): IsAsked {
  const hosts = new Map<string, Map<string, boolean>>();
  return ({ host, path }) => {
    const paths = hosts.get(host) ?? new Map<string, boolean>();
    hosts.set(host, paths);
    const matches = paths.get(path) ?? selection.matches(host, path);
    paths.set(path, matches);
    return matches;
  };
}
