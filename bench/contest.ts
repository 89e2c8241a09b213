// The same file through logferry and through every other shipper that is here, in turn: A B C A B C.

import { rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { drain } from './drain.ts';
import { copyAndSync } from './floors.ts';
import { type Outcome, outcomeOf } from './outcome.ts';
import { runPeer } from './peer-run.ts';
import type { FoundPeer } from './peers.ts';
import { loopbackBytes } from './process-usage.ts';
import type { Source } from './report.ts';
import type { WorldOptions } from './world.ts';

/** One shipping of the source by one contender. */
export interface Entry {
  readonly contender: string;
  readonly promise: 'committed' | 'acknowledged' | 'sent' | 'none';
  /** Without what the same takes for next to nothing. */
  readonly ms: number;
  /** Of agent, broker and collector; only `together` where there is one process. */
  readonly cpuMs: { readonly agent: number; readonly broker: number; readonly collector: number };
  readonly peakBytes: { readonly agent: number; readonly collector: number };
  /** Bytes that the loopback device carried, over all hops. */
  readonly wireBytes: number;
  readonly hops: number;
  readonly diskBytes: number;
  readonly outcome: Outcome;
}

interface Contender {
  readonly name: string;
  run(dir: string): Promise<Entry>;
}

export interface ContestOptions {
  readonly source: Source;
  readonly empty: string;
  readonly peers: readonly FoundPeer[];
  /** The names of those that run; undefined for all. */
  readonly only: readonly string[] | undefined;
  readonly rounds: number;
  readonly scratch: string;
  readonly worldOf: (run: number) => WorldOptions;
  readonly signal: AbortSignal;
  readonly onEntry: (entry: Entry, round: number) => void;
}

/** Ways to run logferry, by the flags of its two daemons. */
const LOGFERRY = [
  { name: 'logferry', ship: [], format: 'plain' },
  { name: 'logferry --format zstd', ship: [], format: 'zstd' },
  { name: 'logferry --compression none', ship: ['--compression', 'none'], format: 'plain' },
] as const;

/** All entries, in the order in which they were made. */
export async function contest(options: ContestOptions): Promise<Entry[]> {
  const { rounds, scratch, signal, onEntry } = options;
  const contenders = [
    floor(options),
    ...ours(options),
    ...options.peers.map((peer) => theirs(peer, options)),
  ].filter(({ name }) => options.only?.includes(name) ?? true);
  const entries: Entry[] = [];
  for (let round = 1; round <= rounds; round += 1)
    for (const [index, contender] of contenders.entries()) {
      signal.throwIfAborted();
      const dir = path.join(scratch, `round-${round}-${index}`);
      const entry = await contender.run(dir);
      await rm(dir, { recursive: true, force: true });
      entries.push(entry);
      onEntry(entry, round);
    }
  return entries;
}

const IDENTICAL: Outcome = { isIdentical: true, missing: 0, repeated: 0, misplaced: 0, strange: 0 };
const NOTHING = { agent: 0, broker: 0, collector: 0 };

/** What no shipper can beat: one copy that is on disk. */
function floor({ source, scratch, signal }: ContestOptions): Contender {
  return {
    name: 'cp, then sync',
    run: async () => ({
      contender: 'cp, then sync',
      promise: 'none',
      ms: await copyAndSync(source.files, scratch, signal),
      cpuMs: NOTHING,
      peakBytes: NOTHING,
      wireBytes: 0,
      hops: 0,
      diskBytes: source.bytes,
      outcome: IDENTICAL,
    }),
  };
}

function ours({ source, empty, worldOf, signal }: ContestOptions): Contender[] {
  return LOGFERRY.map(({ name, ship, format }) => ({
    name,
    run: async (dir) => {
      const drained = await drain({
        ...worldOf(0),
        dir,
        source,
        empty,
        shipFlags: ship,
        format,
        onProgress: undefined,
      });
      signal.throwIfAborted();
      return {
        contender: name,
        promise: 'committed',
        ms: drained.wholeMs - drained.emptyMs,
        cpuMs: {
          agent: drained.shipper.cpuMs,
          broker: drained.server.cpuMs,
          collector: drained.receiver.cpuMs,
        },
        peakBytes: { agent: drained.shipper.peakBytes, collector: drained.receiver.peakBytes },
        wireBytes: drained.wireBytes,
        hops: 2,
        diskBytes: drained.diskBytes,
        // The drain throws when a byte differs.
        outcome: IDENTICAL,
      };
    },
  }));
}

function theirs(peer: FoundPeer, { source, scratch, signal }: ContestOptions): Contender {
  return {
    name: peer.name,
    run: async (dir) => {
      const line = path.join(scratch, 'line.log');
      await writeFile(line, 'a first line\n');
      const start = await runPeer(peer, { dir: `${dir}-start`, source: line, signal });
      await rm(`${dir}-start`, { recursive: true });
      const wireBefore = loopbackBytes();
      const run = await runPeer(peer, { dir, source: source.glob, signal });
      const wireBytes = loopbackBytes() - wireBefore;
      return {
        contender: peer.name,
        promise: peer.promise,
        ms: run.ms - start.ms,
        cpuMs: { agent: run.agent.cpuMs - start.agent.cpuMs, broker: 0, collector: run.collector.cpuMs },
        peakBytes: { agent: run.agent.peakBytes, collector: run.collector.peakBytes },
        wireBytes,
        hops: 1,
        diskBytes: (await stat(run.central)).size,
        outcome: await outcomeOf({ file: source.glob, lines: source.lines }, [run.central], signal),
      };
    },
  };
}
