// What is at a path: the stat of what expand.ts matches. Opens nothing.

import path from 'node:path';

import { type BigIntStats, lstat, readlink, realpath, stat, statSync } from './disk.ts';
import { systemCode } from '../../common/runtime/errors.ts';
import { birthOf } from './births.ts';
import type { FileStamp } from './identity.ts';

/** The clock, as births are told: in nanoseconds since 1970. */
export function now(): bigint {
  return nanosOf(Date.now());
}

/** Milliseconds as births are told. */
export function nanosOf(ms: number): bigint {
  return BigInt(ms) * 1_000_000n;
}

/** The other way round. */
export function msOf(nanos: bigint): number {
  return Number(nanos / 1_000_000n);
}

/** A regular file as it is now. */
export interface Found {
  readonly path: string;
  readonly stamp: FileStamp;
  readonly size: number;
  readonly links: number;
  /** Last modification, in nanoseconds since 1970. */
  readonly modified: bigint;
  /** Number of the device that it is on. */
  readonly device: bigint;
}

/** What is at a path: a regular file, nothing (yet), or what cannot be shipped. */
export type Sight =
  | { readonly kind: 'file'; readonly found: Found }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'directory' }
  /** Its name is not UTF-8: no path that a program writes leads there. */
  | { readonly kind: 'unnameable' }
  /** `what` it is, and what to do about it. */
  | { readonly kind: 'other'; readonly what: string; readonly hint: string };

/** Looks, and opens nothing: opening a FIFO would wait for its writer. */
export async function inspect(file: string, followSymlinks: boolean): Promise<Sight> {
  try {
    const own = await lstat(file, { bigint: true });
    if (!own.isSymbolicLink()) return sightOf(file, own);
    if (!followSymlinks)
      return { kind: 'other', what: 'a symbolic link', hint: 'leave out --no-follow-symlinks to ship it' };
    return sightOf(file, await stat(file, { bigint: true }));
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ELOOP')
      return { kind: 'other', what: 'a symbolic link that goes in a circle', hint: 'mend or remove it' };
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    return { kind: file.includes('\uFFFD') ? 'unnameable' : 'nothing' };
  }
}

function sightOf(file: string, stats: BigIntStats): Sight {
  if (stats.isFile()) return { kind: 'file', found: foundOf(file, stats) };
  if (stats.isDirectory()) return { kind: 'directory' };
  const hint = 'only regular files are shipped';
  if (stats.isFIFO())
    return { kind: 'other', what: 'a FIFO', hint: `${hint}; read it with: logferry ship - --as <path>` };
  return { kind: 'other', what: stats.isSocket() ? 'a socket' : 'a device', hint };
}

/** Undefined when there is nothing, or nothing regular, at the path. Follows symbolic links. */
export async function look(file: string): Promise<Found | undefined> {
  const sight = await inspect(file, true);
  return sight.kind === 'file' ? sight.found : undefined;
}

/** As many links as the system follows. */
const MOST_LINKS = 40;

/** The path itself, and each one that symbolic links lead on to, whether or not anything is at the last one. */
export async function linksFrom(file: string): Promise<string[]> {
  const files = [file];
  for (let at = file; files.length <= MOST_LINKS; files.push(at)) {
    const target = await readlink(at).catch(() => undefined);
    if (target === undefined) break;
    const directory = path.dirname(at);
    at = path.resolve(await realpath(directory).catch(() => directory), target);
  }
  return files;
}

/** The directory that a path leads to, null where it is the one that it says, and where nobody knows. */
export async function directoryOf(file: string): Promise<string | null> {
  const directory = path.dirname(file);
  const real = await realpath(directory).catch(() => directory);
  return real === directory ? null : real;
}

/** The same at once, for a file system that answers; undefined also when the system refuses. */
export function lookNow(file: string): Found | undefined {
  try {
    const stats = statSync(file, { bigint: true, throwIfNoEntry: false });
    return stats?.isFile() === true ? foundOf(file, stats) : undefined;
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
}

export function foundOf(file: string, stats: BigIntStats): Found {
  const { size, nlink, mtimeNs: modified, dev: device } = stats;
  const birth = birthOf(stats.birthtimeNs);
  const stamp = {
    ino: String(stats.ino),
    birth: String(birth),
    device: birth === 0n ? String(device) : '',
  };
  return { path: file, stamp, size: Number(size), links: Number(nlink), modified, device };
}
