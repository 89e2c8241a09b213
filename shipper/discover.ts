// Which files there are: globs and the stat of what they match. Watch events only say when to look.

import { type BigIntStats, existsSync } from 'node:fs';
import { glob, stat } from 'node:fs/promises';
import path from 'node:path';

import { type FSWatcher, watch } from 'chokidar';

import { systemCode } from '../common/errors.ts';
import type { FileStamp } from './identity.ts';

/** A regular file as it is now. */
export interface Found {
  readonly path: string;
  readonly stamp: FileStamp;
  readonly size: number;
  readonly links: number;
  /** Last modification, in nanoseconds since 1970. */
  readonly modified: bigint;
}

/** The regular files that the globs match, by absolute path, in the order of the globs. */
export async function expand(globs: readonly string[], exclude: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  for (const pattern of globs) {
    const absolute = path.resolve(pattern);
    if (existsSync(absolute)) found.add(absolute);
    else for await (const match of glob(absolute)) found.add(match);
  }
  return [...found].filter((file) => !exclude.some((pattern) => isExcluded(file, pattern))).toSorted();
}

/** A pattern without a slash matches the base name. */
function isExcluded(file: string, pattern: string): boolean {
  return pattern.includes('/')
    ? path.matchesGlob(file, path.resolve(pattern))
    : path.matchesGlob(path.basename(file), pattern);
}

/** Undefined when there is nothing, or nothing regular, at the path. Follows symbolic links. */
export async function look(file: string): Promise<Found | undefined> {
  let stats: BigIntStats;
  try {
    stats = await stat(file, { bigint: true });
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return undefined;
    throw error;
  }
  return stats.isFile() ? foundOf(file, stats) : undefined;
}

export function foundOf(file: string, stats: BigIntStats): Found {
  const stamp = { ino: String(stats.ino), birth: String(stats.birthtimeNs) };
  return { path: file, stamp, size: Number(stats.size), links: Number(stats.nlink), modified: stats.mtimeNs };
}

/**
 * Calls back soon after something happened to a path that matches, or next to it. Never the truth: events are lost,
 * merged and late; the sweep is what counts.
 */
export function watchPaths(
  globs: readonly string[],
  onEvent: (file: string) => void,
  onError: (error: unknown) => void,
): FSWatcher {
  const patterns = globs.map((pattern) => path.resolve(pattern));
  const watcher = watch([...new Set(patterns.map(baseOfGlob))], {
    ignoreInitial: true,
    // Directories are followed, of the files only those that a glob names.
    ignored: (file, stats) =>
      stats?.isFile() === true && !patterns.some((pattern) => path.matchesGlob(file, pattern)),
    alwaysStat: false,
    ...(patterns.some((pattern) => pattern.includes('**')) ? {} : { depth: deepest(patterns) }),
  });
  watcher.on('all', (_event, file) => {
    onEvent(path.resolve(file));
  });
  watcher.on('error', onError);
  return watcher;
}

/** The part of a glob before its first wildcard, as a directory. */
function baseOfGlob(pattern: string): string {
  const parts = pattern.split('/');
  const wild = parts.findIndex((part) => /[*?[\]{}()!]/.test(part));
  return parts.slice(0, wild < 0 ? -1 : wild).join('/') || '/';
}

function deepest(patterns: readonly string[]): number {
  return Math.max(
    ...patterns.map((pattern) => pattern.split('/').length - baseOfGlob(pattern).split('/').length - 1),
  );
}
