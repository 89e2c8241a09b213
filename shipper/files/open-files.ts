// How many files may be open: the system's limit for a process. When more are wanted, those that were not written to
// for longest give up their descriptors, committed ones first. They are opened again when they change.

import { sleep } from '../../common/runtime/run.ts';

/** A file that is open, and may be closed for a while. */
export interface OpenFile {
  readonly quietMs: number;
  /** Whether it has everything of its file in the stream; `isCommitted` when a receiver has it as well. */
  readonly mayRest: boolean;
  readonly isCommitted: boolean;
  /** Closes it soon. */
  rest(): void;
}

/** Descriptors for everything else: connections, listings, the state, files that are being looked at. */
const RESERVED = 96;
const LEAST = 16;
/** So many are closed together, as a share of what may be open: whoever comes next finds room. */
const SHARE = 0.1;
const LOOK_MS = 20;
/** Then one that is not committed is closed too: its bytes are in the stream, and in the file. */
const PATIENCE_MS = 1_000;
/** Then it is tried without room; the system says no, and it is tried again. */
const GIVE_UP_MS = 5_000;

export class OpenFiles {
  readonly #most: number;
  readonly #onFull: (most: number) => void;
  readonly #open = new Set<OpenFile>();
  /** Opened, and nobody's yet. */
  #arriving = 0;

  /** @param onFull told each time that others have to be closed */
  constructor(limit: number, onFull: (most: number) => void) {
    this.#most = Math.max(LEAST, limit - RESERVED);
    this.#onFull = onFull;
  }

  add(file: OpenFile): void {
    this.#open.add(file);
  }

  remove(file: OpenFile): void {
    this.#open.delete(file);
  }

  get count(): number {
    return this.#open.size;
  }

  /** One was opened that has no owner yet; undone with -1. */
  arrived(count: 1 | -1): void {
    this.#arriving += count;
  }

  /** Whether one more may be opened, and nothing has to be closed for it. */
  get hasRoom(): boolean {
    return !this.#isFull;
  }

  get #isFull(): boolean {
    return this.#open.size + this.#arriving >= this.#most;
  }

  /** Before one is opened. Waits a while for files that are being shipped to be done. */
  async makeRoom(signal: AbortSignal): Promise<void> {
    if (!this.#isFull) return;
    this.#onFull(this.#most);
    const began = performance.now();
    for (let ms = 0; this.#isFull && ms < GIVE_UP_MS && !signal.aborted; ms = performance.now() - began) {
      this.#closeSome(ms >= PATIENCE_MS);
      await sleep(LOOK_MS, signal);
    }
  }

  #closeSome(alsoUncommitted: boolean): void {
    const resting = [...this.#open].filter((file) => file.mayRest);
    const committed = resting.filter((file) => file.isCommitted);
    const some = committed.length === 0 && alsoUncommitted ? resting : committed;
    const count = Math.ceil(this.#most * SHARE);
    for (const file of some.toSorted((a, b) => b.quietMs - a.quietMs).slice(0, count)) file.rest();
  }
}
