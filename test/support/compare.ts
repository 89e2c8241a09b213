// Waits until all that was written has arrived, then compares every byte: nothing missing, nothing twice, in order.

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';

import { LogferryError } from '../../common/runtime/errors.ts';
import { sleep, until } from '../../common/runtime/run.ts';
import { joinSource, readDirectories, readPieces } from '../../receiver/read/reader.ts';
import { WAIT_MS } from './timeouts.ts';
import { READ_AGAIN_MS, READS, bytesIn, central, centralFiles, plainSize } from './central-files.ts';
import { World } from './world.ts';
import { Written } from './log-files.ts';

/** -1 while one of them is not there yet. */
async function bytesListed(outs: readonly string[]): Promise<number> {
  try {
    return (await readDirectories(outs)).reduce((sum, { run }) => sum + run.end - run.start, 0);
  } catch (error) {
    if (error instanceof LogferryError) return -1;
    throw error;
  }
}

/** What the directories give back of a source file; empty where they do not know it. */
async function joined(outs: readonly string[], host: string, file: string): Promise<Buffer> {
  const source = joinSource(await readDirectories(outs), host, file);
  if (source === undefined || source.holes.length > 0) return Buffer.alloc(0);
  const parts: Uint8Array[] = [];
  for await (const part of readPieces(source.pieces)) parts.push(part);
  return Buffer.concat(parts);
}

/** Where two buffers differ, and what stands there. */
function difference(want: Buffer, got: Buffer): string {
  let at = 0;
  while (at < want.length && want[at] === got[at]) at += 1;
  const around = (data: Buffer): string =>
    JSON.stringify(data.subarray(Math.max(0, at - 60), at + 60).toString());
  return `they differ at ${at}\n written ${around(want)}\n found ${around(got)}`;
}

/**
 * Waits until the bytes of all directories add up to what was written, then joins every source file from all of them
 * and compares: nothing missing, nothing twice, in order.
 */
export async function assertShared(
  files: readonly Written[],
  outs: readonly string[],
  timeoutMs = WAIT_MS,
): Promise<void> {
  const written = files.reduce((sum, file) => sum + file.bytes, 0);
  let bytes = 0;
  // What is written but not committed is not listed yet.
  const isAllThere = async (): Promise<boolean> => {
    if ((await bytesListed(outs)) !== written) return false;
    bytes = await bytesIn(outs);
    return bytes === written;
  };
  await until(isAllThere, { timeoutMs, everyMs: 100 });
  for (const file of files) {
    const want = await file.truth();
    const got = await joined(outs, file.host, file.file);
    if (want.equals(got)) continue;
    assert.fail(
      `${file.host}: ${file.file}: ${want.length} bytes written in ${file.rotations + 1} generations, ` +
        `${got.length} joined; ${difference(want, got)}`,
    );
  }
  assert.equal(bytes, written, 'bytes of all data files, and what was written');
}

/** What was written to a source file. */
export type Truth = Pick<Written, 'file' | 'bytes' | 'rotations' | 'truth'>;

/** Waits until all that was written is there, then compares every byte: nothing missing, nothing twice, in order, no other file. */
export async function assertIdentical(
  world: World,
  files: readonly Truth[],
  timeoutMs = WAIT_MS,
): Promise<void> {
  const size = async (file: Truth): Promise<number> => {
    let bytes = 0;
    const names = await centralFiles(world.out, world.host, file.file).catch(() => []);
    for (const name of names) bytes += await plainSize(name);
    return bytes;
  };
  await until(
    async () => {
      for (const file of files) if ((await size(file)) < file.bytes) return false;
      return true;
    },
    { timeoutMs, everyMs: 50 },
  );
  for (const file of files) {
    const want = await file.truth();
    let got = await central(world.out, world.host, file.file);
    // What is wrong on disk stays so.
    for (let reads = 1; reads < READS && !want.equals(got); reads += 1) {
      await sleep(READ_AGAIN_MS);
      got = await central(world.out, world.host, file.file);
    }
    if (want.equals(got)) continue;
    assert.fail(
      `${file.file}: ${want.length} bytes written in ${file.rotations + 1} generations, ${got.length} at the destination; ` +
        difference(want, got),
    );
  }
  let strange: string[] = [];
  const isNone = async (): Promise<boolean> => {
    const all = await readdir(world.out, { recursive: true, withFileTypes: true });
    const expected = new Set<string>();
    for (const file of files)
      for (const name of await centralFiles(world.out, world.host, file.file)) expected.add(name);
    strange = all
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
      .filter((name) => !name.includes('/.logferry/') && !expected.has(name));
    return strange.length === 0;
  };
  // A segment that is compressed in between has another name.
  for (let looks = 1; looks < READS && !(await isNone()); looks += 1) await sleep(READ_AGAIN_MS);
  assert.ok(await isNone(), `files that nobody wrote: ${strange.join(', ')}`);
}
