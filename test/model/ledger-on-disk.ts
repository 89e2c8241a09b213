// One partition's ledger in a directory of the model: read and repaired at start, appended to with crashes in the
// middle of a line, and the only authority on which bytes may be cut.

import type { PartitionRecord } from '../../common/record/record.ts';
import {
  applyLine,
  cutLine,
  cutsAllowed,
  emptyLedger,
  LEDGER_VERSION,
  listedBytes,
  type Ledger,
  type LedgerLine,
} from '../../receiver/ledger/ledger.ts';
import { compactText, decodeLine, encodeLine } from '../../receiver/ledger/lines.ts';
import { frameEndBehind, sizeOf, truncate, type Directory } from './directory.ts';
import { breath, type Process } from './scheduler.ts';
import type { World } from './world.ts';

/** What the text on disk adds up to; a torn last line is none. */
export function readLedger(directory: Directory, partition: number): Ledger {
  const ledger = emptyLedger(directory.id, partition);
  const lines = (directory.ledgers.get(partition) ?? '').split('\n').slice(0, -1);
  for (const line of lines) applyLine(ledger, decodeLine(line));
  return ledger;
}

/** A start: the torn line goes, the ledger is sometimes compacted, and what it does not list is cut. */
export function openLedger(world: World, directory: Directory, partition: number): Ledger {
  const ledger = readLedger(directory, partition);
  const text = directory.ledgers.get(partition) ?? '';
  const header = encodeLine({ version: LEDGER_VERSION, directory: directory.id, partition });
  if (text === '') directory.ledgers.set(partition, header);
  else if (world.random.chance(0.3)) directory.ledgers.set(partition, [...compactText(ledger)].join(''));
  else directory.ledgers.set(partition, text.slice(0, text.lastIndexOf('\n') + 1));
  cutUnlisted(directory, ledger);
  // Lost lines may have said that bytes were cut.
  for (const file of directory.files) {
    if (file.partition !== partition || listedBytes(ledger, file.destination, file.inode) <= sizeOf(file))
      continue;
    const end = file.format === 'zstd' ? { end: file.pieces.at(-1)?.end ?? 0 } : {};
    const line = { cut: file.destination, inode: file.inode, to: sizeOf(file), ...end };
    append(directory, partition, encodeLine(line));
    applyLine(ledger, line);
  }
  return ledger;
}

/** The last lines are gone, though they were on disk: damage, or a backup that was put back. */
export function loseLedgerEnd(directory: Directory, partition: number, lines: number): void {
  const kept = (directory.ledgers.get(partition) ?? '').split('\n').slice(0, -1 - lines);
  if (kept.length > 0) directory.ledgers.set(partition, `${kept.join('\n')}\n`);
}

/** Cuts what the ledger does not list. */
export function cutUnlisted(directory: Directory, ledger: Ledger): void {
  for (const file of directory.files)
    if (file.partition === ledger.partition)
      truncate(file, Math.min(sizeOf(file), listedBytes(ledger, file.destination, file.inode)));
}

/** Appends lines durably, one after the other; a crash can leave a part of one. */
export function* appendLines(
  world: World,
  directory: Directory,
  ledger: Ledger,
  lines: readonly LedgerLine[],
): Process {
  for (const line of lines) {
    const text = encodeLine(line);
    const torn = world.random.integer(0, text.length);
    append(directory, ledger.partition, text.slice(0, torn));
    if (world.random.chance(0.5)) yield* breath();
    append(directory, ledger.partition, text.slice(torn));
    applyLine(ledger, line);
  }
}

function append(directory: Directory, partition: number, text: string): void {
  directory.ledgers.set(partition, (directory.ledgers.get(partition) ?? '') + text);
}

/** Cuts what the record says that others hold: first in the ledger, then on disk, so that no listed byte is missing. */
export function* recover(
  world: World,
  directory: Directory,
  ledger: Ledger,
  record: PartitionRecord | undefined,
): Process {
  if (record === undefined) return;
  for (const cut of cutsAllowed(ledger, record)) {
    const { destination, inode, within } = cut;
    const file = directory.files.find((each) => each.inode === inode);
    const frameEnd = within && file && frameEndBehind(file, within.run.from, within.keep);
    if (within !== undefined && (frameEnd === undefined || frameEnd.to === cut.to)) continue;
    const to = frameEnd?.to ?? cut.to;
    world.trace(`${directory.id} cuts ${destination} inode ${inode} to ${to}`);
    yield* appendLines(world, directory, ledger, [cutLine(cut, frameEnd)]);
    yield* breath();
    if (file !== undefined) truncate(file, to);
  }
}
