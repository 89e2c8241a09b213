// Histories: what a seed makes of some files of one host, on one file system. Pure.

import { random } from '../../support/seed.ts';
import { ALL_STYLES, planOf, type Step, type Style } from './plan.ts';

const STEPS = 60;
const STYLES = 3;

/** What fails to this day: test/integration/tailing/found.test.ts has a case of each. */
const OPEN: readonly Step['action'][] = ['state lost'];
const OPEN_WITHOUT_BIRTHS: readonly Step['action'][] = ['switch'];

export interface History {
  readonly fileSystem: string;
  readonly seed: number;
  readonly styles: readonly Style[];
  readonly plan: readonly Step[];
}

export function historyOf(fileSystem: string, seed: number, steps = STEPS): History {
  const rand = random(seed);
  const left = [...ALL_STYLES];
  const styles: Style[] = [];
  while (styles.length < STYLES) styles.push(...left.splice(Math.floor(rand() * left.length), 1));
  return { fileSystem, seed, styles, plan: planOf(rand, styles, steps, true) };
}

/** Without the steps that fail to this day. */
export function withoutOpen(history: History, hasBirths: boolean): History {
  const open = hasBirths ? OPEN : [...OPEN, ...OPEN_WITHOUT_BIRTHS];
  return { ...history, plan: history.plan.filter(({ action }) => !open.includes(action)) };
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
