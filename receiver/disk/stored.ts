// What becomes of accepted bytes on disk: the bytes themselves, or zstd frames. A frame comes from the shipper as it
// is, unless several small ones, or bytes that came uncompressed, are worth one frame. Never mixes generations.

import { promisify } from 'node:util';
import { zstdCompress, zstdCompressSync } from 'node:zlib';

import type { After } from '../../common/wire/chunk.ts';
import { ZSTD_LEVEL } from '../../common/wire/zstd.ts';
import { isOneFrame } from './frames.ts';

/** Source bytes [start, end) of one generation. */
interface Range {
  /** fileKey(host, file id). */
  readonly file: string;
  readonly start: number;
  readonly end: number;
  /** See tailOf, at `end`. */
  readonly tail: string;
  readonly after: After | undefined;
}

export interface Piece extends Range {
  readonly data: Uint8Array;
  /** What `data` lies in, where that was made for it alone. */
  readonly decoded: Uint8Array | undefined;
  /** Decompresses to exactly `data`; undefined when that came, or is wanted, in another form. */
  readonly payload: Uint8Array | undefined;
}

export interface Stored extends Range {
  /** As they lie on disk. */
  readonly bytes: Uint8Array;
}

const compress = promisify(zstdCompress);

/**
 * A frame of so many source bytes stays as it came. 100 chunks of 2,000 bytes of an access log took 37 KB as frames of
 * their own and 15 KB as one (Node 24, level 1).
 */
const LARGE_BYTES = 64 * 1024;

/** Output comes in steps: each is a trip to another thread, and a buffer of this size. */
const LEAST_STEP = 1024;
const MOST_STEP = 256 * 1024;

export function storedPlain(pieces: readonly Piece[]): Stored[] {
  return pieces.map(({ file, start, end, tail, after, data }) => ({
    file,
    start,
    end,
    tail,
    after,
    bytes: data,
  }));
}

/** Frames that each say how much they hold: they can be found, and cut behind, by their headers. */
export async function storedFrames(pieces: readonly Piece[]): Promise<Stored[]> {
  const stored: Stored[] = [];
  for (const group of grouped(pieces)) {
    const [first] = group;
    const last = group.at(-1);
    if (first === undefined || last === undefined) throw new Error('BUG: a frame of nothing');
    const { file, end, tail, after } = last;
    stored.push({ file, start: first.start, end, tail, after, bytes: await frameOf(group) });
  }
  return stored;
}

/** What goes into one frame: a large chunk alone, small ones that follow each other together. */
function grouped(pieces: readonly Piece[]): Piece[][] {
  const groups: Piece[][] = [];
  for (const piece of pieces) {
    const last = groups.at(-1)?.at(-1);
    const isJoined = last !== undefined && isSmall(last) && isSmall(piece) && follows(last, piece);
    if (isJoined) groups.at(-1)?.push(piece);
    else groups.push([piece]);
  }
  return groups;
}

function isSmall({ data }: Piece): boolean {
  return data.length < LARGE_BYTES;
}

function follows(one: Piece, next: Piece): boolean {
  return next.file === one.file && next.start === one.end && next.after?.file === one.after?.file;
}

async function frameOf(group: readonly Piece[]): Promise<Uint8Array> {
  const [only] = group;
  if (group.length === 1 && only?.payload !== undefined && mayStay(only.payload, only.data))
    return only.payload;
  const data =
    group.length === 1 && only !== undefined ? only.data : Buffer.concat(group.map((one) => one.data));
  const chunkSize = Math.min(MOST_STEP, Math.max(LEAST_STEP, data.length));
  const options = { params: ZSTD_LEVEL, chunkSize, pledgedSrcSize: data.length };
  const packed = data.length > LARGE_BYTES ? await compress(data, options) : undefined;
  // A Node that does not know `pledgedSrcSize` leaves the size out, but not when it has all at once.
  return packed !== undefined && isOneFrame(packed, data.length) ? packed : zstdCompressSync(data, options);
}

/** What was sent decompresses, and yet may be several frames, or have something else behind them. */
function mayStay(payload: Uint8Array, data: Uint8Array): boolean {
  return payload.length <= data.length && isOneFrame(payload, data.length);
}
