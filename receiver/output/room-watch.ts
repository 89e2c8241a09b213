// Watches whether the disk below an output directory takes what is written: when it has failed for a while the receiver
// says so to the others, who then take over, and when a probe works again it says that too. Never moves a partition.

import { randomBytes } from 'node:crypto';
import { open, statfs } from 'node:fs/promises';
import path from 'node:path';

import { messageOf, systemCode } from '../../common/runtime/errors.ts';
import { unlinkIfThere } from '../../common/runtime/files.ts';
import type { Logger } from '../../common/runtime/log.ts';
import { Bell, sleep } from '../../common/runtime/run.ts';
import { formatBytes } from '../../common/text/units.ts';
import { STATE_DIRECTORY } from '../ledger/names.ts';
import { hasGained, isMeasurable, isNoRoom, overdueInMs, type Space } from './room.ts';

export interface RoomOptions {
  readonly out: string;
  /** Say that there is no room after failing for so long; undefined: never. */
  readonly handOverAfterMs: number | undefined;
  /** What becomes of the partitions then; for the log. */
  readonly consequence: string;
  readonly log: Logger;
}

const PROBE_MS = 3_000;
/** As much as one write to a central file. */
const PROBE_BYTES = 256 * 1024;
/** Longer than any wait has to be: setTimeout takes no more than 2^31 ms. */
const LONGEST_WAIT_MS = 60_000;

export class RoomWatch {
  readonly #options: RoomOptions;
  readonly #bell = new Bell();
  readonly #listeners = new Set<() => void>();
  /** Since when the writes of a partition fail for lack of room. */
  readonly #failing = new Map<number, number>();
  #why: unknown;
  /** The most that was free after cutting back: that much was not enough. */
  #freeWhenFull = 0;
  #hasRoom = true;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /** What the others are told. */
  get hasRoom(): boolean {
    return this.#hasRoom;
  }

  /** The last that was tried was written. */
  get works(): boolean {
    return this.#hasRoom && this.#failing.size === 0;
  }

  /** Calls back whenever hasRoom changes, until the function that it returns is called. */
  listen(callback: () => void): () => void {
    this.#listeners.add(callback);
    return () => {
      this.#listeners.delete(callback);
    };
  }

  /** A partition's writes failed, and were cut back. Errors of a single file count for nothing here. */
  async failed(partition: number, error: unknown): Promise<void> {
    if (!isNoRoom(error)) return;
    await this.#note(error);
    if (!this.#failing.has(partition)) this.#failing.set(partition, performance.now());
    this.#bell.ring();
  }

  /** A partition cannot even be taken: that does not wait. */
  async refused(partition: number, error: unknown): Promise<void> {
    await this.#note(error);
    this.#failing.set(partition, Number.NEGATIVE_INFINITY);
    this.#bell.ring();
  }

  /** What a partition wrote is on disk. */
  worked(partition: number): void {
    if (!this.#failing.delete(partition) || this.#failing.size > 0) return;
    this.#options.log.info(`writing below ${this.#options.out} works again`);
  }

  /** The partition is somebody else's. */
  forget(partition: number): void {
    this.#failing.delete(partition);
  }

  async #note(error: unknown): Promise<void> {
    if (this.#failing.size === 0) this.#freeWhenFull = 0;
    this.#why = error;
    this.#freeWhenFull = Math.max(this.#freeWhenFull, (await spaceOf(this.#options.out))?.free ?? 0);
  }

  /** Tries once, before anything is taken: a disk that was full may still be. */
  async begin(): Promise<void> {
    if (this.#options.handOverAfterMs === undefined || !this.#hasRoom) return;
    const error = await tryToWrite(this.#options.out);
    if (error === undefined) return;
    await this.#note(error);
    await this.#change(false);
  }

  /** Until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    const { handOverAfterMs } = this.#options;
    if (handOverAfterMs === undefined) return;
    while (!signal.aborted) {
      if (!this.#hasRoom) {
        await sleep(PROBE_MS, signal);
        if (!signal.aborted && (await this.#isBack())) await this.#change(true);
        continue;
      }
      const waitMs = overdueInMs(this.#failing.values(), handOverAfterMs, performance.now());
      if (waitMs <= 0) await this.#change(false);
      else await this.#bell.wait(Math.min(waitMs, LONGEST_WAIT_MS), signal);
    }
  }

  async #isBack(): Promise<boolean> {
    const { out } = this.#options;
    if (isMeasurable(this.#why)) {
      const space = await spaceOf(out);
      if (space === undefined || !hasGained(space, this.#freeWhenFull)) return false;
    }
    return (await tryToWrite(out)) === undefined;
  }

  async #change(hasRoom: boolean): Promise<void> {
    const { out, log, consequence } = this.#options;
    this.#hasRoom = hasRoom;
    this.#failing.clear();
    if (hasRoom) log.info({ out }, `there is room below ${out} again; taking partitions as planned`);
    else {
      const space = await spaceOf(out);
      const free =
        space === undefined ? '' : `; ${formatBytes(space.free)} of ${formatBytes(space.total)} are free`;
      log.error(
        { out, ...space },
        `no room below ${out} (${messageOf(this.#why)}${free}): ${consequence}; make room there, it goes on by itself`,
      );
    }
    for (const listener of this.#listeners) listener();
  }
}

/** Undefined when the file system does not say. */
export async function spaceOf(directory: string): Promise<Space | undefined> {
  try {
    const { bavail, blocks, bsize } = await statfs(directory);
    return { free: bavail * bsize, total: blocks * bsize };
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
}

/** Writes a file, makes it durable, removes it. Returns the disk's error. */
async function tryToWrite(out: string): Promise<Error | undefined> {
  const file = path.join(out, STATE_DIRECTORY, 'room-probe');
  try {
    const handle = await open(file, 'w', 0o600);
    try {
      // Not zeros: those take no room on a disk that compresses.
      await handle.writeFile(randomBytes(PROBE_BYTES));
      await handle.datasync();
    } finally {
      await handle.close();
      await unlinkIfThere(file);
    }
    return undefined;
  } catch (error) {
    if (error instanceof Error && systemCode(error) !== undefined) return error;
    throw error;
  }
}
