// Histories: what a seed makes of some files of one host, on one file system. Several hosts share a world; each has a way
// of its own to the server.

import { random } from '../../support/seed.ts';
import type { World } from '../../support/world.ts';
import type { FileSystem, Places } from './file-systems.ts';
import { ALL_STYLES, planOf, type Step, type Style } from './plan.ts';
import { play } from './play.ts';

const STEPS = 60;
const STYLES = 3;
/** More than a quiet machine needs for anything, several hosts at once. */
const ARRIVES_MS = 60_000;

/** What fails to this day: test/integration/tailing/found.test.ts has a case of each. */
const OPEN: readonly Step['action'][] = ['state lost'];
const OPEN_WITHOUT_BIRTHS: readonly Step['action'][] = ['switch', 'shorten'];

export interface History {
  readonly fileSystem: FileSystem;
  readonly seed: number;
  readonly styles: readonly Style[];
  readonly plan: readonly Step[];
}

export function historyOf(fileSystem: FileSystem, seed: number, steps = STEPS): History {
  const rand = random(seed);
  const left = [...ALL_STYLES];
  const styles: Style[] = [];
  while (styles.length < STYLES) styles.push(...left.splice(Math.floor(rand() * left.length), 1));
  return { fileSystem, seed, styles, plan: planOf(rand, styles, steps, true) };
}

/** Without the steps that fail to this day. */
export function withoutOpen(history: History): History {
  const open = history.fileSystem === 'ext4-128' ? [...OPEN, ...OPEN_WITHOUT_BIRTHS] : OPEN;
  return { ...history, plan: history.plan.filter(({ action }) => !open.includes(action)) };
}

let hosts = 0;

/** Throws what is wrong with it. */
export async function playHistory(
  world: World,
  places: Places,
  history: History,
  arrivesMs = ARRIVES_MS,
): Promise<void> {
  const { fileSystem, seed, styles, plan } = history;
  const name = `${fileSystem}-${seed}-${(hosts += 1)}`;
  const place = places.of(fileSystem, name, styles);
  await play(world, { name, styles, plan, arrivesMs, place });
}

/** Runs so many at once. */
export async function inTurns<T>(
  all: readonly T[],
  atOnce: number,
  run: (one: T) => Promise<void>,
): Promise<void> {
  const left = [...all];
  const runner = async (): Promise<void> => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) await run(one);
  };
  await Promise.all(Array.from({ length: atOnce }, runner));
}
