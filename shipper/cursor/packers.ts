// Compresses chunks in other threads, each with a context and an output buffer that are used for one chunk after the
// other: new ones for each chunk cost a third more CPU (docs/performance.md). One chunk is one frame.

import type { TransformOptions } from 'node:stream';
import { constants, createZstdCompress, type ZstdCompress, type ZstdOptions } from 'node:zlib';

import { Budget } from '../../common/runtime/run.ts';
import { ZSTD_LEVEL } from '../../common/wire/zstd.ts';

/** As many as the threads that Node keeps for this. */
const AT_ONCE = 4;
/** A frame goes into it in one go if that much room is left: 1 MiB, and what incompressible bytes need beyond. */
const OUTPUT_BYTES = 4 * 1024 * 1024;
/** The output of one chunk never waits to be read. */
const NEVER_FULL_BYTES = 64 * 1024 * 1024;

export class Packers {
  readonly #room = new Budget(AT_ONCE);
  readonly #idle: Packer[] = [];

  /** A frame that says how much it holds, so that a receiver can keep it as it is. `data` is read until it returns. */
  async pack(data: Uint8Array): Promise<Uint8Array> {
    const give = await this.#room.take(1);
    try {
      const packer = this.#idle.pop() ?? new Packer();
      const packed = await packer.pack(data);
      this.#idle.push(packer);
      return packed;
    } finally {
      give();
    }
  }
}

const OPTIONS: ZstdOptions & Pick<TransformOptions, 'readableHighWaterMark'> = {
  params: ZSTD_LEVEL,
  // Each write is a frame: its size is known when it begins.
  flush: constants.ZSTD_e_end,
  chunkSize: OUTPUT_BYTES,
  readableHighWaterMark: NEVER_FULL_BYTES,
};

class Packer {
  readonly #stream = createZstdCompress(OPTIONS);

  async pack(data: Uint8Array): Promise<Uint8Array> {
    const stream = this.#stream;
    await new Promise<void>((resolve, reject) => {
      stream.write(data, (error) => {
        if (error == null) resolve();
        else reject(error);
      });
    });
    const parts: Buffer[] = [];
    for (let part = read(stream); part !== null; part = read(stream)) parts.push(part);
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
  }
}

function read(stream: ZstdCompress): Buffer | null {
  return stream.read() as Buffer | null;
}
