// Where central files lie: their directories, and the active file that becomes a segment when it is no longer written to.

import { mkdir, rename } from 'node:fs/promises';
import path from 'node:path';

import { messageOf, systemCode } from '../../common/runtime/errors.ts';
import { syncDirectory, unlinkIfThere } from '../../common/runtime/files.ts';
import { activeName, compressedName, type Format, segmentName } from '../ledger/names.ts';
import { type Access, directoryMode, giveDirectory } from './access.ts';
import { isThere, statIfThere } from './segments.ts';

/** Where one write lies. */
export interface Place {
  readonly inode: string;
  readonly from: number;
  readonly to: number;
}

/** What the active file is called from now on. */
export function rotatedName(destination: string, format: Format, index: number): string {
  const name = segmentName(path.basename(destination), new Date(), index);
  return format === 'plain' ? name : compressedName(name, format);
}

/** Makes an active file that nobody writes to a segment. The next sync makes that durable. */
export async function rotateAway(out: string, destination: string, format: Format): Promise<void> {
  const active = path.join(out, activeName(destination, format));
  const stats = await statIfThere(active);
  if (stats?.isFile() !== true) return;
  if (stats.size === 0n) {
    await unlinkIfThere(active);
    return;
  }
  const segment = (index: number): string =>
    path.join(path.dirname(active), rotatedName(destination, format, index));
  let index = 1;
  while (await isThere(segment(index))) index += 1;
  await rename(active, segment(index));
}

export async function removeIfThere(file: string): Promise<void> {
  await unlinkIfThere(file);
  await syncDirectory(path.dirname(file));
}

/** Creates the directories of a destination and makes each new entry durable. */
export async function makeDirectories(out: string, directory: string, access: Access): Promise<void> {
  // Mostly it is there: one look is enough.
  if (await isThere(path.join(out, directory))) return;
  let made = out;
  for (const name of directory.split('/').filter((part) => part !== '' && part !== '.')) {
    const parent = made;
    made = path.join(made, name);
    try {
      await mkdir(made, directoryMode(access));
    } catch (error) {
      if (systemCode(error) === 'EEXIST') continue;
      throw error;
    }
    await giveDirectory(made, access);
    await syncDirectory(parent);
  }
}

/** Whether an error says that a destination's plain place is taken by something of another kind, or is too deep. */
export function isPlaceTaken(error: unknown): boolean {
  const code = systemCode(error);
  return (
    code === 'ENOTDIR' ||
    code === 'EISDIR' ||
    code === 'EEXIST' ||
    code === 'ENAMETOOLONG' ||
    messageOf(error).includes('it is not a file')
  );
}
