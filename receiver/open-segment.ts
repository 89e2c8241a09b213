// One central file that is open for reading, plain or compressed: its bytes at offsets that rise. Never writes.

import type { FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import type { Readable } from 'node:stream';

import { LogferryError, messageOf } from '../common/errors.ts';
import { decompressor } from './encoding.ts';
import type { Encoding } from './names.ts';

export interface OpenSegment {
  /** The bytes [from, to) of what the file holds, decompressed; fewer when it ends before. */
  read(from: number, to: number): AsyncGenerator<Uint8Array>;
  close(): Promise<void>;
}

const READ_BYTES = 512 * 1024;

/** `name` is for messages. The handle is closed with it. */
export function openSegment(handle: FileHandle, encoding: Encoding | undefined, name: string): OpenSegment {
  return encoding === undefined ? new Plain(handle) : new Compressed(handle, encoding, name);
}

class Plain implements OpenSegment {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async *read(from: number, to: number): AsyncGenerator<Uint8Array> {
    for (let at = from; at < to;) {
      const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, to - at));
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
      at += bytesRead;
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
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

  async *read(from: number, to: number): AsyncGenerator<Uint8Array> {
    if (from < this.#at) this.#end();
    for (let at = from; at < to;) {
      const end = this.#at + this.#piece.length;
      if (at >= end) {
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
      throw new LogferryError(
        'failed',
        `${this.#name} does not decompress (${messageOf(error)})`,
        'it is damaged: put it back from a copy',
        { cause: error },
      );
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
