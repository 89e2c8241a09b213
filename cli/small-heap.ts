// A shipper is a guest on its host: V8 would otherwise let the heap grow with the machine's memory.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Small young generations, and an old one that at most doubles between two collections. What is shipped lies in buffers elsewhere. */
const FLAGS = ['--semi-space-growth-factor=1', '--heap-growing-percent=100', '--expose-gc'];
/** By then the start is over, which leaves the heap full of holes: with 2,000 files it is three times what is used. */
const COMPACT_AFTER_MS = 30_000;

/** Called before there is much in the heap. */
export function keepHeapSmall(): void {
  for (const flag of FLAGS) setFlagsFromString(flag);
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') return;
  setTimeout(() => {
    collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  }, COMPACT_AFTER_MS).unref();
}
