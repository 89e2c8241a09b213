// Whether the system tells when a file was born. Where statx(2) may not be called, as under an old seccomp profile, Node
// gives the time of the last change in its place: taken for a birth, each append would make another file.

import path from 'node:path';

import { chmod, open, stat, unlink } from './disk.ts';
import { sleep } from '../../common/runtime/run.ts';

/** A clock of a file system stands still for up to 10 ms. */
const TICK_MS = 12;

let areTold = true;

/** What counts as the birth of a file, in nanoseconds since 1970: 0 for none. */
export function birthOf(birthtimeNs: bigint): bigint {
  return areTold ? birthtimeNs : 0n;
}

/** Finds out once, with a file of its own in a directory. Says whether births are told. */
export async function learnBirths(directory: string): Promise<boolean> {
  const probe = path.join(directory, 'birth.tmp');
  const handle = await open(probe, 'w', 0o600);
  await handle.close();
  try {
    const before = await stat(probe, { bigint: true });
    await sleep(TICK_MS);
    await chmod(probe, 0o400);
    const after = await stat(probe, { bigint: true });
    areTold = before.birthtimeNs === after.birthtimeNs;
    return areTold;
  } finally {
    await unlink(probe);
  }
}
