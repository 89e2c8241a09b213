// Who may read the central files: the mode and the owner of what a receiver creates below its output directory. Its own
// state stays its own.

import { fchmodSync, fchownSync } from 'node:fs';
import { chmod, chown, open, unlink } from 'node:fs/promises';
import path from 'node:path';

import { LogferryError, messageOf, systemCode } from '../../common/runtime/errors.ts';
import { STATE_DIRECTORY } from '../ledger/names.ts';

export interface Access {
  /** Permission bits of files; undefined for 0640, or what a file has. */
  readonly mode?: number | undefined;
  /** Undefined for the user and group that this runs as. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
}

/** Readable by the group that reads logs. */
const FILE_MODE = 0o640;

export function fileMode(access: Access): number {
  return access.mode ?? FILE_MODE;
}

/** Those who may read files may look into directories: x where r is. */
export function directoryMode(access: Access): number {
  const mode = fileMode(access);
  return mode | ((mode & 0o444) >> 2);
}

/** Gives a file that was just opened what was asked for, whatever the umask says. Throws the system's error. */
export function giveFile(fd: number, access: Access): void {
  if (access.owner !== undefined) fchownSync(fd, access.owner.uid, access.owner.gid);
  if (access.mode !== undefined) fchmodSync(fd, access.mode);
}

/** The same for a directory that was just made. */
export async function giveDirectory(directory: string, access: Access): Promise<void> {
  if (access.owner !== undefined) await chown(directory, access.owner.uid, access.owner.gid);
  if (access.mode !== undefined) await chmod(directory, directoryMode(access));
}

/**
 * Gives an output directory that was made just now what its files get. Throws `failed` when this process may not give
 * files away as asked.
 */
export async function prepareOutput(out: string, access: Access, isNew: boolean): Promise<void> {
  if (access.owner !== undefined) await tryOwner(out, access.owner);
  if (isNew) await giveDirectory(out, access);
}

async function tryOwner(out: string, owner: { readonly uid: number; readonly gid: number }): Promise<void> {
  const probe = path.join(out, STATE_DIRECTORY, 'owner-probe');
  const handle = await open(probe, 'w', 0o600);
  try {
    await handle.chown(owner.uid, owner.gid);
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    throw new LogferryError(
      'failed',
      `cannot give files to --file-owner ${owner.uid}:${owner.gid}: ${messageOf(error)}`,
      'run as root, or give this user and one of its groups',
      { cause: error },
    );
  } finally {
    await handle.close();
    await unlink(probe);
  }
}
