// In place of common/runtime/files.ts: what a shipper keeps lies in the file system in memory too.

import path from 'node:path';

import * as real from '../../../common/runtime/files.ts';
import { open } from './disk.ts';
import { fileSystem } from './file-system.ts';

export { deleted, namesIn, readFully, tolerateMissing, workIn } from '../../../common/runtime/files.ts';
export type { Lock } from '../../../common/runtime/files.ts';

export async function syncDirectory(_directory: string): Promise<void> {}

export async function writeFileDurably(file: string, data: string | Uint8Array): Promise<void> {
  const beside = await writeBeside(file, data);
  fileSystem().rename(beside, file);
}

export async function writeBeside(file: string, data: string | Uint8Array): Promise<string> {
  const temporary = `${file}.tmp`;
  const handle = await open(temporary, 'w');
  await handle.writeFile(data);
  await handle.sync();
  await handle.close();
  return temporary;
}

export async function readIfThere(file: string): Promise<string | undefined> {
  await open(path.dirname(file)).then(async (handle) => await handle.close(), real.tolerateMissing);
  return fileSystem().find(file, true)?.bytes.toString();
}

export async function setAside(file: string): Promise<string> {
  const aside = `${file}.corrupt`;
  fileSystem().rename(file, aside);
  return await Promise.resolve(aside);
}

export async function ensureDirectory(directory: string, _what: string): Promise<void> {
  await Promise.resolve();
  if (fileSystem().find(directory, true) === undefined) fileSystem().make(directory, 'directory');
}

export async function unlinkIfThere(file: string): Promise<void> {
  await Promise.resolve();
  if (fileSystem().find(file, false) !== undefined) fileSystem().unlink(file);
}

/** One shipper at a time: the player sees to that. */
export async function lockDirectory(_directory: string, _name: string): Promise<real.Lock> {
  return await Promise.resolve({ release: async () => {} });
}
