// The smallest steps that still fail: parts of a history are left out, half of it first, single steps last.

import type { Step } from './plan.ts';

/**
 * @param fails whether these steps do; asked for several at once
 * @param endsAt by performance.now(): what was found by then is the smallest
 * @param atOnce so many are asked for together
 */
export async function shrink(
  plan: readonly Step[],
  fails: (plan: readonly Step[]) => Promise<boolean>,
  endsAt: number,
  atOnce = 4,
): Promise<readonly Step[]> {
  let smallest = plan;
  let parts = 2;
  while (smallest.length > 1 && performance.now() < endsAt) {
    const size = Math.ceil(smallest.length / parts);
    const without = Array.from({ length: Math.ceil(smallest.length / size) }, (_, part) =>
      smallest.filter((_step, index) => Math.floor(index / size) !== part),
    );
    const found = await firstThat(without, fails, endsAt, atOnce);
    if (found !== undefined) {
      smallest = found;
      parts = Math.max(2, parts - 1);
    } else if (size === 1) break;
    else parts = Math.min(smallest.length, parts * 2);
  }
  return smallest;
}

async function firstThat<T>(
  all: readonly T[],
  is: (one: T) => Promise<boolean>,
  endsAt: number,
  atOnce: number,
): Promise<T | undefined> {
  for (let from = 0; from < all.length && performance.now() < endsAt; from += atOnce) {
    const some = all.slice(from, from + atOnce);
    const answers = await Promise.all(some.map(is));
    const index = answers.indexOf(true);
    if (index >= 0) return some[index];
  }
  return undefined;
}
