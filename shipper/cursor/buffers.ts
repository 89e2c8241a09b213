// The memory that chunks take from being read until the stream has them: bounded over all files. Large ones are read
// into a few buffers that are used again and again, because fresh ones cost page faults.

import { SHARED_BYTES } from '../../common/wire/bundle.ts';
import { TAIL_BYTES } from '../../common/wire/chunk.ts';
import { Budget } from '../../common/runtime/run.ts';

/** Memory on loan for one chunk. */
export interface Slot {
  /** Room for the chunk and the bytes before it. That of a small one is everybody's: good until the next await. */
  readonly buffer: Buffer;
  /** The bytes were compressed or copied: the buffer goes back, while the chunk itself still counts. */
  packed(): void;
  /** The chunk is gone, and nobody reads from the buffer. */
  release(): void;
}

/** A chunk up to this size is read on the spot: asking another thread costs more than doing it. */
export const SMALL_BYTES = SHARED_BYTES;

export class Buffers {
  /** The most source bytes a chunk may hold. */
  readonly chunkBytes: number;
  readonly #free: Buffer[] = [];
  readonly #small = Buffer.allocUnsafeSlow(SMALL_BYTES + TAIL_BYTES);
  readonly #room: Budget;

  /** @param count full chunks that there may be at once, over all files */
  constructor(chunkBytes: number, count: number) {
    this.chunkBytes = chunkBytes;
    this.#room = new Budget(chunkBytes * count);
  }

  /**
   * Waits for room for a chunk of so many source bytes: until others were sent, so who holds some must not wait here
   * for more before it lets go.
   *
   * @param isSmall the buffer is needed only until the next await
   */
  async take(bytes: number, isSmall: boolean): Promise<Slot> {
    const giveRoom = await this.#room.take(bytes);
    if (isSmall) return { buffer: this.#small, packed: () => {}, release: giveRoom };
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.chunkBytes + TAIL_BYTES);
    let isMine = true;
    const giveBuffer = (): void => {
      if (isMine) this.#free.push(buffer);
      isMine = false;
    };
    return {
      buffer,
      packed: giveBuffer,
      release: () => {
        giveBuffer();
        giveRoom();
      },
    };
  }
}
