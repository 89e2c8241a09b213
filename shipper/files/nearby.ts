// Directories to which a rotation may move a file: `olddir` of logrotate, an archive beside it.

import path from 'node:path';

import { readdir, stat } from './disk.ts';
import { isForbidden, systemCode } from '../../common/runtime/errors.ts';

/** More subdirectories than this are not looked through. */
const MOST = 64;

/** The subdirectories of a directory, the one above, and its subdirectories: those on the same file system. */
export async function nearby(directory: string): Promise<string[]> {
  const above = path.dirname(directory);
  const found = [...(await subdirectories(directory)), above, ...(await subdirectories(above))];
  const device = await deviceOf(directory);
  const same: string[] = [];
  for (const each of new Set(found))
    if (device !== undefined && (await deviceOf(each)) === device) same.push(each);
  return same;
}

async function subdirectories(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    const directories = entries.filter((entry) => entry.isDirectory());
    return directories.slice(0, MOST).map(({ name }) => path.join(directory, name));
  } catch (error) {
    if (isQuiet(error)) return [];
    throw error;
  }
}

async function deviceOf(directory: string): Promise<number | undefined> {
  try {
    return (await stat(directory)).dev;
  } catch (error) {
    if (isQuiet(error)) return undefined;
    throw error;
  }
}

/** Gone, or not for this user. */
function isQuiet(error: unknown): boolean {
  return systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR' || isForbidden(error);
}
