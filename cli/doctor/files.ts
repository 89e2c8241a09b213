// What the globs of a shipper match, and whether this user may read it; how many directories they have watched. Opens
// nothing.

import { constants } from 'node:fs';
import { access, opendir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';

import { type Finding, warning, failure, ok, counted } from './finding.ts';
import type { Look } from './look.ts';
import { systemCode } from '../../common/runtime/errors.ts';
import type { SourceOptions } from '../../shipper/options.ts';
import { baseOfGlob, closedDirectories, expand, inspect, isRemotePath } from '../../shipper/inspect.ts';

/** What the globs match, and whether this user may read it. */
export async function files(look: Look): Promise<Finding | undefined> {
  if ((look.plan.shipper?.sources.length ?? 0) === 0) return undefined;
  return judgeFiles(await filesOf(look));
}

/** What the globs of the shipper match, seen once for all checks. */
export async function filesOf(look: Look): Promise<FilesLook> {
  const { sources = [] } = look.plan.shipper ?? {};
  return await look.once('files', async () => await lookAtFiles(sources, look.signal));
}

/** What the globs of a shipper match. */
export interface FilesFacts {
  readonly globs: readonly string[];
  readonly files: number;
  /** Those that this user may not read, with their group's name. */
  readonly unreadable: readonly { readonly path: string; readonly group: string | undefined }[];
  /** What is no regular file. */
  readonly others: number;
  /** Directories on the way that this user may not list. */
  readonly closed: readonly string[];
  readonly hasBirthTimes: boolean;
  readonly remote: readonly string[];
}

export interface FilesLook extends FilesFacts {
  /** To watch, one watch each. */
  readonly directories: number;
}

export function judgeFiles(of: FilesFacts): Finding {
  const [closed] = of.closed;
  if (closed !== undefined) return failure(`${closed} may not be listed by this user`, CAPABILITY);
  const [first] = of.unreadable;
  if (first !== undefined) {
    const more = of.unreadable.length === 1 ? '' : ` and ${of.unreadable.length - 1} more`;
    const group = first.group === undefined ? '' : `add this user to group ${first.group}, or `;
    return failure(`${first.path}${more} may not be read by this user`, `${group}${CAPABILITY}`);
  }
  if (of.files === 0)
    return warning(
      `no file matches ${of.globs.join(' ')}`,
      'check the path, and quote the glob so that the shell leaves it alone',
    );
  const says = `${counted(of.files, 'file')} to ship, all readable`;
  const [remote] = of.remote;
  if (remote !== undefined)
    return warning(
      `${says}; ${remote} is on a remote file system`,
      'nothing there is watched: changes are seen within 10 seconds, and a rotation while nothing looks may be missed',
    );
  if (!of.hasBirthTimes)
    return warning(
      `${says}, on a file system without birth times`,
      'a reused inode is told apart by its content only (design.md §8): a local ext4, xfs or btrfs has them',
    );
  return ok(says);
}

const CAPABILITY =
  'give the daemon CAP_DAC_READ_SEARCH (AmbientCapabilities= of its unit, as in deploy/systemd)';

/** More are not counted: that many need no doctor to be too many. */
const MOST_DIRECTORIES = 1_000_000;
const MOST_NAMED = 100;

export async function lookAtFiles(
  sources: readonly SourceOptions[],
  signal: AbortSignal,
): Promise<FilesLook> {
  const globs = sources.flatMap((source) => source.globs);
  const bases = [...new Set(globs.map(baseOfGlob))];
  const unreadable: { path: string; group: string | undefined }[] = [];
  let [files, others, hasBirthTimes] = [0, 0, true];
  for (const [file, { source }] of await expand(sources)) {
    if (signal.aborted) break;
    const sight = await sightOf(file, source.followSymlinks);
    if (sight === undefined) {
      unreadable.push({ path: file, group: undefined });
      continue;
    }
    if (sight.kind === 'other' || sight.kind === 'unnameable') others += 1;
    if (sight.kind !== 'file') continue;
    files += 1;
    if (sight.found.stamp.birth === '0') hasBirthTimes = false;
    if (unreadable.length < MOST_NAMED && !(await may(file, constants.R_OK)))
      unreadable.push({ path: file, group: await groupOf(file) });
  }
  const closed = new Set<string>();
  const remote: string[] = [];
  for (const base of bases) {
    const closedAt = await firstClosed(base);
    if (closedAt !== undefined) closed.add(closedAt);
    if (await isRemotePath(base)) remote.push(base);
  }
  // Behind those on the way to where a glob begins: they have to be opened first.
  for (const directory of (await closedDirectories(sources)).keys()) closed.add(directory);
  const directories = await countDirectories(globs, signal);
  return { globs, files, unreadable, others, closed: [...closed], hasBirthTimes, remote, directories };
}

/** Undefined for what this user may not look at. */
async function sightOf(
  file: string,
  followSymlinks: boolean,
): Promise<Awaited<ReturnType<typeof inspect>> | undefined> {
  try {
    return await inspect(file, followSymlinks);
  } catch (error) {
    if (systemCode(error) === 'EACCES') return undefined;
    throw error;
  }
}

async function may(file: string, mode: number): Promise<boolean> {
  try {
    await access(file, mode);
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EACCES' || code === 'EPERM') return false;
    if (code === 'ENOENT' || code === 'ENOTDIR') return true;
    throw error;
  }
}

/** The name of the group that may read it; undefined where that would not help. */
async function groupOf(file: string): Promise<string | undefined> {
  const { gid, mode } = await stat(file);
  if ((mode & 0o040) === 0) return undefined;
  const groups = await readFile('/etc/group', 'utf8').catch(() => '');
  const line = groups.split('\n').find((one) => one.split(':')[2] === String(gid));
  return line?.split(':')[0] ?? String(gid);
}

/** The first directory on the way to one that this user may not enter or list. */
async function firstClosed(directory: string): Promise<string | undefined> {
  const parts = directory.split('/').filter((part) => part !== '');
  for (let length = 0; length <= parts.length; length += 1) {
    const above = `/${parts.slice(0, length).join('/')}`;
    const needed = length === parts.length ? constants.R_OK | constants.X_OK : constants.X_OK;
    if (!(await may(above, needed))) return above;
  }
  return undefined;
}

/** As shipper/discovery/watch.ts has them watched: from where a glob has no wildcard yet, as deep as it goes. */
async function countDirectories(globs: readonly string[], signal: AbortSignal): Promise<number> {
  const depths = new Map<string, number>();
  for (const glob of globs) {
    const base = baseOfGlob(glob);
    const parts = path.resolve(glob).split('/').length - (base === '/' ? 1 : base.split('/').length);
    const depth = glob.includes('**') ? Number.POSITIVE_INFINITY : parts - 1;
    depths.set(base, Math.max(depth, depths.get(base) ?? 0));
  }
  const seen = new Set<string>();
  const queue = [...depths];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const [directory, depth] = next;
    if (signal.aborted || seen.size >= MOST_DIRECTORIES) break;
    if (seen.has(directory) && depth !== Number.POSITIVE_INFINITY) continue;
    for (const below of await directoriesIn(directory, seen)) if (depth > 0) queue.push([below, depth - 1]);
  }
  return seen.size;
}

async function directoriesIn(directory: string, seen: Set<string>): Promise<string[]> {
  try {
    const found: string[] = [];
    for await (const entry of await opendir(directory))
      if (entry.isDirectory()) found.push(path.join(directory, entry.name));
    seen.add(directory);
    return found;
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return [];
  }
}
