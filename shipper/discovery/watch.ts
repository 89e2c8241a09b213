// Watching: when to look, sooner than the sweep would. Never the truth: events are lost, merged and late, and where
// nothing can be watched the sweep alone finds everything. Watches directories only; a file costs no memory here.

import { readFileSync } from 'node:fs';
import path from 'node:path';

import { watch } from 'chokidar';

import { messageOf, systemCode } from '../../common/runtime/errors.ts';
import { Directories } from './directories.ts';

export interface WatchOptions {
  readonly globs: readonly string[];
  /** Whether a file is shipped already: known to be one, it is not looked at here. */
  readonly isShipped: (file: string) => boolean;
  /** Whether a device is of a file system that is somewhere else. */
  readonly isRemote: (device: bigint) => boolean;
  /** A file that is shipped was written to, or its mode has changed. */
  readonly onWritten: (file: string) => void;
  /** Something came, went or was renamed under a name that is shipped, or that a glob matches. */
  readonly onNamed: (file: string) => void;
  /** A directory came or went, or something behind a symbolic link. */
  readonly onChange: (file: string) => void;
  readonly onError: (error: unknown) => void;
}

/** How often directories, and what links lead to, are looked at: what inotify tells comes at once. */
const POLL_MS = 1_000;

export interface Watching {
  readonly close: () => Promise<void>;
}

/**
 * Calls back until it is closed. chokidar finds out which directories and links there are, and looks at them each second;
 * inotify tells of writes and names in them. chokidar by events costs much more: 900 appends a second 4.2 % of a core, inotify
 * alone 1.2 %, and each new file in a directory of 2,000 makes it ask for all of them.
 */
export function watchPaths(options: WatchOptions): Watching {
  const { globs, isShipped, isRemote, onWritten, onNamed, onChange, onError } = options;
  const patterns = globs.map((pattern) => path.resolve(pattern));
  const roots = [...new Set(patterns.map(baseOfGlob))];
  const depth = patterns.some((pattern) => pattern.includes('**'))
    ? Number.POSITIVE_INFINITY
    : deepest(patterns);
  const directories = new Directories({
    depth,
    isRemote,
    onWritten,
    onNamed: (file) => {
      if (isShipped(file) || patterns.some((pattern) => path.matchesGlob(file, pattern))) onNamed(file);
    },
    onChange,
    onError,
  });
  const watcher = watch(roots, {
    ignoreInitial: true,
    usePolling: true,
    interval: POLL_MS,
    binaryInterval: POLL_MS,
    // A directory's own watch tells of its files.
    ignored: (file, stats) =>
      stats === undefined ? isShipped(file) : stats.isFile() || isRemote(BigInt(stats.dev)),
    ...(Number.isFinite(depth) ? { depth } : {}),
  });
  // Directories, and files behind symbolic links.
  watcher.on('all', (event, name) => {
    const changed = path.resolve(name);
    if (event === 'unlinkDir') directories.remove(changed);
    if (event === 'addDir') void directories.add(changed, levelBelow(roots, changed));
    if (event === 'add' || event === 'change') void directories.follow(changed);
    onChange(changed);
  });
  watcher.on('error', onError);
  for (const root of roots) void directories.add(root);
  return {
    close: async () => {
      directories.close();
      await watcher.close();
    },
  };
}

/** How many levels a directory is below the root that it belongs to. */
function levelBelow(roots: readonly string[], directory: string): number {
  const levels = roots
    .filter((root) => directory === root || directory.startsWith(root === '/' ? '/' : `${root}/`))
    .map((root) => directory.split('/').length - (root === '/' ? 1 : root.split('/').length));
  return Math.min(...levels);
}

/** What to do about an error of the system's; inotify(7) names the limits. */
export function whyNotWatched(error: unknown): string {
  const code = systemCode(error);
  const limit = code === 'ENOSPC' ? 'max_user_watches' : code === 'EMFILE' ? 'max_user_instances' : undefined;
  if (limit === undefined) return messageOf(error);
  const what = code === 'ENOSPC' ? 'watches' : 'instances';
  return `the limit of inotify ${what} is reached: raise it with sysctl fs.inotify.${limit} (now ${valueOf(limit)})`;
}

function valueOf(limit: string): string {
  try {
    return readFileSync(`/proc/sys/fs/inotify/${limit}`, 'utf8').trim();
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return 'unknown';
  }
}

/** The part of a glob before its first wildcard, as a directory. */
export function baseOfGlob(glob: string): string {
  const pattern = path.resolve(glob);
  const parts = pattern.split('/');
  const wild = parts.findIndex((part) => /[*?[\]{}()!]/.test(part));
  return parts.slice(0, wild < 0 ? -1 : wild).join('/') || '/';
}

function deepest(patterns: readonly string[]): number {
  return Math.max(
    ...patterns.map((pattern) => pattern.split('/').length - baseOfGlob(pattern).split('/').length - 1),
  );
}
