// Rotated files that were compressed: read as what they hold.

import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { pipeline, Readable } from 'node:stream';
import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from 'node:zlib';

import { type FileHandle, open, unlink } from './disk.ts';
import { systemCode } from '../../common/runtime/errors.ts';
import { HEAD_BYTES } from './identity.ts';

export type Packing = 'gzip' | 'zstd';

const PACKINGS: Readonly<Record<string, Packing>> = { '.gz': 'gzip', '.zst': 'zstd' };
/** Read and unpacked at once. */
const STEP = { chunkSize: 256 * 1024 };

/** How a file of this name is compressed, and what it was called before. */
export function packingOf(name: string): { packing: Packing | undefined; plain: string } {
  const extension = path.extname(name);
  const packing = PACKINGS[extension];
  return { packing, plain: packing === undefined ? name : name.slice(0, -extension.length) };
}

/** The first bytes of what it holds, `length` at most; fewer when it ends there, or is damaged, or not yet whole. */
export async function firstUnpacked(handle: FileHandle, packing: Packing, length: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const piece of unpacked(handle, packing)) {
      pieces.push(piece);
      bytes += piece.length;
      if (bytes >= length) break;
    }
  } catch (error) {
    if (!isBroken(error)) throw error;
  }
  return Buffer.concat(pieces).subarray(0, length);
}

/** What a compressed file holds. */
export interface Unpacked {
  /** A file without a name, which goes with its descriptor. Below the asked offset it has the head only. */
  readonly handle: FileHandle;
  readonly size: number;
  /** It ends where it should: not in the middle, and not with something else. */
  readonly isWhole: boolean;
}

/** Writes what it holds from `from` on, and what a head covers, into a file in `directory`, at the same offsets. */
export async function unpack(
  packed: FileHandle,
  packing: Packing,
  directory: string,
  from: number,
): Promise<Unpacked> {
  const name = path.join(directory, `unpacked-${randomBytes(8).toString('hex')}`);
  const handle = await open(name, 'wx+', 0o600);
  try {
    await unlink(name);
    let size = 0;
    let isWhole = (await packed.stat()).size > 0;
    try {
      for await (const piece of unpacked(packed, packing)) {
        const first = Math.max(0, Math.min(piece.length, HEAD_BYTES - size));
        if (first > 0) await handle.write(piece, 0, first, size);
        const start = Math.max(first, Math.min(piece.length, from - size));
        if (start < piece.length) await handle.write(piece, start, piece.length - start, size + start);
        size += piece.length;
      }
    } catch (error) {
      if (!isBroken(error)) throw error;
      isWhole = false;
    }
    return { handle, size, isWhole };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Members and frames one after the other, as gzip and zstd read them. */
export async function* unpacked(packed: FileHandle, packing: Packing): AsyncGenerator<Buffer> {
  const { size } = await packed.stat();
  // zstd streams end with their first frame here: the next one begins where they stopped to read.
  for (let start = 0; start < size;) {
    const stream = packing === 'gzip' ? createGunzip(STEP) : createZstdDecompress(STEP);
    pipeline(Readable.from(bytesFrom(packed, start)), stream, () => {
      // The iteration below gets the error.
    });
    yield* piecesOf(stream);
    if (stream.bytesWritten === 0) return;
    start += stream.bytesWritten;
  }
}

/** A read stream of the handle would close it at its end. */
async function* bytesFrom(handle: FileHandle, start: number): AsyncGenerator<Buffer> {
  for (let at = start; ;) {
    const buffer = Buffer.allocUnsafe(STEP.chunkSize);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

async function* piecesOf(stream: Gunzip | ZstdDecompress): AsyncGenerator<Buffer> {
  for await (const piece of stream) if (Buffer.isBuffer(piece)) yield piece;
}

/** What zlib says of data that ends too early or is none. */
export function isBroken(error: unknown): boolean {
  const code = systemCode(error) ?? '';
  return /^(?:Z_|ZSTD_)/.test(code);
}
