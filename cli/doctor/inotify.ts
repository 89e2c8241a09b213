// Whether all directories of a shipper can be watched. Reads only.

import { readFile, stat, readdir, readlink } from 'node:fs/promises';

import { type Finding, skipped, warning, ok } from './finding.ts';
import type { Look } from './look.ts';
import { systemCode, messageOf } from '../../common/runtime/errors.ts';
import { filesOf } from './files.ts';

/** Whether all directories can be watched. */
export async function inotify(look: Look): Promise<Finding | undefined> {
  if ((look.plan.shipper?.sources.length ?? 0) === 0) return undefined;
  const maxWatches = await inotifyLimit('max_user_watches');
  const maxInstances = await inotifyLimit('max_user_instances');
  if (maxWatches === undefined || maxInstances === undefined) return skipped('this kernel has no inotify');
  const { directories } = await filesOf(look);
  return judgeInotify({ maxWatches, maxInstances, directories, instances: await inotifyInstances() });
}

/** What inotify allows a user, and how much of it is taken. */
export interface InotifyFacts {
  readonly maxWatches: number;
  readonly maxInstances: number;
  /** Directories that the globs would have watched, one watch each. */
  readonly directories: number;
  /** Instances that this user's processes have now, as far as they can be seen. */
  readonly instances: number;
}

/** A shipper has one instance, and a watch for each directory. */
export function judgeInotify({ maxWatches, maxInstances, directories, instances }: InotifyFacts): Finding {
  const slower = 'without it changes are found by looking every few seconds';
  if (directories > maxWatches)
    return warning(
      `${directories} directories to watch, and ${maxWatches} watches`,
      `sysctl fs.inotify.max_user_watches=${roundedUp(2 * directories)}; ${slower}`,
    );
  if (instances >= maxInstances)
    return warning(
      `all ${maxInstances} inotify instances of this user are taken`,
      `sysctl fs.inotify.max_user_instances=${roundedUp(2 * maxInstances)}; ${slower}`,
    );
  const what = directories === 1 ? 'one directory' : `${directories} directories`;
  return ok(`${what} to watch, ${maxWatches} may be`);
}

function roundedUp(value: number): number {
  return 2 ** Math.ceil(Math.log2(value));
}

/** Undefined where the kernel has none. */
export async function inotifyLimit(
  name: 'max_user_watches' | 'max_user_instances',
): Promise<number | undefined> {
  try {
    return Number((await readFile(`/proc/sys/fs/inotify/${name}`, 'utf8')).trim());
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
}

/** How many inotify instances this user's processes have, of those that may be looked at. */
export async function inotifyInstances(): Promise<number> {
  let count = 0;
  const uid = process.geteuid?.() ?? 0;
  for (const pid of (await namesIn('/proc')).filter((name) => /^\d+$/.test(name))) {
    const owner = await stat(`/proc/${pid}`).catch((error: unknown) => unlessSystem(error));
    if (owner?.uid !== uid) continue;
    for (const fd of await namesIn(`/proc/${pid}/fd`)) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch((error: unknown) => unlessSystem(error));
      if (target === 'anon_inode:inotify') count += 1;
    }
  }
  return count;
}

async function namesIn(directory: string): Promise<string[]> {
  return (await readdir(directory).catch((error: unknown) => unlessSystem(error))) ?? [];
}

/** What ends or is not ours while it is looked at counts as not there. */
function unlessSystem(error: unknown): undefined {
  if (systemCode(error) === undefined) throw new Error(messageOf(error), { cause: error });
  return undefined;
}
