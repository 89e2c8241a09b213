// From one file to another with the same content: at once, or between two pieces where somebody reads. One move at a time,
// of several that wait the last. Takes over what it is given, and never looks for it.

import { tolerateDead } from '../../common/runtime/errors.ts';
import { TAIL_BYTES } from '../../common/wire/chunk.ts';
import type { Elsewhere } from '../files/candidate.ts';
import type { FileHandle } from '../files/disk.ts';
import { withBytesUpTo } from '../files/fingerprint.ts';
import { isSameFile } from '../files/identity.ts';
import type { OpenFile } from '../files/open-files.ts';
import type { CursorContext, CursorFile } from './context.ts';
import type { Tailer } from './tailer.ts';

/** What is moved. */
export interface Movable extends OpenFile {
  readonly position: number;
  readonly readAgain: () => Promise<void>;
}

/** A file in which to go on, undefined for none, and how many bytes there are then. */
interface Move {
  readonly to: Elsewhere | undefined;
  readonly size: number;
}

export class Moves {
  readonly #context: CursorContext;
  readonly #file: CursorFile;
  readonly #tailer: Tailer;
  readonly #cursor: Movable;
  /** What is open has no bytes below this. */
  #from = 0;
  /** Whoever reads says when it moves. */
  #isLed = false;
  #moving: Promise<void> = Promise.resolve();
  #next: Move | undefined;
  #restedAt: bigint | undefined;

  constructor(context: CursorContext, file: CursorFile, tailer: Tailer, cursor: Movable) {
    this.#context = context;
    this.#file = file;
    this.#tailer = tailer;
    this.#cursor = cursor;
    if (tailer.handle !== undefined) context.openFiles.add(cursor);
  }

  /** It is about to move. */
  get isDue(): boolean {
    return this.#next !== undefined;
  }

  /** Where it is about to move. */
  get next(): FileHandle | undefined {
    return this.#next?.to?.handle;
  }

  /** What is open has all bytes of the file. */
  get isWhole(): boolean {
    return this.#from === 0;
  }

  /** When the file had been written to that was let go of for a while; until another is open. */
  get restedAt(): bigint | undefined {
    return this.#restedAt;
  }

  rests(): void {
    try {
      this.#restedAt = this.#tailer.modified();
    } catch (error) {
      tolerateDead(error);
      // Whatever the file is by now, it is to be opened again.
      this.#restedAt = 0n;
    }
  }

  lead(): void {
    this.#isLed = true;
  }

  to(to: Elsewhere | undefined, size: number): void {
    void this.#next?.to?.handle.close();
    this.#next = { to, size };
    const { entry, path } = this.#file;
    if (to !== undefined && !isSameFile(to.found.stamp, entry)) {
      const { knownFiles } = this.#context;
      if (entry.copy !== null) knownFiles.remove(entry.copy, path);
      entry.copy = to.found.stamp;
      knownFiles.add(entry.copy, path);
    }
    if (!this.#isLed) void this.make();
  }

  /** Moves if it is to. Whoever comes second waits for the first. */
  async make(): Promise<void> {
    await this.#moving;
    const move = this.#next;
    if (move === undefined) return;
    this.#moving = this.#makeNow(move);
    await this.#moving;
  }

  async #makeNow(move: Move): Promise<void> {
    await this.#tailer.moveTo(move.to?.handle);
    if (move.to === undefined) this.disown();
    else {
      this.#context.openFiles.add(this.#cursor);
      this.#restedAt = undefined;
    }
    this.#from = move.to?.from ?? 0;
    // After a kill not all that was shipped is known, and what holds it was not open.
    if (move.to?.from === 0)
      this.#file.entry.sums = await withBytesUpTo(move.to.handle, this.#file.entry, this.#cursor.position);
    this.#file.entry.size = Math.max(move.size, this.#cursor.position);
    await this.#cursor.readAgain();
    if (this.#next === move) this.#next = undefined;
  }

  /** Whether what is open lacks bytes that are read from there on, those before included that have to match. */
  lacks(position: number): boolean {
    return this.#from > 0 && position < this.#from + TAIL_BYTES;
  }

  /** The descriptor is no longer this one's. */
  disown(): void {
    this.#context.openFiles.remove(this.#cursor);
  }

  async close(): Promise<void> {
    await this.make();
    await this.#tailer.close();
    this.disown();
  }
}
