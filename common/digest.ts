// Checksums: what a payload and the bytes before an offset are known by.

import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';

import { TAIL_BYTES } from './chunk.ts';

/**
 * What stands before an offset: 12 hex digits (48 bits) of the SHA-256 of the last 256 bytes before it, fewer at a
 * file's beginning. Short, because a record holds one for each file.
 */
export function tailOf(before: Uint8Array): string {
  return shortHash(before.subarray(Math.max(0, before.length - TAIL_BYTES)));
}

/** 12 hex digits (48 bits) of the SHA-256 of all the bytes. */
export function shortHash(data: Uint8Array): string {
  return hash('sha256', data, 'hex').slice(0, 12);
}

export { crc32 };

/** A CRC-32 as the 8 hex digits that headers and ledgers carry. */
export function hex32(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}
