// Messages of parts that nobody has looked at: what anybody may publish, with the right checksum; and how they are read.

import assert from 'node:assert/strict';
import { zstdCompressSync } from 'node:zlib';

import { LogferryError } from '../../common/runtime/errors.ts';
import { Bundle } from '../../common/wire/bundle.ts';
import { crc32, hex32 } from '../../common/wire/digest.ts';

export interface MadeUp {
  readonly header: string;
  readonly payload: Uint8Array;
}

/** What stands behind the table, and what the header says instead of the lengths that it has. */
export interface Parts {
  readonly shared?: Uint8Array;
  readonly own?: Uint8Array;
  readonly says?:
    | {
        readonly table?: number;
        readonly text?: number;
        readonly packed?: number;
        readonly bytes?: number;
        readonly crc32?: string;
      }
    | undefined;
}

const NONE = new Uint8Array();

export function made(
  table: string | Uint8Array,
  { shared = NONE, own = NONE, says = {} }: Parts = {},
): MadeUp {
  const listed = Buffer.from(table as string);
  const payload = Buffer.concat([listed, shared, own]);
  const { table: tableBytes = listed.length, text = listed.length } = says;
  const { packed = shared.length, bytes = shared.length } = says;
  const checksum = says.crc32 ?? hex32(crc32(payload));
  return { header: ['1 0123abcd.7', tableBytes, text, packed, bytes, checksum].join(' '), payload };
}

/** The same with a table that is compressed, and is so much longer or shorter than the header says. */
export function madePacked(table: string, parts: Parts = {}, more = 0): MadeUp {
  const says = { ...parts.says, text: table.length + more };
  return made(zstdCompressSync(Buffer.from(table)), { ...parts, says });
}

/** A table of these rows, whatever they are. */
export function rows(...all: unknown[]): string {
  return JSON.stringify(all);
}

/** Reads it, or says undefined; anything but `corrupt` is thrown on. */
export function tryRead(header: string, payload: Uint8Array): Bundle | undefined {
  try {
    return new Bundle(header, payload);
  } catch (error) {
    if (error instanceof LogferryError && error.code === 'corrupt') {
      assert.ok(error.message.length < 300, error.message);
      return undefined;
    }
    throw error;
  }
}

/** All that a bundle says it holds, one after the other. */
export async function contentsOf(bundle: Bundle): Promise<(Uint8Array | undefined)[]> {
  const contents: (Uint8Array | undefined)[] = [];
  for (const index of bundle.listed.keys()) contents.push(await bundle.bytesOf(index));
  return contents;
}

/** Bytes that tell where they belong, of which some can be compressed and others cannot. */
export function someBytes(size: number, seed: number, isNoise: boolean): Buffer {
  const data = Buffer.alloc(size);
  let state = seed + 1;
  for (let at = 0; at < size; at += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    data[at] = isNoise ? state >>> 16 : (at + seed) % 61 === 0 ? 10 : 97 + ((at >> 4) % 7);
  }
  return data;
}
