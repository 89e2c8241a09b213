// Compressed segments as streams: one member, as zcat and zstdcat read them. Memory does not grow with the file.

import type { Transform } from 'node:stream';
import { createGunzip, createGzip, createZstdCompress, createZstdDecompress } from 'node:zlib';

import type { Encoding } from '../ledger/names.ts';

/** A trip to the thread pool for each piece of output: the default of 16 KiB makes twice as many as are worth it. */
const PIECE = { chunkSize: 256 * 1024 };

export function compressor(encoding: Encoding): Transform {
  return encoding === 'gzip' ? createGzip(PIECE) : createZstdCompress(PIECE);
}

export function decompressor(encoding: Encoding): Transform {
  return encoding === 'gzip' ? createGunzip(PIECE) : createZstdDecompress(PIECE);
}
