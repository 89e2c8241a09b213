// What large buffers cost: V8 frees them when it collects, and looks through the whole heap for them when it lets them
// become many. That took a third of a receiver's CPU (docs/performance.md). So those that nobody reads again are given
// back at once, and the rest, which are young, is collected after so many bytes.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { type: 'minor' | 'major'; execution: 'sync'; flavor?: 'last-resort' }) => void;

/** Smaller ones may share their memory with others, and are not worth it. */
const LEAST_BYTES = 64 * 1024;
/** Room at the end that a buffer may have been made with. */
const MOST_SPARE = 4 * 1024;
/** So many bytes of chunks leave about as many of buffers behind. */
const COLLECT_BYTES = 16 * 1024 * 1024;
/** The old generation may grow by this much of itself, buffers included, before it is looked through. */
const FLAGS = ['--semi-space-growth-factor=1', '--heap-growing-percent=150', '--expose-gc'];
/** By then the start is over, which leaves the heap full of holes: with 2,000 files it is three times what is used. */
const COMPACT_AFTER_MS = 30_000;

let collect: Collect | undefined;
let passed = 0;

/** For a process that does nothing else; called before there is much in the heap. */
export function keepHeapSmall(): void {
  for (const flag of FLAGS) setFlagsFromString(flag);
  const gc: unknown = runInNewContext('gc');
  if (typeof gc !== 'function') return;
  collect = gc as Collect;
  setTimeout(() => {
    collect?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  }, COMPACT_AFTER_MS).unref();
}

/** Called for the bytes of each chunk that is done with. */
export function chunkDone(bytes: number): void {
  passed += bytes;
  if (passed < COLLECT_BYTES) return;
  passed = 0;
  collect?.({ type: 'minor', execution: 'sync' });
}

/** For bytes that nobody reads again, in a buffer that is theirs alone. Does nothing with what may be a part of another. */
export function giveBack({ buffer, byteLength }: Uint8Array): void {
  const isAlone = byteLength >= LEAST_BYTES && buffer.byteLength - byteLength <= MOST_SPARE;
  if (isAlone && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
