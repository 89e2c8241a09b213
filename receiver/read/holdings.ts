// What one output directory holds of a host, as its ledgers say it now: for whoever compares it with the source. Never
// reads a central file.

import { bytesOf, type ByteRange, joinRanges } from '../../common/wire/ranges.ts';
import { partitionOf, sourceOf } from '../../common/wire/subjects.ts';
import type { HeldFile, HeldFiles } from '../../common/fleet/verify.ts';
import type { Known } from '../ledger/known.ts';
import { allRuns, type Ledger, type Run } from '../ledger/ledger.ts';
import type { Contents, PlacedRun } from './reader.ts';

export interface Holdings {
  /** Everything of a host. What is returned stays as it is, whatever is committed meanwhile. */
  ofHost(host: string): { readonly runs: readonly PlacedRun[]; readonly known: readonly Known[] };
  /** The runs of one generation; see fileKey. The same holds for them. */
  ofFile(file: string): readonly PlacedRun[];
}

/** What the ledgers of a running receiver list; where the files are is found when they are opened. */
export function ledgerHoldings(
  out: string,
  partitions: number,
  ledgerOf: (partition: number) => Ledger | undefined,
): Holdings {
  const placed = (run: Run): PlacedRun => {
    const { host } = sourceOf(run.file);
    const partition = partitionOf(host, partitions);
    return {
      run: { ...run, sums: [...run.sums] },
      ...{ out, partition, host, name: undefined, there: run.end },
    };
  };
  const ledgerOfHost = (host: string): Ledger | undefined => ledgerOf(partitionOf(host, partitions));
  return {
    ofHost: (host) => {
      const isWanted = ({ file }: { readonly file: string }): boolean => sourceOf(file).host === host;
      const ledger = ledgerOfHost(host);
      const runs = ledger === undefined ? [] : [...allRuns(ledger)].filter(isWanted);
      return { runs: runs.map(placed), known: [...(ledger?.known.values() ?? [])].filter(isWanted) };
    },
    ofFile: (file) => (ledgerOfHost(sourceOf(file).host)?.files.get(file) ?? []).map(placed),
  };
}

/** What was read of directories from outside; where a file is shorter than it is listed, it is listed all the same. */
export function contentHoldings({ runs, known }: Contents): Holdings {
  const listed = runs.map((placed) => ({ ...placed, there: placed.run.end }));
  const byHost = Map.groupBy(listed, ({ host }) => host);
  const byFile = Map.groupBy(listed, ({ run }) => run.file);
  const knownByHost = Map.groupBy(known, ({ host }) => host);
  return {
    ofHost: (host) => ({
      runs: byHost.get(host) ?? [],
      known: (knownByHost.get(host) ?? []).map((one) => one.known),
    }),
    ofFile: (file) => byFile.get(file) ?? [],
  };
}

/** The generations of a host behind the file id `after`, as many as make about `mostBytes` of JSON. */
export function listHeld(holdings: Holdings, host: string, after: string, mostBytes: number): HeldFiles {
  const { runs, known } = holdings.ofHost(host);
  const byFile = Map.groupBy(runs, ({ run }) => sourceOf(run.file).id);
  const removed = new Map(known.map((one) => [sourceOf(one.file).id, one]));
  const ids = [...new Set([...byFile.keys(), ...removed.keys()])].filter((id) => id > after).toSorted();
  const files: HeldFile[] = [];
  let bytes = 0;
  for (const id of ids) {
    const held = heldFile(id, byFile.get(id) ?? [], removed.get(id));
    if (held === undefined) continue;
    bytes += JSON.stringify(held).length;
    if (bytes > mostBytes && files.length > 0) return { files, next: files.at(-1)?.file ?? null };
    files.push(held);
  }
  return { files, next: null };
}

function heldFile(file: string, runs: readonly PlacedRun[], known: Known | undefined): HeldFile | undefined {
  const held = joinRanges(runs.map(({ run }): ByteRange => [run.start, run.end]));
  const removed = joinRanges(known?.removed ?? []);
  if (bytesOf(held) + bytesOf(removed) === 0) return undefined;
  const last = runs.reduce<PlacedRun | undefined>(
    (furthest, one) => (furthest === undefined || one.run.end > furthest.run.end ? one : furthest),
    undefined,
  );
  return {
    file,
    path: last?.run.path ?? known?.path ?? '',
    held: held.map(([start, end]) => [start, end]),
    removed: removed.map(([start, end]) => [start, end]),
    tail: last?.run.tail ?? '',
  };
}
