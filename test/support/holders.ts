// Any record that a ledger may meet, and the rule of what may be cut, said for one byte. For the laws of the ledger.

import fc from 'fast-check';

import {
  emptyRecord,
  pushHolder,
  type FileEntry,
  type Holder,
  type PartitionRecord,
} from '../../common/record/record.ts';
import { allRuns, type Ledger } from '../../receiver/ledger/ledger.ts';

export const HERE = 'here';
export const MAX = 40;
export const FILES = ['web1/f0-0', 'web1/f0-1', 'web1/f1-0'];
const TERMS = ['here.1', 'there.1', 'here.2', 'there.2'];

export const file = fc.constantFrom(...FILES);
const offset = fc.nat(MAX);

const held = fc
  .array(fc.tuple(fc.constantFrom(null, ...TERMS, 'there.unknown'), offset), { maxLength: 5 })
  .map((all) => all.reduce<Holder[]>((so, [term, from]) => pushHolder(so, term, from), []));
const entry: fc.Arbitrary<FileEntry> = fc.record({
  path: fc.constant('/var/log/x.log'),
  offset: fc.nat(2 * MAX),
  tail: fc.constant(null),
  held,
  after: fc.constant(null),
  final: fc.constant(null),
});
export const record: fc.Arbitrary<PartitionRecord> = fc
  .tuple(fc.dictionary(file, entry), fc.shuffledSubarray(TERMS))
  .map(([files, terms]) => ({ ...emptyRecord(64), terms, files: new Map(Object.entries(files)) }));

/** The rule for one byte, said once more in the words of the design. */
export function mayGo(
  ledger: Ledger,
  record: PartitionRecord,
  at: { file: string; byte: number; term: string },
): boolean {
  const entry = record.files.get(at.file);
  if (entry === undefined) return false;
  for (const run of allRuns(ledger)) if (run.file === at.file && run.end > entry.offset) return false;
  if ((ledger.known.get(at.file)?.removed.at(-1)?.[1] ?? 0) > entry.offset) return false;
  let holder: string | null = null;
  for (const [term, from] of entry.held) if (from <= at.byte) holder = term;
  if (holder === null || holder.startsWith(`${HERE}.`)) return false;
  return record.terms.includes(at.term) && record.terms.indexOf(holder) > record.terms.indexOf(at.term);
}
