// zstd as chunks, frames and records use it: one level, and never more room than a frame is known to need.

import { promisify } from 'node:util';
import { constants, zstdDecompress, zstdDecompressSync, type ZstdOptions } from 'node:zlib';

const decompress = promisify(zstdDecompress);

/** The fastest one that is not of those below zero: with them 0.28 of an access log is left instead of 0.20. */
export const ZSTD_LEVEL = { [constants.ZSTD_c_compressionLevel]: 1 };

/**
 * Up to this size it is decompressed on the spot, about a millisecond for a full chunk of a shipper: in another thread it
 * took half as much CPU again (docs/performance.md).
 */
const ON_THE_SPOT_BYTES = 2 * 1024 * 1024;

/** A chunk is at most 8 MiB, so is the window that it may ask for. */
const MAX_WINDOW_LOG = 23;
/** zlib takes no smaller step. */
const LEAST_STEP = 64;

/** The same on the spot, for what is known to be small. */
export function decompressNow(packed: Uint8Array, content: number): Uint8Array {
  const data = zstdDecompressSync(packed, optionsFor(content));
  if (data.length !== content) throw new Error(`${data.length} of ${content} bytes`);
  return data;
}

/** What decompresses to exactly `content` bytes, from 1 on. Throws when it does not; makes room for no more. */
export async function decompressFrame(packed: Uint8Array, content: number): Promise<Uint8Array> {
  if (content <= ON_THE_SPOT_BYTES) return decompressNow(packed, content);
  const data = await decompress(packed, optionsFor(content));
  if (data.length !== content) throw new Error(`${data.length} of ${content} bytes`);
  return data;
}

function optionsFor(content: number): ZstdOptions {
  return {
    params: { [constants.ZSTD_d_windowLogMax]: MAX_WINDOW_LOG },
    maxOutputLength: Math.max(1, content),
    chunkSize: Math.max(LEAST_STEP, content + 1),
  };
}
