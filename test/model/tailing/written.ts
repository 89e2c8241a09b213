// In place of test/faults/tailing/files.ts: whoever writes logs, rotates, copies and compresses them does so in memory.

import { gzipSync } from 'node:zlib';

import { clock } from './clock.ts';
import { openNow, statSync } from './disk.ts';
import { fileSystem } from './file-system.ts';

export { statSync };

/** The longest that a step of a program takes, in milliseconds. */
const STEP_MS = 20;

export const openSync = (file: string, flags: string): number => openNow(file, flags);
export const closeSync = (fd: number): void => {
  fileSystem().close(fd);
};
export const existsSync = (file: string): boolean => fileSystem().find(file, true) !== undefined;
export const readFileSync = (file: string): Buffer =>
  Buffer.from(fileSystem().need(file, true, 'open').bytes);
export const renameSync = (from: string, to: string): void => {
  fileSystem().rename(from, to);
};
export const unlinkSync = (file: string): void => {
  fileSystem().unlink(file);
};

export function symlinkSync(target: string, file: string): void {
  fileSystem().make(file, 'link').target = target;
}

export function writeSync(
  fd: number,
  data: Uint8Array,
  offset = 0,
  length = data.length,
  position?: number,
): number {
  return fileSystem().write(fd, data.subarray(offset, offset + length), position);
}

export function truncateSync(file: string, size: number): void {
  fileSystem().truncate(fileSystem().need(file, true, 'truncate'), size, file);
}

export function writeFileSync(file: string, data: string | Uint8Array): void {
  write(file, 'w', Buffer.from(data as string));
}

export function appendFileSync(file: string, data: Uint8Array): void {
  write(file, 'a', data);
}

function write(file: string, flags: string, data: Uint8Array): void {
  const fd = openNow(file, flags);
  fileSystem().write(fd, data);
  fileSystem().close(fd);
}

export function copyFileSync(from: string, to: string): void {
  writeFileSync(to, readFileSync(from));
}

/** Piece by piece, and others may look meanwhile. */
async function writeSlowly(file: string, data: Uint8Array): Promise<void> {
  const fd = openNow(file, 'w');
  const middle = Math.floor(data.length / 2);
  for (const piece of [data.subarray(0, middle), data.subarray(middle)]) {
    await clock.latency(fileSystem().options.random, STEP_MS);
    fileSystem().write(fd, piece);
  }
  await clock.latency(fileSystem().options.random, STEP_MS);
  fileSystem().close(fd);
}

export async function copyFile(from: string, to: string): Promise<void> {
  await writeSlowly(to, readFileSync(from));
}

/** As gzip does it: the new file gets the time of the old one at last, and then that one goes. */
export async function gzip(file: string): Promise<void> {
  const { changedMs } = fileSystem().need(file, true, 'open');
  await gzipTo(file, `${file}.gz`);
  fileSystem().need(`${file}.gz`, true, 'utimes').changedMs = changedMs;
  await clock.latency(fileSystem().options.random, STEP_MS);
  unlinkSync(file);
}

/** Without the time of the original, which stays. */
export async function gzipTo(file: string, to: string): Promise<void> {
  await writeSlowly(to, gzipSync(readFileSync(file)));
}
