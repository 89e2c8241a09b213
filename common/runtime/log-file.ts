// The file of --log-file: rotated by size, opened anew when somebody has moved it away, and never a reason to stop: a
// line that the disk does not take is counted and left out. Several processes may write to one.

import { closeSync, fstatSync, mkdirSync, openSync, renameSync, statSync, writeSync } from 'node:fs';
import path from 'node:path';

import { messageOf, systemCode } from './errors.ts';

export interface LogFileOptions {
  readonly file: string;
  /** It is rotated before it grows beyond this, in bytes. */
  readonly maxBytes: number;
  /** So many rotated files stay beside it: `<file>.1` is the newest. 0: what is full begins anew. */
  readonly keep: number;
}

/** For the group that reads logs, and less where the umask says so. */
const FILE_MODE = 0o640;
const DIRECTORY_MODE = 0o750;

/** So often it is looked whether the file is still the one of that name, and how large others have made it. */
const LOOK_MS = 1_000;
/** A rotation that failed is tried again when so much more was written. */
const TRY_AGAIN_BYTES = 1024 * 1024;

/** The number that pino writes for a warning. */
const WARN = 40;

/** The names that rotations give: `<file>.1` to `<file>.<n>`. */
export function isRotatedLog(name: string, file: string): boolean {
  return name.startsWith(`${file}.`) && /^\d{1,6}$/.test(name.slice(file.length + 1));
}

export class LogFile {
  readonly #file: string;
  readonly #maxBytes: number;
  readonly #keep: number;
  #fd: number;
  #inode: number;
  #size: number;
  #lookAt = 0;
  #rotateAt: number;
  /** Lines that were not written since the last one that was, and why. */
  #left = 0;
  #why = '';
  /** The last line was written in part. */
  #isTorn = false;
  #said = '';

  /** Opens it, with the directories above it. Throws the system's error. */
  constructor({ file, maxBytes, keep }: LogFileOptions) {
    this.#file = path.resolve(file);
    this.#maxBytes = maxBytes;
    this.#keep = keep;
    this.#rotateAt = maxBytes;
    [this.#fd, this.#inode, this.#size] = openLogFile(this.#file);
  }

  /** Appends a line with its newline. Never throws. */
  write(line: string, nowMs: number = performance.now()): void {
    const data = Buffer.from(line);
    if (nowMs >= this.#lookAt) this.#look(nowMs);
    if (this.#size > 0 && this.#size + data.length > this.#rotateAt) this.#rotate();
    if (this.#left > 0 && this.#append(this.#leftOut())) this.#left = 0;
    if (this.#left > 0 || !this.#append(data)) this.#left += 1;
  }

  /** Opens it by its name again: somebody may have moved the file away. Never throws. */
  reopen(): void {
    try {
      const [fd, inode, size] = openLogFile(this.#file);
      closeSync(this.#fd);
      [this.#fd, this.#inode, this.#size] = [fd, inode, size];
      this.#rotateAt = this.#maxBytes;
      this.#isTorn = false;
      this.#said = '';
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
      this.#complain(
        `cannot open the log ${this.#file} anew (${messageOf(error)}); going on in the old file`,
      );
    }
  }

  #look(nowMs: number): void {
    this.#lookAt = nowMs + LOOK_MS;
    if (inodeAt(this.#file) === this.#inode) this.#size = fstatSync(this.#fd).size;
    else this.reopen();
  }

  #rotate(): void {
    // Another process may have done it since the last look.
    if (inodeAt(this.#file) !== this.#inode) {
      this.reopen();
      return;
    }
    try {
      for (let number = this.#keep; number >= 1; number -= 1)
        renameIfThere(number === 1 ? this.#file : `${this.#file}.${number - 1}`, `${this.#file}.${number}`);
      if (this.#keep === 0) closeSync(openSync(this.#file, 'w'));
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
      this.#rotateAt = this.#size + TRY_AGAIN_BYTES;
      this.#complain(`cannot rotate the log ${this.#file} (${messageOf(error)}); it grows`);
      return;
    }
    this.reopen();
  }

  #append(data: Uint8Array): boolean {
    try {
      if (this.#isTorn) this.#writeAll(Buffer.from('\n'));
      this.#isTorn = false;
      this.#writeAll(data);
      return true;
    } catch (error) {
      if (systemCode(error) === undefined) throw error;
      this.#why = messageOf(error);
      return false;
    }
  }

  /** A disk that is nearly full takes a part of it, and fails with the rest. */
  #writeAll(data: Uint8Array): void {
    for (let done = 0; done < data.length;) {
      const written = writeSync(this.#fd, data, done);
      done += written;
      this.#size += written;
      this.#isTorn = done < data.length;
    }
  }

  #leftOut(): Uint8Array {
    const lines = this.#left === 1 ? 'a line' : `${this.#left} lines`;
    return warning(`${lines} of this log could not be written (${this.#why})`);
  }

  /** In the log itself; once, until it works again. */
  #complain(message: string): void {
    if (this.#said === message) return;
    this.#said = message;
    this.#append(warning(message));
  }
}

/** A line as pino writes it. */
function warning(msg: string): Uint8Array {
  return Buffer.from(`${JSON.stringify({ level: WARN, time: Date.now(), msg })}\n`);
}

function openLogFile(file: string): [fd: number, inode: number, size: number] {
  mkdirSync(path.dirname(file), { recursive: true, mode: DIRECTORY_MODE });
  // Appending, so that no process writes over another's line.
  const fd = openSync(file, 'a', FILE_MODE);
  const { ino, size } = fstatSync(fd);
  return [fd, ino, size];
}

/** Undefined for none. */
function inodeAt(file: string): number | undefined {
  try {
    return statSync(file).ino;
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
  }
}
