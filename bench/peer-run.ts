// One peer ships one file: a collector, then an agent, until all of it is in the central file or nothing more comes.

import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';

import { sleep } from '../common/runtime/run.ts';
import { PeerPair } from './peer-pair.ts';
import type { FoundPeer } from './peers.ts';
import type { Usage } from './process-usage.ts';

/** Nothing came for so long: it will not come. */
const STALLED_MS = 10_000;
const LOOK_MS = 5;

export interface PeerRun {
  /** From the start of the agent until the central file had all, or had grown for the last time. */
  readonly ms: number;
  readonly agent: Usage;
  readonly collector: Usage;
  readonly central: string;
}

/** @param dir a directory of its own, which is made */
export async function runPeer(
  peer: FoundPeer,
  { dir, source, signal }: { dir: string; source: string; signal: AbortSignal },
): Promise<PeerRun> {
  await mkdir(dir);
  const central = path.join(dir, 'central.log');
  const { size } = await stat(source);
  const pair = await PeerPair.start(peer, { configs: peer, dir, values: { source, central }, signal });
  try {
    const ended = await arrival(central, size, signal);
    return { ms: ended - pair.began, ...pair.usage(), central };
  } finally {
    await pair.stop();
  }
}

/** When the central file had as many bytes as the source, or grew for the last time. */
async function arrival(central: string, size: number, signal: AbortSignal): Promise<number> {
  let last = -1;
  let grewAt = performance.now();
  for (;;) {
    signal.throwIfAborted();
    const now = await stat(central).then(
      (stats) => stats.size,
      () => 0,
    );
    if (now !== last) grewAt = performance.now();
    last = now;
    if (now >= size || performance.now() - grewAt > STALLED_MS) return grewAt;
    await sleep(LOOK_MS, signal);
  }
}
