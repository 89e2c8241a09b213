// What `logferry doctor` thinks of this machine. Pure.

import { formatBytes } from '../../common/text/units.ts';
import { failure, type Finding, ok, warning } from './finding.ts';
import { counted } from './judge-server.ts';

const LEAST_NODE = [22, 22] as const;

export function judgeNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > LEAST_NODE[0] || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1])
    ? ok(`Node ${version}`)
    : failure(`Node ${version}`, `logferry needs ${LEAST_NODE.join('.')} or newer`);
}

/** A busy shipper peaks below 200 MB, a receiver below 250 MB (docs/performance.md). */
const NEEDED_BYTES = 300 * 1024 * 1024;

/** @param limit of the control group; undefined for none */
export function judgeMemory(available: number, limit: number | undefined): Finding {
  const says = `${formatBytes(available)} of memory available${limit === undefined ? '' : `, limited to ${formatBytes(limit)}`}`;
  return Math.min(available, limit ?? available) < NEEDED_BYTES
    ? warning(
        says,
        `a busy daemon takes up to ${formatBytes(NEEDED_BYTES)}: give it more, or it may be killed`,
      )
    : ok(says);
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

/** What a daemon keeps beside its files. */
const SHIPPER_RESERVED = 96;
const RECEIVER_RESERVED = 256;

/** @param files that a shipper would keep open, undefined without one; `destinations` the same of a receiver */
export function judgeDescriptors(
  limit: number,
  files: number | undefined,
  destinations: number | undefined,
): Finding {
  const raise = 'raise it with ulimit -n, or LimitNOFILE= of the service';
  const says = `${limit === Number.POSITIVE_INFINITY ? 'any number of' : limit} descriptors for a process`;
  if (files !== undefined && files + SHIPPER_RESERVED > limit)
    return warning(
      `${says}, and ${files} files`,
      `those written to least recently are closed in turns: ${raise}`,
    );
  if (destinations !== undefined && 2 * destinations + RECEIVER_RESERVED > limit)
    return warning(
      `${says}, and ${destinations} destinations`,
      `each takes two, and is opened for each write beyond that: ${raise}`,
    );
  return ok(says);
}
