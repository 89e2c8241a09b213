// What a receiver has written: the files of a destination in the order of their bytes, uncompressed.

import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';

import { systemCode } from '../../common/runtime/errors.ts';
import { sleep } from '../../common/runtime/run.ts';
import { bySegmentTime, isSegmentOf } from '../../receiver/ledger/names.ts';

/** Every file below an output directory that is not logferry's own. */
async function dataFiles(out: string): Promise<string[]> {
  const entries = await readdir(out, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((name) => !name.includes('/.logferry/'));
}

/** The bytes of all data files, uncompressed: when nothing lies in two places, no more than was written. */
export async function bytesIn(outs: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const out of outs) for (const name of await dataFiles(out)) bytes += await plainSize(name);
  return bytes;
}

/** 0 for a file that is gone by now. */
export async function plainSize(name: string): Promise<number> {
  try {
    if (name.endsWith('.gz')) return gunzipSync(await readFile(name)).length;
    if (name.endsWith('.zst')) return (await contentOf(name)).length;
    return (await stat(name)).size;
  } catch (error) {
    // While it is written to, it may end in the middle of a frame.
    const isOpen = name.endsWith('.zst') && systemCode(error)?.startsWith('Z') === true;
    if (systemCode(error) === 'ENOENT' || isOpen) return 0;
    throw error;
  }
}

const ZSTD_MAGIC = Buffer.from('28b52ffd', 'hex');

/** All frames, one behind the other, as zstdcat reads them. Throws zlib's error for one that is not whole. */
export function unzstd(data: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < data.length;) {
    // Node ends with the first frame, and says how far it has read. Its types do not know.
    const { buffer, engine } = zstdDecompressSync(data.subarray(at), { info: true }) as unknown as {
      buffer: Buffer;
      engine: { bytesWritten: number };
    };
    parts.push(buffer);
    at += engine.bytesWritten;
  }
  return Buffer.concat(parts);
}

/** The files of a destination, in the order of their bytes. */
export async function centralFiles(out: string, host: string, source: string): Promise<string[]> {
  const active = path.join(out, host, source);
  const base = path.basename(active);
  const names = (await readdir(path.dirname(active))).filter((name) => isSegmentOf(base, name));
  const files = names.toSorted(bySegmentTime).map((name) => path.join(path.dirname(active), name));
  for (const name of [active, `${active}.zst`])
    if ((await stat(name).catch(() => undefined)) !== undefined) files.push(name);
  return files;
}

/** What a central file holds; one may be called so and yet be plain, since its source is called so. */
async function contentOf(file: string): Promise<Buffer> {
  const data = await readFile(file);
  return file.endsWith('.zst') && data.subarray(0, 4).equals(ZSTD_MAGIC) ? unzstd(data) : data;
}

/** A receiver may rename files between the listing and the reading of them: the same is listed before and after. */
export const READS = 20;
export const READ_AGAIN_MS = 50;

export async function central(out: string, host: string, source: string): Promise<Buffer> {
  const list = async (): Promise<string[]> => await centralFiles(out, host, source).catch(() => []);
  for (let reads = 1; reads <= READS; reads += 1) {
    const names = await list();
    const data = await Promise.all(names.map(contentOf)).catch(() => undefined);
    if (data !== undefined && isDeepStrictEqual(names, await list())) return Buffer.concat(data);
    await sleep(READ_AGAIN_MS);
  }
  return Buffer.alloc(0);
}
