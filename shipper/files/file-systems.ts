// Which file systems are somewhere else: a look there may take for ever, and nothing tells when a file changes.

import { statfs } from './disk.ts';
import { systemCode } from '../../common/runtime/errors.ts';
import type { Found } from './discover.ts';

/** By the type that statfs(2) gives, from linux/magic.h and the file systems' own headers. */
const REMOTE = new Set([
  0x6969, // nfs
  0xff534d42, // cifs
  0xfe534d42, // smb2 and newer
  0x517b, // smb
  0x01021997, // 9p
  0x65735546, // fuse: sshfs, s3fs, virtiofs, glusterfs
  0x00c36400, // ceph
  0x5346414f, // afs
  0x6b414653, // kafs
  0x73757245, // coda
  0x0bd00bd0, // lustre
  0x01161970, // gfs2
  0x7461636f, // ocfs2
  0x47504653, // gpfs
  0x19830326, // beegfs
  0x20030528, // orangefs
  0x786f4256, // vboxsf
  0xbacbacbc, // vmhgfs
]);

/** Whether the type of a file system says that other machines may change it, and that it may not answer. */
export function isRemoteType(type: number): boolean {
  // A 32-bit kernel's types are signed.
  return REMOTE.has(type >>> 0);
}

/** Whether the file system of a path is remote; that of a path that is not there is taken for local. */
export async function isRemotePath(file: string): Promise<boolean> {
  try {
    return isRemoteType((await statfs(file)).type);
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return false;
  }
}

/** What is known of the file systems that files were found on, by their device numbers. */
export class FileSystems {
  readonly #remote = new Map<bigint, boolean>();

  /** Asks once for each device. */
  async learn({ path, device }: Found): Promise<void> {
    if (!this.#remote.has(device)) this.#remote.set(device, await isRemotePath(path));
  }

  /** One that nobody has asked about does not count. */
  isKnownRemote(device: bigint): boolean {
    return this.#remote.get(device) ?? false;
  }

  /** One that nobody has asked about counts as remote: it may not answer. */
  isRemote(device: bigint): boolean {
    return this.#remote.get(device) ?? true;
  }
}
