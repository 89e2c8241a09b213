// Compares what was written with what arrived, byte by byte: the generations of a source file one behind the other,
// and the segments of its central file in the same way. Reads only, and asks nobody but the disk.

import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import path from 'node:path';

import { readFully } from '../../common/runtime/files.ts';
import type { GrowingFile } from './writer.ts';
import { STATE_DIRECTORY, destinationOf, segmentsOf } from '../../receiver/read.ts';

const BLOCK = 1024 * 1024;

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

/** Compares one file; nothing may write to it, nor to the central files, meanwhile. */
export async function compareFile(
  file: GrowingFile,
  central: { readonly out: string; readonly host: string },
): Promise<Comparison> {
  const segments = await segmentsOf(central.out, destinationOf(central.host, file.path));
  const found = segments.map((segment) => path.join(central.out, segment.name));
  const { generations } = file;
  const [source, received] = [new Joined(generations), new Joined(found)];
  let differsAt: number | undefined;
  try {
    for (let offset = 0; ; offset += BLOCK) {
      const [want, got] = [await source.next(), await received.next()];
      if (want.length === 0 && got.length === 0) break;
      if (differsAt === undefined && !want.equals(got)) differsAt = offset + firstDifference(want, got);
    }
  } finally {
    await source.close();
    await received.close();
  }
  const [sourceSide, centralSide] = [source.end(), received.end()];
  return {
    name: path.basename(file.path),
    source: sourceSide,
    central: centralSide,
    generations: generations.length,
    segments: found.length,
    differsAt,
    sourceIntact: sourceSide.hash === file.digest(),
  };
}

/** Files below the output directory that belong to none of the sources, relative to it. */
export async function strangeFiles(
  files: readonly GrowingFile[],
  central: { readonly out: string; readonly host: string },
): Promise<string[]> {
  const known = new Set<string>();
  for (const file of files)
    for (const segment of await segmentsOf(central.out, destinationOf(central.host, file.path)))
      known.add(path.join(central.out, segment.name));
  const entries = await readdir(central.out, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((name) => !known.has(name))
    .map((name) => path.relative(central.out, name))
    .filter((name) => !name.startsWith(`${STATE_DIRECTORY}/`));
}

function firstDifference(want: Buffer, got: Buffer): number {
  let same = 0;
  while (same < want.length && same < got.length && want[same] === got[same]) same += 1;
  return same;
}

/** Several files as one, read in blocks and hashed on the way. */
class Joined {
  readonly #names: string[];
  readonly #hash: Hash = createHash('sha256');
  readonly #block = Buffer.allocUnsafe(BLOCK);
  #bytes = 0;
  #handle: FileHandle | undefined;
  #position = 0;

  constructor(names: readonly string[]) {
    this.#names = [...names];
  }

  /** The next block, full but for the last one; empty at the end. Valid until the next call. */
  async next(): Promise<Buffer> {
    let filled = 0;
    while (filled < BLOCK) {
      if (this.#handle === undefined) {
        const name = this.#names.shift();
        if (name === undefined) break;
        this.#handle = await open(name, 'r');
        this.#position = 0;
      }
      const read = await readFully(this.#handle, this.#block.subarray(filled), this.#position);
      filled += read;
      this.#position += read;
      if (filled < BLOCK) await this.close();
    }
    const data = this.#block.subarray(0, filled);
    this.#hash.update(data);
    this.#bytes += filled;
    return data;
  }

  end(): Side {
    return { bytes: this.#bytes, hash: this.#hash.digest('hex') };
  }

  async close(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
  }
}
