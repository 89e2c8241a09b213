// One central file that is open for reading, plain, compressed or of frames: the bytes of the runs that lie in it.
// Never writes.

import type { FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import type { Readable } from 'node:stream';

import { LogferryError, messageOf } from '../../common/runtime/errors.ts';
import { decompressFrame } from '../../common/wire/zstd.ts';
import { decompressor } from './encoding.ts';
import { type Frame, framesIn } from './frame-file.ts';
import type { Run } from '../ledger/ledger.ts';
import type { Encoding } from '../ledger/names.ts';

export interface OpenSegment {
  /** The source bytes [start, end) of a run, decompressed; fewer when the file ends before. Fastest in the order of the file. */
  read(run: Run, start: number, end: number): AsyncGenerator<Uint8Array>;
  /** The bytes [from, to) that a run's `from` and `to` count, as its checksums do; fewer when the file ends before. */
  readPlace(from: number, to: number): AsyncGenerator<Uint8Array>;
  /** Where readPlace would end: at `to`, or before it where the file does. Reads no more than it must to know. */
  reach(from: number, to: number): Promise<number>;
  /** Where the source bytes [start, end) of a run lie, as its `from` and `to` say it; undefined when nobody can tell. */
  place(run: Run, start: number, end: number): Promise<{ from: number; to: number } | undefined>;
  close(): Promise<void>;
}

const READ_BYTES = 512 * 1024;

/** `name` is for messages. The handle is closed with it. */
export function openSegment(
  handle: FileHandle,
  { encoding, format }: Pick<Run, 'encoding' | 'format'>,
  name: string,
): OpenSegment {
  if (format !== undefined) return new Frames(handle, name);
  return encoding === undefined ? new Plain(handle) : new Compressed(handle, encoding, name);
}

/** Where a source byte lies in a file that holds, or decompresses to, the source bytes themselves. */
function placeOf(run: Run, at: number): number {
  return run.from + (at - run.start);
}

async function* readBytes(handle: FileHandle, from: number, to: number): AsyncGenerator<Uint8Array> {
  for (let at = from; at < to;) {
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, to - at));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

async function reachOf(handle: FileHandle, from: number, to: number): Promise<number> {
  const { size } = await handle.stat();
  return Math.max(from, Math.min(size, to));
}

class Plain implements OpenSegment {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async *read(run: Run, start: number, end: number): AsyncGenerator<Uint8Array> {
    yield* readBytes(this.#handle, placeOf(run, start), placeOf(run, end));
  }

  async *readPlace(from: number, to: number): AsyncGenerator<Uint8Array> {
    yield* readBytes(this.#handle, from, to);
  }

  async reach(from: number, to: number): Promise<number> {
    return await reachOf(this.#handle, from, to);
  }

  async place(run: Run, start: number, end: number): Promise<{ from: number; to: number }> {
    return await Promise.resolve({ from: placeOf(run, start), to: placeOf(run, end) });
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Frames that are found by their headers: those before the wanted bytes are not decompressed. */
class Frames implements OpenSegment {
  readonly #handle: FileHandle;
  readonly #name: string;

  constructor(handle: FileHandle, name: string) {
    this.#handle = handle;
    this.#name = name;
  }

  async *read(run: Run, start: number, end: number): AsyncGenerator<Uint8Array> {
    let at = run.start;
    for await (const frame of framesIn(this.#handle, run.from, run.to)) {
      const next = at + frame.content;
      if (next > start) {
        const data = await this.#decompress(frame, at);
        yield data.subarray(Math.max(0, start - at), Math.min(frame.content, end - at));
      }
      at = next;
      if (at >= end) return;
    }
    const { size } = await this.#handle.stat();
    if (size >= run.to)
      throw damaged(
        this.#name,
        `no zstd frames from ${run.from} to ${run.to} for ${run.end - run.start} bytes`,
      );
  }

  async *readPlace(from: number, to: number): AsyncGenerator<Uint8Array> {
    yield* readBytes(this.#handle, from, to);
  }

  async reach(from: number, to: number): Promise<number> {
    return await reachOf(this.#handle, from, to);
  }

  async place(run: Run, start: number, end: number): Promise<{ from: number; to: number } | undefined> {
    let at = run.start;
    let from: number | undefined;
    for await (const frame of framesIn(this.#handle, run.from, run.to)) {
      at += frame.content;
      if (at > start) from ??= frame.from;
      if (from !== undefined && at >= end) return { from, to: frame.to };
    }
    return undefined;
  }

  /** @param start its first source byte */
  async #decompress({ from, to, content }: Frame, start: number): Promise<Uint8Array> {
    const packed = Buffer.allocUnsafe(to - from);
    const { bytesRead } = await this.#handle.read(packed, 0, packed.length, from);
    try {
      return await decompressFrame(packed.subarray(0, bytesRead), content);
    } catch (error) {
      const what = `frame from ${from} to ${to}: ${messageOf(error)}`;
      throw new DamagedFrame(damaged(this.#name, what, error), start, start + content);
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** One frame does not decompress, which holds the source bytes [start, end). Those around it may. */
export class DamagedFrame extends LogferryError {
  readonly start: number;
  readonly end: number;

  constructor({ code, message, hint, cause }: LogferryError, start: number, end: number) {
    super(code, message, hint, { cause });
    this.start = start;
    this.end = end;
  }
}

function damaged(name: string, what: string, cause?: unknown): LogferryError {
  return new LogferryError(
    'failed',
    `${name} does not decompress (${what})`,
    'it is damaged: put it back from a copy',
    { cause },
  );
}

/** Decompresses from the beginning, and goes on where the last read ended as long as offsets rise. */
class Compressed implements OpenSegment {
  readonly #handle: FileHandle;
  readonly #encoding: Encoding;
  readonly #name: string;
  #stream: Readable | undefined;
  #pieces: AsyncIterator<Buffer> | undefined;
  /** The piece that was decompressed last, and where it begins. */
  #piece: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(handle: FileHandle, encoding: Encoding, name: string) {
    this.#handle = handle;
    this.#encoding = encoding;
    this.#name = name;
  }

  async *read(run: Run, start: number, end: number): AsyncGenerator<Uint8Array> {
    yield* this.readPlace(placeOf(run, start), placeOf(run, end));
  }

  async reach(from: number, to: number): Promise<number> {
    let reached = from;
    for await (const piece of this.readPlace(from, to)) reached += piece.length;
    return reached;
  }

  async place(run: Run, start: number, end: number): Promise<{ from: number; to: number }> {
    return await Promise.resolve({ from: placeOf(run, start), to: placeOf(run, end) });
  }

  async *readPlace(from: number, to: number): AsyncGenerator<Uint8Array> {
    if (from < this.#at) this.#end();
    for (let at = from; at < to;) {
      if (at >= this.#at + this.#piece.length) {
        if (!(await this.#next())) return;
        continue;
      }
      const piece = this.#piece.subarray(at - this.#at, to - this.#at);
      yield piece;
      at += piece.length;
    }
  }

  async #next(): Promise<boolean> {
    this.#pieces ??= this.#begin();
    try {
      const { done, value } = await this.#pieces.next();
      if (done === true) return false;
      this.#at += this.#piece.length;
      this.#piece = value;
      return true;
    } catch (error) {
      throw damaged(this.#name, messageOf(error), error);
    }
  }

  #begin(): AsyncIterator<Buffer> {
    const source = this.#handle.createReadStream({ start: 0, autoClose: false, highWaterMark: READ_BYTES });
    // What goes wrong comes out of the iterator as well.
    const stream = pipeline(source, decompressor(this.#encoding), () => {});
    this.#stream = stream;
    return (stream as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }

  #end(): void {
    this.#stream?.destroy();
    this.#pieces = undefined;
    this.#piece = Buffer.alloc(0);
    this.#at = 0;
  }

  async close(): Promise<void> {
    this.#end();
    await this.#handle.close();
  }
}
