// Output directories as the central side of verify, read from outside while receivers run or not. Never writes.

import type { LogferryError } from '../../common/runtime/errors.ts';
import { joinRanges, type ByteRange } from '../../common/wire/ranges.ts';
import { fileKey } from '../../common/wire/subjects.ts';
import type { HeldFile } from '../../common/fleet/verify.ts';
import { damagedLedgers } from '../read/unread.ts';
import type { Holder, Wanted } from './sides.ts';
import { type Contents, Verifier, contentHoldings, joinSource, readContents } from '../../receiver/read.ts';

export interface Directories {
  readonly holders: readonly Holder[];
  /** What they list, and what is missing in between. */
  readonly wanted: readonly Wanted[];
  /** What of them could not be read, one for each partition. */
  readonly unread: readonly LogferryError[];
  readonly close: () => Promise<void>;
}

/** Throws as readContents does. */
export async function openDirectories(
  outs: readonly string[],
  isSelected: (host: string, path: string) => boolean,
): Promise<Directories> {
  const all: Contents[] = [];
  const verifiers: Verifier[] = [];
  const holders: Holder[] = [];
  for (const out of new Set(outs)) {
    const contents = await readContents([out]);
    const verifier = new Verifier(contentHoldings(contents));
    all.push(contents);
    verifiers.push(verifier);
    holders.push(directoryHolder(out, verifier));
  }
  const contents = {
    runs: all.flatMap(({ runs }) => runs),
    known: all.flatMap(({ known }) => known),
    damaged: all.flatMap(({ damaged }) => damaged),
  };
  return {
    holders,
    unread: damagedLedgers(contents),
    wanted: await wantedIn(contents, holders, isSelected),
    close: async () => {
      for (const verifier of verifiers) await verifier.close();
    },
  };
}

function directoryHolder(out: string, verifier: Verifier): Holder {
  return {
    name: out,
    directory: undefined,
    files: async (host) => {
      const files: HeldFile[] = [];
      for (let after: string | null = ''; after !== null;) {
        const page = verifier.list({ host, after });
        files.push(...page.files);
        after = page.next;
      }
      return await Promise.resolve(files);
    },
    hash: async (host, file, blocks) => await verifier.hash({ host, file, ...blocks }),
    check: async (host, file, from) => await verifier.check({ host, file, from }),
  };
}

async function wantedIn(
  contents: Contents,
  holders: readonly Holder[],
  isSelected: (host: string, path: string) => boolean,
): Promise<Wanted[]> {
  const hosts = new Set([...contents.runs, ...contents.known].map(({ host }) => host));
  const wanted: Wanted[] = [];
  for (const host of [...hosts].toSorted()) {
    const listed = await Promise.all(holders.map(async (holder) => await holder.files(host)));
    const byFile = Map.groupBy(listed.flat(), ({ file }) => file);
    const paths = new Map([...byFile].map(([file, all]) => [file, pathOf(all)]));
    const selected = [...new Set(paths.values())].filter((path) => isSelected(host, path));
    for (const path of selected.toSorted()) {
      const holes = joinSource(contents.runs, host, path, contents.known)?.holes ?? [];
      for (const [file, all] of byFile)
        if (paths.get(file) === path) {
          const key = fileKey(host, file);
          const missing = holes
            .filter((hole) => hole.file === key)
            .map(({ start, end }): ByteRange => [start, end]);
          wanted.push(wantedOf(host, path, file, all, missing));
        }
    }
  }
  return wanted;
}

/** Where something is held, it is the path of that. */
function pathOf(all: readonly HeldFile[]): string {
  return (all.find(({ held }) => held.length > 0) ?? all[0])?.path ?? '';
}

function wantedOf(
  host: string,
  path: string,
  file: string,
  all: readonly HeldFile[],
  missing: readonly ByteRange[],
): Wanted {
  const ends = all.map(({ held }) => held.at(-1)?.[1] ?? 0);
  const committed = Math.max(...ends);
  const last = all[ends.indexOf(committed)];
  return {
    ...{ host, path, file, committed },
    tail: last === undefined || last.tail === '' ? null : last.tail,
    expected: joinRanges([...all.flatMap(({ held, removed }) => [...held, ...removed]), ...missing]),
    mayBeginLater: false,
    directories: [],
  };
}
