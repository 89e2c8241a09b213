// In place of shipper/files/disk.ts: the same calls, over the file system in memory. Each takes a while, in which others may
// come; and none comes back to who was killed.

import path from 'node:path';

import { clock } from './clock.ts';
import { failure, fileSystem, type Inode, type Stats } from './file-system.ts';

export { constants } from 'node:fs';
export type { BigIntStats } from 'node:fs';
export type { FileHandle } from 'node:fs/promises';

/** The longest that most calls take, in milliseconds. */
const CALL_MS = 0.5;

interface Asks {
  readonly bigint?: boolean;
  readonly throwIfNoEntry?: boolean;
}

async function later<T>(call: () => T): Promise<T> {
  await clock.latency(fileSystem().options.random, CALL_MS);
  return call();
}

function told(stats: Stats, { bigint }: Asks = {}): unknown {
  return bigint === true ? stats : stats.plain;
}

function statOf(file: string, follows: boolean, asks: Asks | undefined): unknown {
  if (asks?.throwIfNoEntry === false && fileSystem().find(file, follows) === undefined) return undefined;
  return told(fileSystem().stats(fileSystem().need(file, follows, 'stat')), asks);
}

export const statSync = (file: string, asks?: Asks): unknown => statOf(file, true, asks);
export const lstatSync = (file: string, asks?: Asks): unknown => statOf(file, false, asks);
export const stat = async (file: string, asks?: Asks): Promise<unknown> =>
  await later(() => statOf(file, true, asks));
export const lstat = async (file: string, asks?: Asks): Promise<unknown> =>
  await later(() => statOf(file, false, asks));

export function fstatSync(fd: number, asks?: Asks): unknown {
  return told(fileSystem().stats(fileSystem().descriptor(fd).inode), asks);
}

export function readSync(
  fd: number,
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number,
): number {
  return fileSystem().read(fd, buffer, offset, length, position);
}

export function readlinkSync(file: string): string {
  const own = /^\/proc\/self\/fd\/(\d+)$/.exec(file)?.[1];
  if (own !== undefined) return fileSystem().nameOf(Number(own));
  const inode = fileSystem().need(file, false, 'readlink');
  if (inode.kind !== 'link') throw failure('EINVAL', 'readlink', file);
  return inode.target;
}

export const readlink = async (file: string): Promise<string> => await later(() => readlinkSync(file));
export const realpath = async (file: string): Promise<string> => await later(() => fileSystem().real(file));
export const statfs = async (_file: string): Promise<{ type: number }> =>
  await later(() => ({ type: fileSystem().options.type }));

export async function readdir(file: string, asks?: { withFileTypes?: boolean }): Promise<unknown[]> {
  return await later(() => {
    const { entries } = fileSystem().directory(file, 'scandir');
    const entryOf = ([name, inode]: [string, Inode]): unknown => ({
      name,
      isDirectory: () => inode.kind === 'directory',
      isFile: () => inode.kind === 'file',
    });
    return asks?.withFileTypes === true ? [...entries].map(entryOf) : [...entries.keys()];
  });
}

export async function opendir(file: string): Promise<{ close: () => Promise<void> }> {
  await later(() => fileSystem().directory(file, 'opendir'));
  return { close: async () => {} };
}

export async function* glob(
  pattern: string,
  { exclude }: { exclude: (file: string) => boolean },
): AsyncGenerator<string> {
  const base = pattern.slice(0, pattern.search(/[*?[{(!]/)).replace(/\/[^/]*$/, '');
  const files = await later(() => fileSystem().below(base === '' ? '/' : base));
  for (const file of files) if (path.matchesGlob(file, pattern) && !exclude(file)) yield file;
}

export async function unlink(file: string): Promise<void> {
  await later(() => {
    fileSystem().unlink(file);
  });
}

export async function chmod(file: string, mode: number): Promise<void> {
  await later(() => {
    fileSystem().need(file, true, 'chmod').mode = mode;
  });
}

const OF_FLAGS: Readonly<Record<string, Parameters<ReturnType<typeof fileSystem>['open']>[1]>> = {
  r: { creates: false, truncates: false, isNew: false, appends: false, writes: false },
  'r+': { creates: false, truncates: false, isNew: false, appends: false, writes: true },
  w: { creates: true, truncates: true, isNew: false, appends: false, writes: true },
  a: { creates: true, truncates: false, isNew: false, appends: true, writes: true },
  'wx+': { creates: true, truncates: false, isNew: true, appends: false, writes: true },
};

/** By name; a number is one of those that only read. */
export function openNow(file: string, flags: string | number = 'r'): number {
  const how = OF_FLAGS[typeof flags === 'number' ? 'r' : flags];
  if (how === undefined) throw new Error(`BUG: flags ${flags}`);
  return fileSystem().open(file, how);
}

/** What of a FileHandle a shipper uses. */
export class Handle {
  /** -1 when it is closed. */
  fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  async read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesRead: number; buffer: Uint8Array }> {
    return await later(() => ({
      bytesRead: fileSystem().read(this.fd, buffer, offset, length, position),
      buffer,
    }));
  }

  async stat(asks?: Asks): Promise<unknown> {
    return await later(() => fstatSync(this.fd, asks));
  }

  async write(data: Uint8Array, offset = 0, length = data.length, position?: number): Promise<void> {
    await later(() => fileSystem().write(this.fd, data.subarray(offset, offset + length), position));
  }

  async writeFile(data: string | Uint8Array): Promise<void> {
    await later(() => fileSystem().write(this.fd, Buffer.from(data as string)));
  }

  async sync(): Promise<void> {
    await later(() => {});
  }

  async close(): Promise<void> {
    const { fd } = this;
    this.fd = -1;
    // At once: whoever does not wait for it must not find it open. Twice is nothing.
    if (fd >= 0 && clock.life?.isOver !== true) fileSystem().close(fd);
    await later(() => {});
  }
}

export async function open(file: string, flags: string | number = 'r', _mode?: number): Promise<Handle> {
  return await later(() => new Handle(openNow(file, flags)));
}
