// The source file of a drain: generated once and kept for the next time, counted, and in the page cache.

import { mkdir, open, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { readFully } from '../common/runtime/files.ts';
import { generate, type Lines } from './generate.ts';
import type { Source } from './report.ts';

const DIRECTORY = path.join(tmpdir(), 'logferry-bench');
const SEED = 1;
const BLOCK = 4 * 1024 * 1024;
const NEWLINE = 10;

/**
 * One file, or the same amount in many. An empty file beside it is what starting and stopping is measured with.
 */
export async function makeSource(
  lines: Lines,
  bytes: number,
  files: number,
  signal: AbortSignal,
  onProgress: (done: number) => void,
): Promise<{ source: Source; empty: string }> {
  await mkdir(DIRECTORY, { recursive: true });
  const empty = path.join(DIRECTORY, 'empty.log');
  await writeFile(empty, '');
  const names = await (files === 1 ? makeOne : makeMany)(lines, bytes, files, signal, onProgress);
  const source = { bytes: 0, lines: 0 };
  for (const name of names) {
    const read = await readThrough(name, signal);
    source.bytes += read.bytes;
    source.lines += read.lines;
  }
  const [first = ''] = names;
  const glob = files === 1 ? first : path.join(path.dirname(first), '*.log');
  return { source: { glob, files: names, ...source }, empty };
}

type Make = (
  lines: Lines,
  bytes: number,
  files: number,
  signal: AbortSignal,
  onProgress: (done: number) => void,
) => Promise<string[]>;

const makeOne: Make = async (lines, bytes, _files, signal, onProgress) => {
  const file = path.join(DIRECTORY, `${lines}-${bytes}.log`);
  await generate(file, bytes, { lines, seed: SEED, signal, onProgress });
  return [file];
};

const makeMany: Make = async (lines, bytes, files, signal, onProgress) => {
  const directory = path.join(DIRECTORY, `${lines}-${bytes}-${files}`);
  await mkdir(directory, { recursive: true });
  const each = Math.ceil(bytes / files);
  const names: string[] = [];
  for (let number = 0; number < files; number += 1) {
    const file = path.join(directory, `app-${number}-a.log`);
    const ignore = (): void => {};
    await generate(file, each, { lines, seed: SEED + number, signal, onProgress: ignore });
    names.push(file);
    onProgress(number * each);
  }
  return names;
};

/** Reads all of it, which leaves it in the page cache. */
async function readThrough(file: string, signal: AbortSignal): Promise<{ bytes: number; lines: number }> {
  const handle = await open(file, 'r');
  try {
    const block = Buffer.allocUnsafe(BLOCK);
    let lines = 0;
    for (let bytes = 0; ;) {
      signal.throwIfAborted();
      const length = await readFully(handle, block, bytes);
      const data = block.subarray(0, length);
      for (let at = data.indexOf(NEWLINE); at >= 0; at = data.indexOf(NEWLINE, at + 1)) lines += 1;
      bytes += length;
      if (length < BLOCK) return { bytes, lines };
    }
  } finally {
    await handle.close();
  }
}
