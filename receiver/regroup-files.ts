// Replaces all ledgers of a directory at once: the new ones are complete beside the old ones first. A crash leaves the
// old ones, or new ones that the next start puts in their place.

import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';

import { syncDirectory, unlinkIfThere, writeFileDurably } from '../common/files.ts';
import { compactLines, encodeLine, type Ledger } from './ledger.ts';
import { ledgerPath, ledgersIn } from './ledger-file.ts';
import { STATE_DIRECTORY } from './names.ts';

/** Below the state directory: all new ledgers. It has this name once they are whole. */
const READY = 'regrouped';

/** None of the ledgers may be open. */
export async function regroupOnDisk(out: string, ledgers: readonly Ledger[]): Promise<void> {
  const ready = path.join(out, STATE_DIRECTORY, READY);
  const making = `${ready}.tmp`;
  await rm(making, { recursive: true, force: true });
  await mkdir(making, { mode: 0o700 });
  for (const ledger of ledgers) {
    const name = path.basename(ledgerPath(out, ledger.partition));
    await writeFileDurably(path.join(making, name), compactLines(ledger).map(encodeLine).join(''));
  }
  await rename(making, ready);
  await syncDirectory(path.dirname(ready));
  await finishRegrouping(out);
}

/** Puts new ledgers in the place of the old ones where that was begun. What is done twice changes nothing. */
export async function finishRegrouping(out: string): Promise<void> {
  const state = path.join(out, STATE_DIRECTORY);
  const ready = path.join(state, READY);
  const done = `${ready}.done`;
  await rm(done, { recursive: true, force: true });
  const names = await readdir(state);
  if (!names.includes(READY)) return;
  const wanted = await readdir(ready);
  for (const name of wanted)
    await writeFileDurably(path.join(state, name), await readFile(path.join(ready, name)));
  for (const partition of await ledgersIn(out)) {
    const file = ledgerPath(out, partition);
    if (!wanted.includes(path.basename(file))) await unlinkIfThere(file);
  }
  await syncDirectory(state);
  await rename(ready, done);
  await syncDirectory(state);
  await rm(done, { recursive: true, force: true });
}
