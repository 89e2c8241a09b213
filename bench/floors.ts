// What no shipper on this machine can beat: a copy that is on disk, and one core that only compresses.

import { spawn } from 'node:child_process';
import { mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { zstdCompressSync } from 'node:zlib';

import { LogferryError, systemCode } from '../common/runtime/errors.ts';
import { readFully } from '../common/runtime/files.ts';
import { ZSTD_LEVEL } from '../common/wire/zstd.ts';

const PIECE = 1024 * 1024;

/** Milliseconds that `cp` and then `sync` of the copy take. */
export async function copyAndSync(
  files: readonly string[],
  scratch: string,
  signal: AbortSignal,
): Promise<number> {
  const copies = path.join(scratch, 'copies');
  await mkdir(copies);
  try {
    const began = performance.now();
    await run('cp', [...files, copies], signal);
    const names = files.map((file) => path.join(copies, path.basename(file)));
    await run('sync', names, signal);
    return performance.now() - began;
  } finally {
    await rm(copies, { recursive: true });
  }
}

/** Milliseconds that compressing the files at level 1 takes, in one thread, to nowhere; and what did it. */
export async function compressAlone(
  files: readonly string[],
  signal: AbortSignal,
): Promise<{ ms: number; by: 'zstd' | 'node:zlib' }> {
  const began = performance.now();
  try {
    await run('zstd', ['-1', '--single-thread', '-q', '-c', ...files], signal);
    return { ms: performance.now() - began, by: 'zstd' };
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    let ms = 0;
    for (const file of files) ms += await compressInPieces(file, signal);
    return { ms, by: 'node:zlib' };
  }
}

async function compressInPieces(file: string, signal: AbortSignal): Promise<number> {
  const handle = await open(file, 'r');
  try {
    const piece = Buffer.allocUnsafe(PIECE);
    const began = performance.now();
    for (let at = 0; ;) {
      signal.throwIfAborted();
      const length = await readFully(handle, piece, at);
      if (length === 0) return performance.now() - began;
      zstdCompressSync(piece.subarray(0, length), { params: ZSTD_LEVEL });
      at += length;
    }
  } finally {
    await handle.close();
  }
}

/** Runs a program with its output to nowhere. Throws `failed` for an exit code, the system's error when there is none. */
async function run(program: string, args: readonly string[], signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'], signal });
    child.once('error', reject);
    child.once('exit', (code) => {
      if (code === 0) resolve();
      else reject(new LogferryError('failed', `${program} ended with ${code ?? 'a signal'}`));
    });
  });
}
