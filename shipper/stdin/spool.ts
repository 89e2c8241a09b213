// Standard input on its way to disk: each read is in the spool before the next one is made. Files of bounded size, one
// after the other; at the limit nothing is read, and whoever writes to the pipe waits. Never ships: spool-source.ts does.

import { randomBytes } from 'node:crypto';
import { closeSync, fsync, openSync, statSync, writeSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';

import { shortHash } from '../../common/wire/digest.ts';
import { messageOf } from '../../common/runtime/errors.ts';
import { ensureDirectory, syncDirectory, unlinkIfThere, namesIn } from '../../common/runtime/files.ts';
import { type Logger, Throttle } from '../../common/runtime/log.ts';
import { Bell, until } from '../../common/runtime/run.ts';
import { decodeToken, encodeToken } from '../../common/wire/subjects.ts';
import { formatBytes } from '../../common/text/units.ts';

const sync = promisify(fsync);

/** Below the state directory, one directory for each name. */
const DIRECTORY = 'spool';
/** A quarter of the limit, so that there is room again when a quarter is committed; and no more than this. */
const MOST_SEGMENT_BYTES = 64 * 1024 * 1024;
/** Made durable as often as the state is saved; what did not fit is tried again. */
const TICK_MS = 1_000;
/** At a stop: what is in the pipe is still read, until it has been empty for this long. */
const QUIET_MS = 100;
const STOP_MS = 2_000;
const LONGEST_NAME = 200;
const NEWLINE = 0x0a;

/** One file of the spool. */
export interface Segment {
  readonly path: string;
  /** The file id of its bytes: in its name, so that it outlives the state. */
  readonly file: string;
  size: number;
  /** Nothing is written to it any more. */
  isFinished: boolean;
}

export class Spool {
  /** The path under which the input is shipped. */
  readonly name: string;
  /** Oldest first; the last one is written to until the input ends. */
  readonly segments: Segment[] = [];
  /** Rings when there is more, or no more. */
  readonly changed = new Bell();
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #log: Logger;
  readonly #throttle = new Throttle();
  /** New at each start: after a power cut, bytes that were shipped may be missing in what an earlier one has written. */
  readonly #base = randomBytes(8).toString('hex');
  readonly #timer: NodeJS.Timeout;
  #number = 0;
  #fd: number | undefined;
  #input: Readable | undefined;
  /** What was read and did not fit on the disk. */
  #rest: Buffer = Buffer.alloc(0);
  #readAt = performance.now();
  #hasEnded = false;
  #ending: Promise<void> | undefined;
  #isDirty = false;
  #syncing: Promise<void> = Promise.resolve();

  private constructor(directory: string, name: string, maxBytes: number, log: Logger) {
    this.#directory = directory;
    this.name = name;
    this.#maxBytes = maxBytes;
    this.#log = log;
    this.#timer = setInterval(() => {
      this.#tick();
    }, TICK_MS);
  }

  /** Opens the spool of a name below a state directory, whose lock is held. */
  static async open(state: string, name: string, maxBytes: number, log: Logger): Promise<Spool> {
    const directory = path.join(state, DIRECTORY, directoryName(name));
    await ensureDirectory(directory, '--state');
    const spool = new Spool(directory, name, maxBytes, log);
    await spool.#load();
    return spool;
  }

  async #load(): Promise<void> {
    for (const { number, base, file } of segmentsIn(await readdir(this.#directory))) {
      const segment = path.join(this.#directory, file);
      const { size } = statSync(segment);
      this.#number = number + 1;
      if (size === 0) await unlinkIfThere(segment);
      else this.segments.push({ path: segment, file: `${base}-${number}`, size, isFinished: true });
    }
    if (this.bytes > 0)
      this.#log.info(`${formatBytes(this.bytes)} of ${this.name} are in the spool: shipped first`);
  }

  /** What is on disk and not committed, and the rest of the segments that it is in. */
  get bytes(): number {
    return this.segments.reduce((sum, { size }) => sum + size, 0);
  }

  /** The input has ended, and all of it is on disk. */
  get hasEnded(): boolean {
    return this.#hasEnded && this.#rest.length === 0;
  }

  /** The input has ended, and all of it was committed. */
  get isDone(): boolean {
    return this.hasEnded && this.segments.length === 0;
  }

  /** Reads a stream to its end. */
  read(input: Readable): void {
    this.#input = input;
    input.on('data', this.#take);
    input.once('end', this.#end);
    input.once('error', (error) => {
      this.#log.error(`standard input: ${messageOf(error)}; taken for its end`);
      this.#end();
    });
  }

  readonly #take = (data: Buffer): void => {
    this.#readAt = performance.now();
    this.#rest = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    this.#write();
  };

  readonly #end = (): void => {
    this.#hasEnded = true;
    this.#write();
  };

  /** Synchronously: what was read is in the system's hands before anything else happens. */
  #write(): void {
    try {
      while (this.#rest.length > 0) this.#rest = this.#rest.subarray(this.#append(this.#rest));
    } catch (error) {
      this.#throttle.run('write', (repeated) => {
        const text = `cannot spool standard input (${messageOf(error)}); reading no more of it, trying again`;
        this.#log.error({ repeated }, text);
      });
    }
    if (this.hasEnded) this.#finishSegment();
    if (this.#isFull) this.#input?.pause();
    this.changed.ring();
  }

  get #isFull(): boolean {
    return this.#rest.length > 0 || this.bytes >= this.#maxBytes;
  }

  /** Returns how many bytes were written; a full segment ends behind a line where there is one. */
  #append(data: Buffer): number {
    const segment = this.#writable();
    const limit = Math.min(MOST_SEGMENT_BYTES, Math.ceil(this.#maxBytes / 4));
    const isLast = segment.size + data.length >= limit;
    const line = isLast ? data.lastIndexOf(NEWLINE) + 1 : 0;
    const written = writeSync(this.#fd ?? -1, data, 0, line > 0 ? line : data.length);
    segment.size += written;
    this.#isDirty = true;
    if (segment.size >= limit || (isLast && written === line)) this.#finishSegment();
    return written;
  }

  #writable(): Segment {
    const last = this.segments.at(-1);
    if (last !== undefined && !last.isFinished) return last;
    const name = `${String(this.#number).padStart(9, '0')}-${this.#base}`;
    const segment = path.join(this.#directory, name);
    this.#fd = openSync(segment, 'ax', 0o600);
    const added = { path: segment, file: `${this.#base}-${this.#number}`, size: 0, isFinished: false };
    this.#number += 1;
    this.segments.push(added);
    return added;
  }

  #finishSegment(): void {
    const last = this.segments.at(-1);
    if (last === undefined || last.isFinished) return;
    last.isFinished = true;
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd === undefined) return;
    this.#syncing = this.#syncing.then(async () => {
      await this.#sync(fd);
      closeSync(fd);
    });
  }

  async #sync(fd: number): Promise<void> {
    try {
      await sync(fd);
      await syncDirectory(this.#directory);
    } catch (error) {
      this.#throttle.run('sync', (repeated) => {
        this.#log.warn({ repeated }, `cannot sync the spool (${messageOf(error)})`);
      });
    }
  }

  /** It was committed: its room is free again. */
  async remove(segment: Segment): Promise<void> {
    await this.#syncing;
    await unlinkIfThere(segment.path);
    this.segments.splice(this.segments.indexOf(segment), 1);
    this.#resume();
    this.changed.ring();
  }

  #resume(): void {
    if (!this.#isFull) this.#input?.resume();
  }

  #tick(): void {
    if (this.#rest.length > 0) {
      this.#write();
      this.#resume();
    }
    if (!this.#isDirty) return;
    this.#isDirty = false;
    this.#syncing = this.#syncing.then(async () => {
      if (this.#fd !== undefined) await this.#sync(this.#fd);
    });
  }

  /** Takes what is in the pipe already, then reads no more. May be called again. */
  async endReading(): Promise<void> {
    this.#ending ??= this.#endReading();
    await this.#ending;
  }

  async #endReading(): Promise<void> {
    const isQuiet = (): boolean =>
      this.#hasEnded || this.#isFull || performance.now() - this.#readAt >= QUIET_MS;
    await until(isQuiet, { timeoutMs: STOP_MS });
    this.#input?.off('data', this.#take).off('end', this.#end).pause();
    // Resumed by whatever is committed meanwhile, it would throw away what it reads.
    this.#input = undefined;
  }

  /** Reads no more, and makes durable what there is. */
  async stop(): Promise<void> {
    await this.endReading();
    clearInterval(this.#timer);
    this.#write();
    this.#finishSegment();
    await this.#syncing;
    if (this.#rest.length > 0)
      this.#log.error(
        `${formatBytes(this.#rest.length)} of standard input were read and could not be spooled`,
      );
    if (this.bytes > 0)
      this.#log.info(
        `${formatBytes(this.bytes)} of ${this.name} stay in the spool: the next start ships them`,
      );
    if (this.segments.length === 0) await rm(this.#directory, { recursive: true, force: true });
  }
}

/** The segments in the order in which they were written. */
function segmentsIn(names: readonly string[]): { number: number; base: string; file: string }[] {
  return names
    .flatMap((file) => {
      const [, number, base] = /^(\d{9})-([0-9a-f]{16})$/.exec(file) ?? [];
      return number === undefined || base === undefined ? [] : [{ number: Number(number), base, file }];
    })
    .toSorted((a, b) => a.number - b.number);
}

/** A name as one directory's. */
function directoryName(name: string): string {
  const token = encodeToken(name);
  return token.length <= LONGEST_NAME
    ? token
    : `${token.slice(0, LONGEST_NAME / 2)}~${shortHash(Buffer.from(name))}`;
}

/** Says which other names have something in the spool of a state directory: only a start under that name ships it. */
export async function sayLeftInSpool(state: string, name: string | undefined, log: Logger): Promise<void> {
  const directory = path.join(state, DIRECTORY);
  for (const each of await namesIn(directory)) {
    if (name !== undefined && each === directoryName(name)) continue;
    const left = segmentsIn(await namesIn(path.join(directory, each)));
    if (left.length === 0) continue;
    const which = decodeToken(each) ?? each;
    log.warn(
      `standard input of an earlier run as ${which} is still in the spool: ship - --as ${which} ships it`,
    );
  }
}
