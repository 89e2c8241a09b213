// Whether files, one behind the other, are byte for byte the source.

import { type FileHandle, open } from 'node:fs/promises';

import { readFully } from '../common/files.ts';

const BLOCK = 4 * 1024 * 1024;

/** The offset of the first byte that differs, or where one side ends early; undefined when they are identical. */
export async function firstDifference(
  source: string,
  parts: readonly string[],
  signal: AbortSignal,
): Promise<number | undefined> {
  const handle = await open(source, 'r');
  try {
    let offset = 0;
    for (const part of parts) {
      const end = await comparePart(handle, part, offset, signal);
      if (!end.identical) return end.offset;
      ({ offset } = end);
    }
    return (await handle.stat()).size === offset ? undefined : offset;
  } finally {
    await handle.close();
  }
}

async function comparePart(
  source: FileHandle,
  part: string,
  start: number,
  signal: AbortSignal,
): Promise<{ offset: number; identical: boolean }> {
  const handle = await open(part, 'r');
  try {
    const ours = Buffer.allocUnsafe(BLOCK);
    const theirs = Buffer.allocUnsafe(BLOCK);
    for (let at = 0; ;) {
      signal.throwIfAborted();
      const length = await readFully(handle, ours, at);
      const want = theirs.subarray(0, await readFully(source, theirs, start + at, length));
      const got = ours.subarray(0, length);
      if (!got.equals(want)) {
        let same = 0;
        while (same < want.length && got[same] === want[same]) same += 1;
        return { offset: start + at + same, identical: false };
      }
      at += length;
      if (length < BLOCK) return { offset: start + at, identical: true };
    }
  } finally {
    await handle.close();
  }
}
