// A central file of zstd frames: which frames lie between two offsets, found by their headers. Never writes.

import type { FileHandle } from 'node:fs/promises';

import { MAX_CHUNK_BYTES } from '../../common/wire/chunk.ts';
import { BLOCK_HEADER_BYTES, blockHeader, FRAME_HEADER_BYTES, frameHeader } from './frames.ts';
import type { FrameEnd, Run } from '../ledger/ledger.ts';

/** A frame at [from, to) of a file, and the bytes that it says it holds. */
export interface Frame {
  readonly from: number;
  readonly to: number;
  readonly content: number;
}

/** Room that incompressible bytes need more than they are. */
const OVERHEAD_BYTES = 64 * 1024;
/** No frame is longer: a reader makes room for one. */
export const MAX_FRAME_BYTES = MAX_CHUNK_BYTES + OVERHEAD_BYTES;

const READ_BYTES = 64 * 1024;

/** The whole frames between two offsets of a file; ends at `to`, or before where something else lies. */
export async function* framesIn(handle: FileHandle, from: number, to: number): AsyncGenerator<Frame> {
  const window = new Window(handle, to);
  for (let at = from; at < to;) {
    const frame = await frameFrom(window, at, to);
    if (frame === undefined) return;
    yield frame;
    at = frame.to;
  }
}

async function frameFrom(window: Window, from: number, to: number): Promise<Frame | undefined> {
  const header = frameHeader(await window.read(from, FRAME_HEADER_BYTES));
  if (header === undefined || header.content > MAX_CHUNK_BYTES) return undefined;
  for (let at = from + header.bytes; at < to && at - from <= MAX_FRAME_BYTES;) {
    const block = blockHeader(await window.read(at, BLOCK_HEADER_BYTES));
    if (block === undefined) return undefined;
    at += block.bytes;
    if (!block.isLast) continue;
    const end = at + header.trailer;
    return end <= to && end - from <= MAX_FRAME_BYTES
      ? { from, to: end, content: header.content }
      : undefined;
  }
  return undefined;
}

/** A piece of the file that is looked at in many places, one behind the other. */
class Window {
  readonly #handle: FileHandle;
  readonly #to: number;
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);
  #from = 0;
  #length = 0;

  constructor(handle: FileHandle, to: number) {
    this.#handle = handle;
    this.#to = to;
  }

  /** Fewer bytes where the file, or what of it counts, ends before. */
  async read(from: number, bytes: number): Promise<Uint8Array> {
    const to = Math.min(from + bytes, this.#to);
    if (from < this.#from || to > this.#from + this.#length) {
      this.#from = from;
      this.#length = 0;
      while (this.#length < to - from) {
        const at = this.#length;
        const { bytesRead } = await this.#handle.read(this.#buffer, at, READ_BYTES - at, from + at);
        if (bytesRead === 0) break;
        this.#length += bytesRead;
      }
    }
    return this.#buffer.subarray(from - this.#from, Math.min(to - this.#from, this.#length));
  }
}

/**
 * Where the first frame of a run ends that leaves nothing below `keep` behind it; undefined when the run's frames on
 * disk do not reach so far.
 */
export async function frameEndBehind(
  handle: FileHandle,
  run: Run,
  keep: number,
): Promise<FrameEnd | undefined> {
  let end = run.start;
  for await (const frame of framesIn(handle, run.from, run.to)) {
    end += frame.content;
    if (end >= keep) return { to: frame.to, end };
  }
  return undefined;
}

/** Where the last whole frame of a run ends in a file of this size: the run's beginning when there is none. */
export async function lastFrameEnd(handle: FileHandle, run: Run, size: number): Promise<FrameEnd> {
  let last: FrameEnd = { to: run.from, end: run.start };
  for await (const { to, content } of framesIn(handle, run.from, Math.min(run.to, size)))
    last = { to, end: last.end + content };
  return last;
}
