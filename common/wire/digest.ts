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

/** The CRC-32 that a line of a ledger names; undefined where it names none. */
export function parse32(hex: string): number | undefined {
  return /^[0-9a-f]{8}$/.test(hex) ? Number.parseInt(hex, 16) : undefined;
}

/** The polynomial of CRC-32 as zlib has it, lowest power in the highest bit. */
const POLYNOMIAL = 0xedb88320;
/** x in the same notation, and 1. */
const X = 0x40000000;
const ONE = 0x80000000;
/** x^(2^k) modulo the polynomial; a length in bits has no more binary digits. */
const POWERS = powersOfX(56);

function powersOfX(count: number): number[] {
  const powers = [X];
  while (powers.length < count) {
    const last = powers.at(-1) ?? X;
    powers.push(multiply(last, last));
  }
  return powers;
}

/** The product of two polynomials over GF(2), modulo the one of CRC-32. */
function multiply(a: number, b: number): number {
  let product = 0;
  let shifted = b;
  for (let bit = ONE; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= shifted;
    shifted = (shifted & 1) === 0 ? shifted >>> 1 : (shifted >>> 1) ^ POLYNOMIAL;
  }
  return product >>> 0;
}

/**
 * The CRC-32 of two stretches of bytes, one behind the other, from that of each: the first one is moved up by the bits
 * of the second, which is a multiplication by x^(8 * bytes). Nothing has to be read again.
 */
export function combineCrc32(first: number, second: number, secondBytes: number): number {
  let moved = first;
  let rest = secondBytes;
  // Eight bits a byte: the powers begin with x^(2^3).
  for (let power = 3; rest > 0; power += 1) {
    if (rest % 2 === 1) moved = multiply(moved, POWERS[power] ?? ONE);
    rest = Math.floor(rest / 2);
  }
  return (moved ^ second) >>> 0;
}
