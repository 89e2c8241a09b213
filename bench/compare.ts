// Whether files, one behind the other, are byte for byte the source, which may be several as well.

import { type FileHandle, open } from 'node:fs/promises';

import { readFully } from '../common/runtime/files.ts';

const BLOCK = 4 * 1024 * 1024;

/** The offset of the first byte that differs, or where one side ends early; undefined when they are identical. */
export async function firstDifference(
  sources: readonly string[],
  parts: readonly string[],
  signal: AbortSignal,
): Promise<number | undefined> {
  const [ours, theirs] = [new Joined(sources), new Joined(parts)];
  try {
    for (let offset = 0; ;) {
      signal.throwIfAborted();
      const [want, got] = [await ours.read(), await theirs.read()];
      if (!want.equals(got)) {
        let same = 0;
        while (same < want.length && got[same] === want[same]) same += 1;
        return offset + same;
      }
      if (want.length === 0) return undefined;
      offset += want.length;
    }
  } finally {
    await ours.close();
    await theirs.close();
  }
}

/** Files that are read as if they were one. */
class Joined {
  readonly #names: string[];
  readonly #block = Buffer.allocUnsafe(BLOCK);
  #handle: FileHandle | undefined;
  #at = 0;

  constructor(names: readonly string[]) {
    this.#names = [...names];
  }

  /** The next block, shorter only at the very end. */
  async read(): Promise<Buffer> {
    let length = 0;
    while (length < BLOCK) {
      if (this.#handle === undefined) {
        const name = this.#names.shift();
        if (name === undefined) break;
        this.#handle = await open(name, 'r');
        this.#at = 0;
      }
      const read = await readFully(this.#handle, this.#block.subarray(length), this.#at);
      this.#at += read;
      length += read;
      if (length < BLOCK) await this.close();
    }
    return this.#block.subarray(0, length);
  }

  async close(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
  }
}
