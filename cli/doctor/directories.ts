// A directory that a daemon writes to: whether it can, whose it is, and how much room there is. Reads only.

import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { connect } from 'node:net';

import { type Finding, warning, failure, ok } from './finding.ts';
import { formatBytes } from '../../common/text/units.ts';
import { systemCode } from '../../common/runtime/errors.ts';
import { isRemotePath } from '../../shipper/inspect.ts';

/** A directory that a daemon would write to; undefined where none is given. */
export async function directory(
  flag: string,
  wanted: string | undefined,
  lock: string,
): Promise<Finding | undefined> {
  return wanted === undefined ? undefined : judgeDirectory(flag, await lookAtDirectory(wanted, lock));
}

/** The room on its file system. */
export async function space(flag: string, wanted: string | undefined): Promise<Finding | undefined> {
  return wanted === undefined ? undefined : judgeSpace(flag, await lookAtDirectory(wanted, 'lock'));
}

/** A directory that a daemon writes to; of one that is not there yet, the nearest above it. */
export interface DirectoryFacts {
  /** As it was given, and what was looked at. */
  readonly wanted: string;
  readonly found: string;
  readonly isDirectory: boolean;
  /** Undefined when it may be written to; else the system's word for why not. */
  readonly refusal: string | undefined;
  readonly uid: number;
  readonly ownUid: number;
  /** Permission bits. */
  readonly mode: number;
  readonly isRemote: boolean;
  readonly hasBirthTimes: boolean;
  readonly freeBytes: number;
  readonly totalBytes: number;
  readonly freeInodes: number;
  /** 0 where the file system has no fixed number. */
  readonly totalInodes: number;
  /** Undefined where that cannot be seen. */
  readonly isInUse: boolean | undefined;
}

const LEAST_FREE = 64 * 1024 * 1024;
const SHARE_FREE = 0.05;
const SHARE_INODES = 0.02;
/** Others may write. */
const OTHERS_WRITE = 0o002;

/** @param flag that it was given by */
export function judgeDirectory(flag: string, of: DirectoryFacts): Finding {
  const where = `${flag} ${of.wanted}`;
  if (!of.isDirectory) return failure(`${where}: ${of.found} is no directory`, `give another ${flag}`);
  if (of.refusal !== undefined)
    return failure(
      `${where}: ${of.found} is not writable (${of.refusal})`,
      `make it writable for this user, or give another ${flag}`,
    );
  if (of.isRemote)
    return warning(
      `${where} is on a remote file system`,
      'the lock that keeps a second daemon out does not hold there, and inodes may not stay: use a local disk',
    );
  const isThere = of.found === of.wanted;
  if (isThere && of.uid !== of.ownUid)
    return warning(
      `${where} belongs to user ${of.uid}, this is ${of.ownUid}`,
      'run as the user that the daemon runs as, or chown it',
    );
  if (isThere && (of.mode & OTHERS_WRITE) !== 0)
    return warning(
      `${where} may be written to by everybody (mode ${of.mode.toString(8)})`,
      `run chmod o-w ${of.wanted}`,
    );
  const state = !isThere
    ? 'will be made'
    : of.isInUse === true
      ? 'is in use by a running logferry'
      : 'is writable';
  return ok(`${where} ${state}`);
}

export function judgeSpace(flag: string, of: DirectoryFacts): Finding {
  const says = `${formatBytes(of.freeBytes)} of ${formatBytes(of.totalBytes)} free for ${flag}`;
  if (of.freeBytes < LEAST_FREE) return failure(says, 'make room there');
  if (of.totalInodes > 0 && of.freeInodes === 0)
    return failure(`${says}, but no inode`, 'remove small files there');
  if (of.freeBytes < SHARE_FREE * of.totalBytes)
    return warning(says, 'make room there, or let receive remove old segments (--keep-total)');
  if (of.totalInodes > 0 && of.freeInodes < SHARE_INODES * of.totalInodes)
    return warning(`${says}, but ${of.freeInodes} inodes`, 'remove small files there');
  return ok(says);
}

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
