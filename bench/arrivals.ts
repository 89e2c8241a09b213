// When lines could be read from central files: their sizes are looked at each millisecond, and joined with the moments
// at which the lines were appended to the sources. No line has to say when it was written.

import { closeSync, fstatSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

const NEWLINE = 10;

/** Milliseconds of a clock that all processes of the machine share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** A file as it grew: from `at` on it had `size` bytes. */
interface Growth {
  readonly at: number;
  readonly size: number;
}

interface Followed {
  readonly descriptor: number;
  readonly growths: Growth[];
}

/** Follows files that are there. The fewer they are, the less it disturbs. */
export class Follower {
  readonly #files: Followed[];
  readonly #timer: NodeJS.Timeout;

  constructor(files: readonly string[]) {
    this.#files = files.map((file) => ({ descriptor: openSync(file, 'r'), growths: [] }));
    this.#timer = setInterval(() => {
      this.look();
    }, 1);
  }

  look(): void {
    for (const { descriptor, growths } of this.#files) {
      const { size } = fstatSync(descriptor);
      if (size !== growths.at(-1)?.size) growths.push({ at: monotonicMs(), size });
    }
  }

  /** Of each file, in their order. */
  get growths(): readonly (readonly Growth[])[] {
    return this.#files.map(({ growths }) => growths);
  }

  close(): void {
    clearInterval(this.#timer);
    for (const { descriptor } of this.#files) closeSync(descriptor);
  }
}

/** From when to when an append counts. */
export interface Window {
  readonly from: number;
  readonly to: number;
}

/**
 * How long each line took that was appended in the window: until the central file was as long as the source was with it.
 *
 * @param moments of the appends of all lines but the first, which was there before
 */
export async function latenciesOf(
  source: string,
  moments: readonly number[],
  growths: readonly Growth[],
  window: Window,
): Promise<number[]> {
  const content = await readFile(source);
  const latencies: number[] = [];
  let end = content.indexOf(NEWLINE) + 1;
  let growth = 0;
  for (const moment of moments) {
    end = content.indexOf(NEWLINE, end) + 1;
    while (growth < growths.length && (growths[growth]?.size ?? 0) < end) growth += 1;
    const at = growths[growth]?.at ?? Number.NaN;
    if (moment >= window.from && moment < window.to) latencies.push(at - moment);
  }
  return latencies;
}
