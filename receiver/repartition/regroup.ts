// Records and ledgers cut anew for another number of partitions. Each file goes where its host belongs; what is said of
// it does not change. Pure.

import {
  emptyRecord,
  type FileEntry,
  MAX_TERMS,
  type PartitionRecord,
  type StreamPosition,
} from '../../common/record/record.ts';
import { partitionOf, sourceOf } from '../../common/wire/subjects.ts';
import { addKnown } from '../ledger/known.ts';
import { emptyLedger, type Ledger, type Run, setRuns } from '../ledger/ledger.ts';

/**
 * A record for each of the new partitions, also for those without a file: a receiver that found none would consume from
 * the beginning. Nobody owns them.
 *
 * @param records all that were found, for their terms
 * @param files what they say together, by fileKey
 * @param position up to where everything in the stream is committed
 */
export function regroupRecords(
  records: readonly PartitionRecord[],
  files: ReadonlyMap<string, FileEntry>,
  partitions: number,
  position: StreamPosition,
): PartitionRecord[] {
  const own = Array.from({ length: partitions }, () => new Map<string, FileEntry>());
  for (const [key, entry] of files) own[placeOf(key, partitions)]?.set(key, entry);
  const terms = Array.from({ length: partitions }, () => new Set<string>());
  // Their order counts among those of one file, which all come from one record.
  for (const record of records)
    for (const partition of new Set([...record.files.keys()].map((key) => placeOf(key, partitions))))
      for (const term of record.terms) terms[partition]?.add(term);
  return own.map((entries, partition) => ({
    ...emptyRecord(partitions),
    terms: [...(terms[partition] ?? [])].slice(-MAX_TERMS),
    stream: position,
    files: entries,
  }));
}

/** Whether a ledger lists files of hosts that belong to another partition now. */
export function isOfOthers(ledger: Ledger, partitions: number): boolean {
  const isOther = (key: string): boolean => placeOf(key, partitions) !== ledger.partition;
  for (const runs of ledger.destinations.values()) if (runs.some(({ file }) => isOther(file))) return true;
  return [...ledger.known.keys()].some(isOther);
}

/**
 * The ledgers of one directory for another number of partitions, those that list anything. Destinations without a listed
 * byte are left out: whoever calls this has cut what no ledger lists, so they have no file.
 */
export function regroupLedgers(ledgers: readonly Ledger[], partitions: number): Ledger[] {
  const regrouped = new Map<number, Ledger>();
  for (const ledger of ledgers) {
    const into = (key: string): Ledger => {
      const partition = placeOf(key, partitions);
      const there = regrouped.get(partition);
      if (there !== undefined) {
        // Merged into another bucket, or none: then all of it is merged again, which changes nothing.
        if (there.bucket !== ledger.bucket) there.bucket = undefined;
        there.damaged ||= ledger.damaged;
        there.version = Math.max(there.version, ledger.version);
        return there;
      }
      const { version, bucket, damaged } = ledger;
      const made = { ...emptyLedger(ledger.directory, partition), version, bucket, damaged };
      regrouped.set(partition, made);
      return made;
    };
    for (const [destination, runs] of ledger.destinations)
      moveDestination(ledger, into(runs[0]?.file ?? ''), destination, runs);
    for (const known of ledger.known.values()) addKnown(into(known.file).known, known);
  }
  return [...regrouped.values()].toSorted((a, b) => a.partition - b.partition);
}

/** All runs of a destination are one host's: its first directory is the host. */
function moveDestination(from: Ledger, to: Ledger, destination: string, runs: readonly Run[]): void {
  setRuns(to, destination, [...runs]);
  if (from.opened.has(destination)) to.opened.add(destination);
  for (const [name, owner] of from.actives) if (owner === destination) to.actives.set(name, owner);
}

function placeOf(key: string, partitions: number): number {
  return partitionOf(sourceOf(key).host, partitions);
}
