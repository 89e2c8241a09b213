// Watching: when to look, sooner than the sweep would. Never the truth: events are lost, merged and late, and where
// nothing can be watched the sweep alone finds everything. Watches directories only; a file costs no memory here.

import { readFileSync } from 'node:fs';
import path from 'node:path';

import { type FSWatcher, watch } from 'chokidar';

import { messageOf, systemCode } from '../../common/runtime/errors.ts';

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

/** Calls back until it is closed. */
export function watchPaths(options: WatchOptions): FSWatcher {
  const { globs, isShipped, isRemote, onWritten, onNamed, onChange, onError } = options;
  const patterns = globs.map((pattern) => path.resolve(pattern));
  const watcher = watch([...new Set(patterns.map(baseOfGlob))], {
    ignoreInitial: true,
    // A directory's own watch tells of its files. What is asked without stats was seen by one.
    ignored: (file, stats) =>
      stats === undefined ? isShipped(file) : stats.isFile() || isRemote(BigInt(stats.dev)),
    ...(patterns.some((pattern) => pattern.includes('**')) ? {} : { depth: deepest(patterns) }),
  });
  watcher.on('raw', (event, name, details) => {
    const { watchedPath } = details as { watchedPath: string };
    if (typeof name !== 'string') return;
    // Not joined: this is called for every write to every file in the directory.
    const file = watchedPath === '/' ? `/${name}` : `${watchedPath}/${name}`;
    if (event === 'change') onWritten(file);
    else if (isShipped(file) || patterns.some((pattern) => path.matchesGlob(file, pattern))) onNamed(file);
  });
  // Directories, and files behind symbolic links.
  watcher.on('all', (_event, file) => {
    onChange(path.resolve(file));
  });
  watcher.on('error', onError);
  return watcher;
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
