// What `demo` ships: files that grow and are rotated by rename, as applications and logrotate do it. Keeps a hash of
// all that it ever wrote to a path, apart from the files. Never deletes anything.

import { createHash } from 'node:crypto';
import { type FileHandle, open, rename } from 'node:fs/promises';
import path from 'node:path';

import { sleep } from '../../common/runtime/run.ts';
import { accessLine } from './lines.ts';

const TICK_MS = 10;

export interface FilePlan {
  readonly name: string;
  readonly bytesPerSecond: number;
  /** A generation of about this size is rotated away; undefined: never. */
  readonly rotateBytes?: number;
}

/** A file that grows. What is rotated away becomes `.1`, `.2`, …, the oldest with the highest number. */
export class GrowingFile {
  readonly path: string;
  readonly plan: FilePlan;
  bytes = 0;
  lines = 0;
  rotations = 0;
  readonly #hash = createHash('sha256');
  #handle: FileHandle | undefined;
  #size = 0;

  constructor(directory: string, plan: FilePlan) {
    this.path = path.join(directory, plan.name);
    this.plan = plan;
  }

  /** All generations, in the order in which they were written. */
  get generations(): string[] {
    const old = Array.from(
      { length: this.rotations },
      (_, index) => `${this.path}.${this.rotations - index}`,
    );
    return [...old, this.path];
  }

  /** Appends so many whole lines in one write. */
  async append(lines: number): Promise<void> {
    if (lines <= 0) return;
    const now = new Date();
    let text = '';
    for (let index = 1; index <= lines; index += 1) text += accessLine(this.lines + index, now, Math.random);
    const data = Buffer.from(text, 'latin1');
    this.#handle ??= await open(this.path, 'a');
    await this.#handle.appendFile(data);
    this.#hash.update(data);
    this.#size += data.length;
    this.bytes += data.length;
    this.lines += lines;
  }

  /** As logrotate does it with `create`: .1 → .2, the file → .1; the next line makes a new file. */
  async rotate(): Promise<void> {
    for (let number = this.rotations; number >= 1; number -= 1)
      await rename(`${this.path}.${number}`, `${this.path}.${number + 1}`);
    await rename(this.path, `${this.path}.1`);
    await this.close();
    this.rotations += 1;
    this.#size = 0;
    await this.append(1);
  }

  async rotateWhenLarge(): Promise<void> {
    if (this.plan.rotateBytes !== undefined && this.#size >= this.plan.rotateBytes) await this.rotate();
  }

  /** SHA-256 of all that was written, as hex. Ask when nothing is written any more. */
  digest(): string {
    return this.#hash.digest('hex');
  }

  async close(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
  }
}

/** About this many bytes are in a line: what turns bytes a second into lines. */
const LINE_BYTES = 150;

/** Writes to all files at their pace, in uneven bursts, until the signal fires. */
export async function keepWriting(files: readonly GrowingFile[], signal: AbortSignal): Promise<void> {
  const due = new Map(files.map((file) => [file, 0]));
  for (let last = performance.now(); !signal.aborted;) {
    await sleep(TICK_MS, signal);
    const now = performance.now();
    for (const file of files) {
      const lines = (due.get(file) ?? 0) + (((now - last) / 1_000) * file.plan.bytesPerSecond) / LINE_BYTES;
      // Nothing, or twice as much: whole lines either way, the rest stays due.
      const burst = Math.random() < 0.5 ? 0 : Math.floor(lines);
      await file.append(burst);
      due.set(file, lines - burst);
      await file.rotateWhenLarge();
    }
    last = now;
  }
}
