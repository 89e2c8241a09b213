// Compares what was written with what arrived, byte by byte: the generations of a source file one behind the other, and
// what `cat` reads of it from the output directory. Reads only, and asks nobody but the disk.

import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';

import { joinSource, listRuns, readContents, readPieces, STATE_DIRECTORY } from '../../receiver/read.ts';
import type { GrowingFile } from './writer.ts';

export interface Comparison {
  readonly name: string;
  readonly source: Side;
  readonly central: Side;
  readonly generations: number;
  readonly segments: number;
  /** The first byte that differs, or where the shorter side ends; undefined when they are identical. */
  readonly differsAt: number | undefined;
  /** Whether the source files hold what was written to them. */
  readonly sourceIntact: boolean;
}

export interface Side {
  readonly bytes: number;
  /** SHA-256, as hex. */
  readonly hash: string;
}

/** A receiver's directory, and the host that it has files of. */
export interface Central {
  readonly out: string;
  readonly host: string;
}

/** Compares one file; nothing may write to it, nor to the central files, meanwhile. */
export async function compareFile(file: GrowingFile, { out, host }: Central): Promise<Comparison> {
  const { runs, known } = await readContents([out]);
  const pieces = joinSource(runs, host, file.path, known)?.pieces ?? [];
  const { generations } = file;
  const [source, central] = [new Stream(bytesIn(generations)), new Stream(readPieces(pieces))];
  let differsAt: number | undefined;
  while (await source.has()) {
    if (!(await central.has())) break;
    const [want, got] = takeEqual(source, central);
    if (differsAt === undefined && !want.equals(got))
      differsAt = source.bytes - want.length + firstDifference(want, got);
  }
  if ((await source.has()) || (await central.has())) differsAt ??= Math.min(source.bytes, central.bytes);
  const [sourceSide, centralSide] = [await source.end(), await central.end()];
  const disks = listRuns(runs).flatMap((one) => (one.path === file.path ? (one.disk ?? []) : []));
  return {
    name: path.basename(file.path),
    source: sourceSide,
    central: centralSide,
    generations: generations.length,
    segments: new Set(disks).size,
    differsAt,
    sourceIntact: sourceSide.hash === file.digest(),
  };
}

/** Files below the output directory that no ledger lists, relative to it, and those that hold more than is listed. */
export async function strangeFiles({ out }: Pick<Central, 'out'>): Promise<string[]> {
  const listed = new Map<string, number>();
  for (const { disk, to } of listRuns((await readContents([out])).runs))
    if (disk !== null) listed.set(disk, Math.max(listed.get(disk) ?? 0, to ?? 0));
  const strange: string[] = [];
  for (const entry of await readdir(out, { recursive: true, withFileTypes: true })) {
    const name = path.relative(out, path.join(entry.parentPath, entry.name));
    if (!entry.isFile() || name.startsWith(`${STATE_DIRECTORY}/`)) continue;
    const { size } = await stat(path.join(out, name));
    if (size !== (listed.get(path.join(out, name)) ?? 0)) strange.push(name);
  }
  return strange;
}

async function* bytesIn(files: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const file of files) yield* createReadStream(file) as AsyncIterable<Uint8Array>;
}

function firstDifference(want: Buffer, got: Buffer): number {
  let same = 0;
  while (same < want.length && want[same] === got[same]) same += 1;
  return same;
}

/** As many bytes of both as both have at hand. */
function takeEqual(one: Stream, other: Stream): [Buffer, Buffer] {
  const length = Math.min(one.atHand, other.atHand);
  return [one.take(length), other.take(length)];
}

/** Bytes that come in pieces of any size, hashed on the way. */
class Stream {
  readonly #pieces: AsyncIterator<Uint8Array>;
  readonly #hash: Hash = createHash('sha256');
  #rest: Buffer = Buffer.alloc(0);
  /** Taken so far. */
  bytes = 0;

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#pieces = pieces[Symbol.asyncIterator]();
  }

  get atHand(): number {
    return this.#rest.length;
  }

  /** Whether there is a byte more; waits for it. */
  async has(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const next = await this.#pieces.next();
      if (next.done === true) return false;
      this.#rest = Buffer.from(next.value);
    }
    return true;
  }

  take(length: number): Buffer {
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    this.#hash.update(taken);
    this.bytes += length;
    return taken;
  }

  /** What it was, to its end. */
  async end(): Promise<Side> {
    while (await this.has()) this.take(this.atHand);
    return { bytes: this.bytes, hash: this.#hash.digest('hex') };
  }
}
