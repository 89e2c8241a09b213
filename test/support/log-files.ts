// Log files whose every byte is remembered, and a writer that appends to them and rotates them.

import { closeSync, existsSync, openSync, renameSync, rmSync, truncateSync, writeSync } from 'node:fs';
import { copyFile, readFile, truncate } from 'node:fs/promises';
import path from 'node:path';

import { sleep } from '../../common/runtime/run.ts';

/** Where files are written, as which host, and where what was written is kept. */
export interface Place {
  readonly host: string;
  readonly source: string;
  readonly dir: string;
}

/** What was written to a path, in memory, and lines of which no two are equal. */
export class Remembered {
  readonly #label: string;
  #parts: Buffer[] = [];
  #lines = 0;

  /** @param label with which each line begins */
  constructor(label: string) {
    this.#label = label;
  }

  get written(): Buffer {
    return Buffer.concat(this.#parts);
  }

  /** So many lines that were never there before. */
  newLines(count: number, before: (number: number) => string = () => ''): string {
    let text = '';
    for (let line = 0; line < count; line += 1) {
      this.#lines += 1;
      text += `${before(this.#lines)}${this.#label} line ${this.#lines} ${'x'.repeat(this.#lines % 97)}\n`;
    }
    return text;
  }

  wrote(data: string | Uint8Array): void {
    this.#parts.push(Buffer.from(data as string));
  }

  /** What was written so far need not arrive, or has. */
  forget(): void {
    this.#parts = [];
  }
}

/** Makes room for another `.1`: `.1` becomes `.2`, and so on. */
export function moveOn(file: string): void {
  let last = 0;
  while (existsSync(`${file}.${last + 1}`)) last += 1;
  for (; last >= 1; last -= 1) renameSync(`${file}.${last}`, `${file}.${last + 1}`);
}

/** A source file that is written to, rotated, and whose every byte is remembered on disk. */
export class Written {
  readonly host: string;
  readonly file: string;
  readonly #truth: string;
  #fd: number;
  bytes = 0;
  lines = 0;
  rotations = 0;

  constructor(place: Place, name: string, host = place.host) {
    this.host = host;
    this.file = path.join(place.source, name);
    this.#truth = path.join(place.dir, `truth-${name.replaceAll('/', '-')}`);
    this.#fd = openSync(this.file, 'a');
    rmSync(this.#truth, { force: true });
  }

  /** Appends a line; every one is different. */
  line(length = 100): void {
    this.lines += 1;
    const text = `${path.basename(this.file)} line ${this.lines} `;
    this.append(`${text}${'x'.repeat(Math.max(0, length - text.length - 1))}\n`);
  }

  append(text: string | Buffer): void {
    const data = Buffer.from(text as string);
    const truth = openSync(this.#truth, 'a');
    writeSync(truth, data);
    closeSync(truth);
    writeSync(this.#fd, data);
    this.bytes += data.length;
  }

  /** As logrotate does it with `create`: .1 → .2, the file → .1, a new file. Nothing is ever deleted. */
  rotate(): void {
    moveOn(this.file);
    renameSync(this.file, `${this.file}.1`);
    closeSync(this.#fd);
    this.#fd = openSync(this.file, 'a');
    this.rotations += 1;
  }

  /** Moves the file away, to a name that nothing has, and goes on in a new one. */
  rotateTo(name: string): void {
    renameSync(this.file, name);
    closeSync(this.#fd);
    this.#fd = openSync(this.file, 'a');
    this.rotations += 1;
  }

  /** As logrotate does it with `copytruncate`; no byte is written between the copy and the truncation. */
  async copyTruncate(): Promise<void> {
    moveOn(this.file);
    await copyFile(this.file, `${this.file}.1`);
    truncateSync(this.file, 0);
    this.rotations += 1;
  }

  /** Empties it in place; what was shipped of it stays. */
  async truncate(): Promise<void> {
    await truncate(this.file, 0);
  }

  async truth(): Promise<Buffer> {
    return await readFile(this.#truth);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** What is written, copied and truncated within milliseconds comes, but no reader can know its place in the order. */
const COPYTRUNCATE_MS = 300;

const writing = new Set<Writer>();

/** A writer in this process: appends to its files and rotates them, until it is stopped. */
export class Writer {
  readonly files: Written[];
  #stop = false;
  readonly #done: Promise<void>;

  constructor(
    files: Written[],
    rand: () => number,
    options: { rotate: 'rename' | 'copytruncate' | 'none'; perTick?: number },
  ) {
    this.files = files;
    this.#done = this.#run(rand, options);
    writing.add(this);
  }

  async #run(
    rand: () => number,
    { rotate, perTick = 40 }: { rotate: string; perTick?: number },
  ): Promise<void> {
    const truncatedAt = new Map<Written, number>();
    while (!this.#stop) {
      for (const file of this.files) {
        const count = Math.floor(rand() * perTick);
        for (let index = 0; index < count; index += 1) file.line(40 + Math.floor(rand() * 400));
        if (rotate !== 'none' && rand() < 0.01) {
          if (rotate === 'rename') file.rotate();
          else if (performance.now() - (truncatedAt.get(file) ?? 0) > COPYTRUNCATE_MS) {
            await file.copyTruncate();
            truncatedAt.set(file, performance.now());
          }
        }
      }
      await sleep(2 + rand() * 8);
    }
  }

  async stop(): Promise<void> {
    this.#stop = true;
    await this.#done;
    writing.delete(this);
  }
}

/** Ends the writers of files below a directory: other tests of the same process may be writing elsewhere. */
export async function stopWriters(directory: string): Promise<void> {
  for (const writer of writing)
    if (writer.files.some(({ file }) => file.startsWith(`${directory}/`))) await writer.stop();
}
