// Histories over the simulated file system, of several kinds. A seed alone decides what happens.

import { type History, historyOf, withoutOpen } from '../../faults/tailing/history.ts';
import { play } from '../../faults/tailing/play.ts';
import { random } from '../../support/seed.ts';
import { clock } from './clock.ts';
import { type HostOptions, SimulatedSite } from './simulated-site.ts';
import { trace } from './trace.ts';

/** As linux/magic.h names them. */
const EXT4 = 0xef53;
const NFS = 0x6969;

const LOCAL = { hasBirths: true, usesNumbersAgain: true, type: EXT4, isWatched: true };

export const KINDS: Readonly<Record<string, Omit<HostOptions, 'random'>>> = {
  local: LOCAL,
  unwatched: { ...LOCAL, isWatched: false },
  'no births': { ...LOCAL, hasBirths: false },
  remote: { hasBirths: false, usesNumbersAgain: false, type: NFS, isWatched: false },
};

/** @param isAll what fails to this day, too */
export function simulatedHistory(kind: string, seed: number, isAll = false): History {
  const history = historyOf(kind, seed);
  return isAll ? history : withoutOpen(history, KINDS[kind]?.hasBirths === true);
}

/** Throws what is wrong with it. */
export async function playSimulated({ fileSystem: kind, seed, styles, plan }: History): Promise<void> {
  const options = KINDS[kind];
  if (options === undefined) throw new Error(`there is no ${kind}: ${Object.keys(KINDS).join(', ')}`);
  clock.reset();
  const site = new SimulatedSite({ ...options, random: random(seed) });
  await clock.run(play(site, { name: `${kind} ${seed}`, styles, plan, onStep: trace }));
}
