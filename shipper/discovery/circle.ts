// What would ship itself: the shipper's own state and log, and what a receiver writes. Never opens a file.

import path from 'node:path';

import { realpath, stat } from '../files/disk.ts';
import { systemCode } from '../../common/runtime/errors.ts';
import { isRotatedLog } from '../../common/runtime/log-file.ts';
import { foundOf } from '../files/discover.ts';
import { isSameFile, type FileStamp } from '../files/identity.ts';

/** In every output directory of a receiver (receiver/output/output.ts). */
const OUTPUT_MARKER = path.join('.logferry', 'directory.json');

/** Why a file is not shipped. */
export interface Refusal {
  /** What it is said of, once: the file, or the directory that it is in. */
  readonly about: string;
  readonly text: string;
}

export class Circle {
  readonly #state: string;
  readonly #logs: readonly string[];
  /** Where they are, without symbolic links above them. */
  #names: readonly string[] = [];
  /** The files that the logs were written to so far. */
  readonly #stamps: FileStamp[] = [];
  /** The output directory that a directory is in, where one was looked for. */
  readonly #outputs = new Map<string, Promise<string | undefined>>();

  private constructor(state: string, logs: readonly string[]) {
    this.#state = state;
    this.#logs = logs;
  }

  /**
   * @param state the state directory, which exists
   * @param logs what the process writes its log to; known by inode, so that it may be renamed, and by the names that
   *   its own rotation gives
   */
  static async of(state: string, logs: readonly string[]): Promise<Circle> {
    const circle = new Circle(await realpath(state), logs);
    await circle.lookAgain();
    return circle;
  }

  /** Forgets which directories are in no output directory: a receiver may have made one of them its own. */
  async lookAgain(): Promise<void> {
    this.#outputs.clear();
    this.#names = await Promise.all(this.#logs.map(realName));
    for (const log of this.#logs) await this.#learn(log);
  }

  /** The log may have been rotated, and be another file now. */
  async #learn(log: string): Promise<void> {
    const stats = await unlessGone(async () => await stat(log, { bigint: true }));
    if (stats?.isFile() !== true) return;
    const { stamp } = foundOf(log, stats);
    if (!this.#isOwnLog(stamp)) this.#stamps.push(stamp);
  }

  #isOwnLog(stamp: FileStamp): boolean {
    return this.#stamps.some((log) => isSameFile(log, stamp));
  }

  /**
   * Undefined for what may be shipped. What has gone is judged by where it was.
   *
   * @param stamp of the file, where it is one
   */
  async refusal(file: string, stamp: FileStamp | undefined): Promise<Refusal | undefined> {
    const ownLog = { about: file, text: `skipping ${file}: it is this shipper's own log` };
    if (stamp !== undefined && this.#isOwnLog(stamp)) return ownLog;
    const real = (await unlessGone(async () => await realpath(file))) ?? (await realName(file));
    if (this.#isLogName(real)) return ownLog;
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

  /** One that was rotated since, or by an earlier run. */
  #isLogName(real: string): boolean {
    return this.#names.some((name) => real === name || isRotatedLog(real, name));
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

async function realName(file: string): Promise<string> {
  const directory = path.dirname(path.resolve(file));
  return path.join(
    (await unlessGone(async () => await realpath(directory))) ?? directory,
    path.basename(file),
  );
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
