// The sources as they were configured, while they are shipped: each with the context of its files and a signal of its own,
// so that one can be stopped beside the others. Never looks at a file but to say what is at its path.

import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import { type Found, inspect } from '../files/discover.ts';
import { baseOf, isRotationOf, isSameFile } from '../files/identity.ts';
import { namer } from '../discovery/expand.ts';
import { statOf } from '../files/candidate.ts';
import type { AnySource } from '../lane/any-source.ts';
import type { ShipperContext } from '../lane/context.ts';
import { nameBelow } from '../discovery/names.ts';
import type { SourceOptions } from '../options.ts';
import type { Skipped } from '../discovery/skipped.ts';
import type { Known } from './search.ts';

/** What all sources share. */
export type SharedContext = Omit<ShipperContext, 'nameOf' | 'look' | 'rotateWaitMs'>;

/** One configured source. */
export interface Group extends SourceOptions {
  readonly options: SourceOptions;
  readonly context: ShipperContext;
  /** Whether it names a path. */
  readonly names: (file: string) => boolean;
  /** Fires when it is no longer shipped, or everything stops. */
  readonly signal: AbortSignal;
  readonly stop: () => void;
  /** The same files, read by the same descriptors, with other options from now on. */
  readonly become: (options: SourceOptions) => Group;
}

/** A file that a source names. */
export interface Listed {
  readonly found: Found;
  readonly group: Group;
}

/** The context of the files of one source. */
export function contextOf(
  shared: SharedContext,
  options: Pick<SourceOptions, 'followSymlinks' | 'pathPrefix'>,
  skipped: Skipped,
  rotateWaitMs: () => number,
): ShipperContext {
  return {
    ...shared,
    get rotateWaitMs() {
      return rotateWaitMs();
    },
    nameOf: nameBelow(options.pathPrefix),
    look: async (file) => {
      const sight = await inspect(file, options.followSymlinks);
      skipped.sight(file, sight, undefined);
      return sight.kind === 'file' ? sight.found : undefined;
    },
  };
}

export function groupOf(
  shared: SharedContext,
  options: SourceOptions,
  skipped: Skipped,
  signal: AbortSignal,
): Group {
  const own = new AbortController();
  const any = AbortSignal.any([signal, own.signal]);
  let { rotateWaitMs } = options;
  const context = contextOf(shared, options, skipped, () => rotateWaitMs);
  const of = (now: SourceOptions): Group => ({
    ...now,
    options: now,
    context,
    names: namer(now),
    signal: any,
    stop: () => {
      own.abort();
    },
    become: (next) => {
      ({ rotateWaitMs } = next);
      return of(next);
    },
  });
  return of(options);
}

/** The first that names a path. */
export function ownerOf(groups: readonly Group[], file: string): Group | undefined {
  return groups.find((group) => group.names(file));
}

/** Whether none of these has a glob of this one: what is there was never looked at for it. */
export function isAdded(groups: readonly Group[], options: SourceOptions): boolean {
  return !groups.some((group) => sharesGlob(group, options));
}

/**
 * The sources from now on. Files of one stay open where it still names each of them, with the same options or others
 * that are nothing to an open file; then its signal is the same. Any other is made anew, and the old one is to be stopped.
 *
 * @param running what is shipped, by path
 */
export function regroup(
  before: readonly Group[],
  sources: readonly SourceOptions[],
  running: Iterable<readonly [file: string, { readonly signal: AbortSignal }]>,
  make: (options: SourceOptions) => Group,
): Group[] {
  const left = new Set(before);
  const take = (is: (group: Group) => boolean): Group | undefined => {
    const found = [...left].find(is);
    if (found !== undefined) left.delete(found);
    return found;
  };
  const same = sources.map((options) => take((group) => isDeepStrictEqual(group.options, options)));
  const next = sources.map(
    (options, index) =>
      same[index] ?? take((group) => mayBecome(group, options))?.become(options) ?? make(options),
  );
  const bySignal = new Map(next.map((group) => [group.signal, group]));
  const losing = new Set<Group>();
  for (const [file, { signal }] of running) {
    const group = bySignal.get(signal);
    if (group === undefined || losing.has(group)) continue;
    const owner = ownerOf(next, file);
    // One that none ever named was found under another name than the globs': it stays with whoever found it.
    const stays = owner === group || (owner === undefined && ownerOf(before, file) === undefined);
    if (!stays) losing.add(group);
  }
  return next.map((group) => (losing.has(group) ? make(group.options) : group));
}

function mayBecome(group: Group, options: SourceOptions): boolean {
  return (
    group.followSymlinks === options.followSymlinks &&
    group.pathPrefix === options.pathPrefix &&
    sharesGlob(group, options)
  );
}

function sharesGlob(one: SourceOptions, other: SourceOptions): boolean {
  return one.globs.some((glob) => other.globs.includes(glob));
}

/** Without state: the path that a file was shipped under, before a rotation or under another of its names. */
export async function shippedAs(
  file: string,
  found: Found | undefined,
  { nameOf, look }: ShipperContext,
  known: Known | undefined,
): Promise<string | undefined> {
  const was = (found === undefined ? undefined : known?.(baseOf(found.stamp) ?? '')?.path) ?? '';
  const beside = was !== '' && path.dirname(was) === path.dirname(nameOf(file)) && was !== nameOf(file);
  if (!beside || found === undefined) return undefined;
  const earlier = path.join(path.dirname(file), path.basename(was));
  if (isRotationOf(path.basename(was), path.basename(file))) return earlier;
  const there = await look(earlier);
  return there !== undefined && isSameFile(there.stamp, found.stamp) ? earlier : undefined;
}

/** Without a birth a number is a file's while that is open; of a source that is about to begin nothing is known. */
export async function isFileOf(source: AnySource | undefined, { stamp, path }: Found): Promise<boolean> {
  if (stamp.birth !== '0' || source === undefined) return true;
  for (const { cursor } of source.generations) {
    const own = await statOf(cursor.opened, path);
    if (own !== undefined && isSameFile(own.stamp, stamp)) return true;
  }
  return false;
}
