// The source bytes of a chunk, out of its payload. Never takes a payload that is not what the headers say.

import type { DataChunk } from './chunk.ts';
import { crc32 } from './digest.ts';
import { decompressFrame } from './zstd.ts';

/** Undefined when the payload is not what its headers say. Never makes more room than the range. */
export async function decode(chunk: DataChunk, payload: Uint8Array): Promise<Uint8Array | undefined> {
  if (crc32(payload) !== chunk.crc32) return undefined;
  if (chunk.encoding === 'none') return payload;
  try {
    return await decompressFrame(payload, chunk.end - chunk.start);
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}
