// What would ship itself: the shipper's own state and log, and what a receiver writes. Never opens a file.

import { realpath, stat } from 'node:fs/promises';
import path from 'node:path';

import { systemCode } from '../common/errors.ts';
import { foundOf } from './discover.ts';
import { isSameFile, type FileStamp } from './identity.ts';

/** In every output directory of a receiver (receiver/output.ts). */
const OUTPUT_MARKER = path.join('.logferry', 'directory.json');

/** Why a file is not shipped. */
export interface Refusal {
  /** What it is said of, once: the file, or the directory that it is in. */
  readonly about: string;
  readonly text: string;
}

export class Circle {
  readonly #state: string;
  readonly #logs: readonly FileStamp[];
  /** The output directory that a directory is in, where one was looked for. */
  readonly #outputs = new Map<string, Promise<string | undefined>>();

  private constructor(state: string, logs: readonly FileStamp[]) {
    this.#state = state;
    this.#logs = logs;
  }

  /**
   * @param state the state directory, which exists
   * @param logs what the process writes its log to; known by inode, so that it may be renamed
   */
  static async of(state: string, logs: readonly string[]): Promise<Circle> {
    const stamps: FileStamp[] = [];
    for (const log of logs) {
      const stats = await unlessGone(async () => await stat(log, { bigint: true }));
      if (stats?.isFile() === true) stamps.push(foundOf(log, stats).stamp);
    }
    return new Circle(await realpath(state), stamps);
  }

  /** Forgets which directories are in no output directory: a receiver may have made one of them its own. */
  lookAgain(): void {
    this.#outputs.clear();
  }

  /**
   * Undefined for what may be shipped, and for what has gone.
   *
   * @param stamp of the file, where it is one
   */
  async refusal(file: string, stamp: FileStamp | undefined): Promise<Refusal | undefined> {
    if (stamp !== undefined && this.#logs.some((log) => isSameFile(log, stamp)))
      return { about: file, text: `skipping ${file}: it is this shipper's own log` };
    const real = await unlessGone(async () => await realpath(file));
    if (real === undefined) return undefined;
    if (real.startsWith(`${this.#state}/`))
      return {
        about: this.#state,
        text: `skipping what is below ${this.#state}: it is this shipper's own state`,
      };
    const output = await this.#outputOf(path.dirname(real));
    if (output === undefined) return undefined;
    const why = `a receiver writes there (${path.join(output, OUTPUT_MARKER)}), and what it writes would go in a circle`;
    return { about: output, text: `skipping what is below ${output}: ${why}` };
  }

  /** The directory, or the nearest one above, that a receiver writes to. */
  async #outputOf(directory: string): Promise<string | undefined> {
    const known = this.#outputs.get(directory);
    if (known !== undefined) return await known;
    const looked = this.#lookForOutput(directory);
    this.#outputs.set(directory, looked);
    return await looked;
  }

  async #lookForOutput(directory: string): Promise<string | undefined> {
    const marker = path.join(directory, OUTPUT_MARKER);
    if ((await unlessGone(async () => await stat(marker))) !== undefined) return directory;
    const above = path.dirname(directory);
    return above === directory ? undefined : await this.#outputOf(above);
  }
}

/** Undefined for what is not there, or not to be seen. */
async function unlessGone<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP' || code === 'EACCES') return undefined;
    throw error;
  }
}
