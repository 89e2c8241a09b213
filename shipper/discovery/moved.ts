// Files that the state knows under a path where nothing is any more: what holds them is mounted elsewhere now, or they
// were moved. Never opens a file.

import path from 'node:path';

import { readdir } from '../files/disk.ts';
import { type Found, inspect } from '../files/discover.ts';
import { type FileStamp, isRotationOf, keyOf } from '../files/identity.ts';
import type { GenerationState } from '../files/generation-state.ts';
import { namesIn } from '../../common/runtime/files.ts';

/** A directory that may not be listed cannot say where a file went. */
const MISSING_OR_CLOSED = ['ENOENT', 'ENOTDIR', 'EACCES'];

/** A path of the state, and where its files are now. */
export interface Moved {
  readonly from: string;
  readonly to: string;
}

/**
 * The files that go on what the state knows under another path with nothing at it: those that arrive under the same
 * name, and those of the same base name that are a generation of it, or stand beside one.
 */
export async function findMoved(
  sources: ReadonlyMap<string, readonly GenerationState[]>,
  files: ReadonlyMap<string, Found>,
  nameOf: (file: string) => string,
): Promise<Moved[]> {
  const news = [...files].filter(([file]) => !sources.has(file));
  if (news.length === 0) return [];
  const gone = new Map<string, boolean>();
  const isGone = async (file: string): Promise<boolean> => {
    const is = gone.get(file) ?? (await isNothingAt(file));
    gone.set(file, is);
    return is;
  };
  const byName = new Map([...sources.keys()].map((file) => [nameOf(file), file]));
  const byStamp = new Map<string, string>();
  for (const [file, entries] of sources) for (const entry of entries) byStamp.set(keyOf(entry), file);
  const baseNames = new Set([...sources.keys()].map((file) => path.basename(file)));
  const moved: Moved[] = [];
  for (const [to, { stamp }] of news) {
    const stamps = baseNames.has(path.basename(to)) ? [stamp, ...(await besides(to))] : [];
    const same = stamps
      .map((each) => byStamp.get(keyOf(each)))
      .find((file) => file !== undefined && path.basename(file) === path.basename(to));
    const from = byName.get(nameOf(to)) ?? same;
    if (from === undefined || moved.some((one) => one.from === from) || !(await isGone(from))) continue;
    moved.push({ from, to });
  }
  return moved;
}

/** The rotated files beside a path. */
async function besides(file: string): Promise<FileStamp[]> {
  const base = path.basename(file);
  const stamps: FileStamp[] = [];
  for (const name of await namesIn(path.dirname(file), MISSING_OR_CLOSED, readdir)) {
    if (!isRotationOf(base, name)) continue;
    const sight = await inspect(path.join(path.dirname(file), name), true);
    if (sight.kind === 'file') stamps.push(sight.found.stamp);
  }
  return stamps;
}

async function isNothingAt(file: string): Promise<boolean> {
  if ((await inspect(file, true)).kind !== 'nothing') return false;
  return !(await namesIn(path.dirname(file), MISSING_OR_CLOSED, readdir)).some((name) =>
    isRotationOf(path.basename(file), name),
  );
}
