// What `logferry doctor` sees of this machine: directories, limits, memory. Reads only.

import { constants } from 'node:fs';
import { access, readdir, readFile, readlink, stat, statfs } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';

import { messageOf, systemCode } from '../../common/runtime/errors.ts';
import type { DirectoryFacts } from './judge-machine.ts';
import { isRemotePath } from '../../shipper/inspect.ts';

const ANSWER_MS = 1_000;

/** @param lock where a daemon that uses it has its lock, below it */
export async function lookAtDirectory(wanted: string, lock: string): Promise<DirectoryFacts> {
  const absolute = path.resolve(wanted);
  const found = await nearest(absolute);
  const stats = await stat(found, { bigint: true });
  const space = await statfs(found);
  return {
    wanted: absolute,
    found,
    isDirectory: stats.isDirectory(),
    refusal: stats.isDirectory() ? await refusalOf(found) : undefined,
    uid: Number(stats.uid),
    ownUid: process.geteuid?.() ?? 0,
    mode: Number(stats.mode) & 0o777,
    isRemote: await isRemotePath(found),
    hasBirthTimes: stats.birthtimeNs > 0n,
    freeBytes: space.bavail * space.bsize,
    totalBytes: space.blocks * space.bsize,
    freeInodes: space.ffree,
    totalInodes: space.files,
    isInUse: found === absolute ? await answers(path.join(absolute, lock)) : false,
  };
}

/** The directory, or the nearest above it that is there. */
async function nearest(directory: string): Promise<string> {
  try {
    await stat(directory);
    return directory;
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' || directory === '/') throw error;
    return await nearest(path.dirname(directory));
  }
}

async function refusalOf(directory: string): Promise<string | undefined> {
  try {
    await access(directory, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined) throw error;
    return code;
  }
}

/** Whether a living process has the lock (lockDirectory in common/runtime/files.ts); undefined where it cannot be seen. */
async function answers(socket: string): Promise<boolean | undefined> {
  return await new Promise((resolve) => {
    const connection = connect(socket);
    const end = (answer: boolean | undefined): void => {
      connection.destroy();
      resolve(answer);
    };
    connection.setTimeout(ANSWER_MS, () => {
      end(undefined);
    });
    connection.once('connect', () => {
      end(true);
    });
    connection.once('error', (error) => {
      const code = systemCode(error);
      end(code === 'ECONNREFUSED' || code === 'ENOENT' ? false : undefined);
    });
  });
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

/** Bytes that a process may still take before the system pages. */
export async function availableMemory(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8');
  return Number(/^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
}

async function namesIn(directory: string): Promise<string[]> {
  return (await readdir(directory).catch((error: unknown) => unlessSystem(error))) ?? [];
}

/** What ends or is not ours while it is looked at counts as not there. */
function unlessSystem(error: unknown): undefined {
  if (systemCode(error) === undefined) throw new Error(messageOf(error), { cause: error });
  return undefined;
}
