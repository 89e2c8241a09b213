// Replaces all ledgers of a directory at once: the new ones are complete beside the old ones first. A crash leaves the
// old ones, or new ones that the next start puts in their place, and that count until then for whoever reads.

import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';

import { systemCode } from '../../common/runtime/errors.ts';
import { syncDirectory, unlinkIfThere, writeFileDurably } from '../../common/runtime/files.ts';
import { type Ledger } from '../ledger/ledger.ts';
import { compactText } from '../ledger/lines.ts';
import { ledgerPath, ledgersIn, loadLedgerOutside } from '../ledger/ledger-file.ts';
import { STATE_DIRECTORY } from '../ledger/names.ts';

/** Below an output directory: all new ledgers. It has this name once they are whole. */
const READY = path.join(STATE_DIRECTORY, 'regrouped');
const MAKING = `${READY}.tmp`;

/** None of the ledgers may be open. */
export async function regroupOnDisk(out: string, ledgers: readonly Ledger[]): Promise<void> {
  const ready = path.join(out, READY);
  const making = path.join(out, MAKING);
  await rm(making, { recursive: true, force: true });
  await mkdir(making, { mode: 0o700 });
  for (const ledger of ledgers)
    await writeFileDurably(ledgerPath(out, ledger.partition, MAKING), compactText(ledger));
  await rename(making, ready);
  await syncDirectory(path.dirname(ready));
  await finishRegrouping(out);
}

/** Puts new ledgers in the place of the old ones where that was begun. What is done twice changes nothing. */
export async function finishRegrouping(out: string): Promise<void> {
  const state = path.join(out, STATE_DIRECTORY);
  const ready = path.join(out, READY);
  const done = `${ready}.done`;
  await rm(done, { recursive: true, force: true });
  const wanted = await readyIn(out);
  if (wanted === undefined) return;
  for (const partition of wanted)
    await writeFileDurably(ledgerPath(out, partition), await readFile(ledgerPath(out, partition, READY)));
  for (const partition of await ledgersIn(out))
    if (!wanted.includes(partition)) await unlinkIfThere(ledgerPath(out, partition));
  await syncDirectory(state);
  await rename(ready, done);
  await syncDirectory(state);
  await rm(done, { recursive: true, force: true });
}

/** The ledgers of a directory, and the paths of those that have lost lines. */
export interface LoadedLedgers {
  readonly ledgers: readonly Ledger[];
  readonly damaged: readonly string[];
}

/** What all ledgers of a directory say, read from outside, while they are replaced or not. */
export async function loadLedgers(out: string): Promise<LoadedLedgers> {
  for (;;) {
    const ready = await readyIn(out);
    const below = ready === undefined ? undefined : READY;
    const ledgers: Ledger[] = [];
    const damaged: string[] = [];
    for (const partition of ready ?? (await ledgersIn(out))) {
      const file = ledgerPath(out, partition, below);
      const loaded = await loadLedgerOutside(file, partition);
      ledgers.push(loaded.ledger);
      if (loaded.damaged) damaged.push(file);
    }
    // Otherwise they were moved meanwhile, and some were not there.
    if (((await readyIn(out)) === undefined) === (ready === undefined)) return { ledgers, damaged };
  }
}

/** The partitions of the new ledgers that are not all in their place yet; undefined when there are none. */
async function readyIn(out: string): Promise<number[] | undefined> {
  try {
    return await ledgersIn(out, READY);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
