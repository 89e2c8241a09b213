// One central file that is open for writing: appends, tells where the bytes lie, syncs, rotates into segments with
// rotating-file-stream, and cuts itself back. Never decides what to write.

import { closeSync, fdatasync, fstatSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

import { createStream, type RotatingFileStream } from 'rotating-file-stream';

import { LogferryError, messageOf, systemCode } from '../../common/runtime/errors.ts';
import { deleted, syncDirectory } from '../../common/runtime/files.ts';
import { type Access, fileMode, giveFile } from './access.ts';
import { activeName, type Format } from '../ledger/names.ts';
import { makeDirectories, type Place, removeIfThere, rotateAway, rotatedName } from './places.ts';
import { inodeOf, isStill } from './segments.ts';

const datasync = promisify(fdatasync);

export interface RotateOptions {
  /** What the bytes that are written are; undefined for plain. */
  readonly format?: Format;
  /** Bytes on disk after which the active file becomes a segment; undefined for never. */
  readonly sizeBytes: number | undefined;
  /** As rotating-file-stream takes it (`1d`, `6h`); undefined for never. */
  readonly interval: string | undefined;
  /** Who may read the files. */
  readonly access?: Access;
  /** Told that a file has become a segment. */
  readonly onRotated?: () => void;
}

/** A file on disk, by a descriptor of our own: rotating-file-stream keeps its private, and never syncs. */
interface OpenFile {
  readonly fd: number;
  readonly inode: string;
  /** What it is called now. */
  name: string;
  size: number;
  /** Up to here it was given to the disk ahead of the next sync. */
  flushed: number;
  /** While the disk is at it: the descriptor stays open so long. */
  flushing: Promise<void> | undefined;
}

/** After so many bytes the disk begins to write, so that a sync has little left to wait for. */
const FLUSH_BYTES = 8 * 1024 * 1024;

/** So much is written on the spot. */
const SMALL_BYTES = 64 * 1024;

/** Segments that were rotated away hold a descriptor each until they are synced. */
const MOST_ROTATED = 8;

export class Destination {
  readonly destination: string;
  readonly #out: string;
  readonly #access: Access;
  readonly #rotate: RotateOptions;
  #stream: RotatingFileStream;
  #current: OpenFile | undefined;
  /** Rotated away with bytes that are not settled. */
  #rotated: OpenFile[] = [];
  /** Written to since all was settled. */
  readonly #written = new Set<OpenFile>();
  /** The one of #rotated that is being renamed. */
  #away: OpenFile | undefined;
  #emptyAway = false;
  #newEntries = true;
  #failure: Error | undefined;
  #isOutOfReach = false;
  #users = 0;
  #retired: Promise<void> | undefined;
  #isClosed = false;

  private constructor(out: string, destination: string, rotate: RotateOptions) {
    this.#out = out;
    this.#access = rotate.access ?? {};
    this.destination = destination;
    this.#rotate = rotate;
    this.#stream = this.#startStream();
  }

  /** Opens the active file, or makes it a segment at once where it is as long as it may be. */
  #startStream(): RotatingFileStream {
    const rotate = this.#rotate;
    const { destination } = this;
    const format = rotate.format ?? 'plain';
    const active = path.join(this.#out, activeName(destination, format));
    const stream = createStream(
      (time, index) =>
        time === null || time === undefined
          ? path.basename(active)
          : rotatedName(destination, format, index ?? 1),
      {
        path: `${path.dirname(active)}/`,
        mode: fileMode(this.#access),
        intervalUTC: true,
        ...(rotate.sizeBytes === undefined ? {} : { size: `${rotate.sizeBytes}B` as const }),
        ...(rotate.interval === undefined
          ? {}
          : { interval: rotate.interval, intervalBoundary: true, initialRotation: true }),
      },
    );
    stream.on('error', (error) => {
      this.#failure = error;
    });
    stream.on('rotation', () => {
      const away = this.#current;
      this.#current = undefined;
      // What is on disk counts: a write that rotates has not come back yet.
      this.#emptyAway = away !== undefined && fstatSync(away.fd).size === 0;
      this.#away = undefined;
      if (away === undefined) return;
      if (this.#written.has(away)) {
        this.#rotated.push(away);
        this.#away = away;
      } else closeFlushed(away);
    });
    stream.on('rotated', (name) => {
      // The timer rotates a file that nothing was written to as well.
      if (this.#emptyAway) rmSync(name, { force: true });
      if (this.#away !== undefined) this.#away.name = name;
      rotate.onRotated?.();
    });
    stream.on('open', () => {
      this.#opened(active);
    });
    return stream;
  }

  /**
   * Opens the active file for appending, creating what is missing. Throws the system's error.
   *
   * @param finished the active file of another format, if there may be one: it becomes a segment
   */
  static async open(
    out: string,
    destination: string,
    rotate: RotateOptions,
    finished?: Format,
  ): Promise<Destination> {
    await makeDirectories(out, path.dirname(destination), rotate.access ?? {});
    if (finished !== undefined) await rotateAway(out, destination, finished);
    const opened = new Destination(out, destination, rotate);
    try {
      await opened.#untilOpen();
    } catch (error) {
      await opened.close();
      throw error;
    }
    return opened;
  }

  async #untilOpen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#stream.once('open', () => {
        resolve();
      });
      this.#stream.once('error', reject);
    });
    this.#throwFailure();
  }

  #opened(active: string): void {
    try {
      const fd = openSync(active, 'r+');
      const stats = fstatSync(fd, { bigint: true });
      const size = Number(stats.size);
      if (inodeOf(stats) === this.#current?.inode) {
        // It was cut meanwhile, and did not become a segment.
        closeSync(fd);
        return;
      }
      this.#current = { fd, inode: inodeOf(stats), name: active, size, flushed: size, flushing: undefined };
      this.#newEntries = true;
      giveFile(fd, this.#access);
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(messageOf(error));
    }
  }

  /** Somebody is about to write, or writes. */
  get isBusy(): boolean {
    return this.#users > 0;
  }

  /** Closed, nothing is missed: no clock rotates it, or there is nothing in it to be rotated. */
  get mayRest(): boolean {
    return this.#rotate.interval === undefined || this.#current?.size === 0;
  }

  /** It was closed to make room: open it anew. */
  get isRetired(): boolean {
    return this.#retired !== undefined;
  }

  /** Files that it has closed may hold bytes that no ledger lists: they have to be found by their names. */
  get isOutOfReach(): boolean {
    return this.#isOutOfReach || this.isRetired;
  }

  /** It was retired, and that has come to an end. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Does the work while it cannot be retired. */
  async busy<T>(work: () => Promise<T>): Promise<T> {
    this.#users += 1;
    try {
      return await work();
    } finally {
      this.#users -= 1;
    }
  }

  /** Makes what was written durable and closes it; the next sync throws what went wrong. Not while it is busy. */
  async retire(): Promise<void> {
    this.#retired ??= this.#retireNow();
    await this.#retired;
  }

  async #retireNow(): Promise<void> {
    try {
      await this.#syncNow();
    } catch (error) {
      this.#failure ??= error instanceof Error ? error : new Error(messageOf(error));
    } finally {
      await this.close();
      this.#isClosed = true;
    }
  }

  /**
   * Appends one buffer as a whole and says where it lies. Not durable before sync(). Throws when the bytes are not
   * all there: then only cutBack() and a new Destination help.
   */
  async write(data: Uint8Array): Promise<Place> {
    this.#throwFailure();
    const before = this.#current;
    if (before !== undefined && data.length <= SMALL_BYTES) return await this.#append(before, data);
    if (before !== undefined) this.#written.add(before);
    await new Promise<void>((resolve, reject) => {
      this.#stream.write(data, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(error);
      });
    });
    this.#throwFailure();
    for (const file of new Set([before, ...this.#rotated, this.#current])) {
      if (file === undefined) continue;
      const from = file.size;
      this.#written.add(file);
      if (fstatSync(file.fd).size === from) continue;
      const place = this.#complete(file, data);
      if (this.#rotated.length > MOST_ROTATED) await this.#syncRotated();
      return place;
    }
    throw new LogferryError('failed', `${this.destination}: none of ${data.length} bytes were written`);
  }

  /** On the spot: another thread would cost several times as much. rotating-file-stream does not know of it. */
  async #append(file: OpenFile, data: Uint8Array): Promise<Place> {
    this.#written.add(file);
    const place = this.#complete(file, data);
    if (place.to < (this.#rotate.sizeBytes ?? Number.POSITIVE_INFINITY)) return place;
    await this.#end();
    this.#stream = this.#startStream();
    await this.#untilOpen();
    if (this.#rotated.length > MOST_ROTATED) await this.#syncRotated();
    return place;
  }

  /** Writes what is not there yet; a short write says why with the next one, or gets in after all. */
  #complete(file: OpenFile, data: Uint8Array): Place {
    const from = file.size;
    let { size } = fstatSync(file.fd);
    while (size < from + data.length)
      size += writeSync(file.fd, data, size - from, from + data.length - size, size);
    file.size = size;
    if (size !== from + data.length)
      throw new LogferryError(
        'failed',
        `${this.destination}: ${size - from} of ${data.length} bytes were written`,
      );
    if (size - file.flushed >= FLUSH_BYTES) this.#flush(file);
    return { inode: file.inode, from, to: size };
  }

  /** The kernel says an error of the disk once for a descriptor: perhaps to the one that began earlier. */
  async #datasync(file: OpenFile): Promise<void> {
    await datasync(file.fd);
    await file.flushing;
    this.#throwFailure();
    if (fstatSync(file.fd).nlink === 0) throw deleted(file.name);
  }

  /** What it fails with the next write or sync throws. */
  #flush(file: OpenFile): void {
    if (file.flushing !== undefined) return;
    file.flushed = file.size;
    file.flushing = datasync(file.fd)
      .catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(messageOf(error));
      })
      .finally(() => {
        file.flushing = undefined;
      });
  }

  /** Makes every byte written so far durable, those in segments that were rotated away too. */
  async sync(): Promise<void> {
    if (this.#retired === undefined) await this.busy(async () => await this.#syncNow());
    else await this.#retired;
    this.#throwFailure();
  }

  async #syncNow(): Promise<void> {
    await this.#syncRotated();
    if (this.#current !== undefined) await this.#datasync(this.#current);
    if (this.#newEntries) {
      this.#newEntries = false;
      await syncDirectory(path.join(this.#out, path.dirname(this.destination)));
    }
  }

  async #syncRotated(): Promise<void> {
    for (let file = this.#rotated[0]; file !== undefined; file = this.#rotated[0]) {
      await this.#datasync(file);
      this.#rotated.shift();
      this.#written.delete(file);
      this.#isOutOfReach = true;
      closeFlushed(file);
    }
  }

  /** The ledger lists all that was synced: nothing of it is to be cut back any more. */
  settle(): void {
    this.#isOutOfReach = false;
    this.#written.clear();
  }

  /**
   * Closes it and cuts what was written since all was settled back to what is listed, but for files that are out of
   * its reach then.
   */
  async cutBack(listed: (inode: string) => number): Promise<void> {
    const files = [...this.#rotated, ...(this.#current === undefined ? [] : [this.#current])];
    this.#rotated = [];
    this.#current = undefined;
    await this.#end();
    for (const file of files) {
      try {
        await file.flushing;
        const keep = listed(file.inode);
        if (fstatSync(file.fd).size > keep) ftruncateSync(file.fd, keep);
        await datasync(file.fd);
        if (keep === 0 && (await isStill(file.name, file.inode))) await removeIfThere(file.name);
      } catch (error) {
        // By name it may be possible all the same: for the caller to try, who gets the error then.
        if (systemCode(error) === undefined) throw error;
        this.#isOutOfReach = true;
      } finally {
        closeSync(file.fd);
      }
    }
  }

  /** Closes it as it is. */
  async close(): Promise<void> {
    await this.#end();
    for (const file of [...this.#rotated, ...(this.#current === undefined ? [] : [this.#current])])
      closeFlushed(file);
    this.#rotated = [];
    this.#current = undefined;
  }

  async #end(): Promise<void> {
    if (this.#stream.destroyed) return;
    await new Promise<void>((resolve) => {
      this.#stream.once('close', resolve);
      this.#stream.once('error', () => {
        resolve();
      });
      this.#stream.destroy();
    });
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }
}

/** Another file may get the number of a descriptor that is closed too early. */
function closeFlushed({ fd, flushing }: OpenFile): void {
  if (flushing === undefined) closeSync(fd);
  else
    void flushing.finally(() => {
      closeSync(fd);
    });
}
