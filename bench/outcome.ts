// What became of the lines of the bench's source: identical, or how many are missing, there twice, out of order. Each
// line ends in an id whose first half tells its number (generate.ts).

import { createReadStream } from 'node:fs';

import { firstDifference } from './compare.ts';

export interface Outcome {
  readonly isIdentical: boolean;
  readonly missing: number;
  readonly repeated: number;
  /** Lines that come after one with a higher number. */
  readonly misplaced: number;
  /** Lines without an id of the source. */
  readonly strange: number;
}

/** The inverse of the multiplication that makes ids of numbers, modulo 2^32. */
const INVERSE = inverse(0x9e3779b1);
const ID = /([0-9a-f]{8})[0-9a-f]{8}$/;

/** @param parts the destination's files, in order */
export async function outcomeOf(
  source: { readonly file: string; readonly lines: number },
  parts: readonly string[],
  signal: AbortSignal,
): Promise<Outcome> {
  if ((await firstDifference([source.file], parts, signal)) === undefined)
    return { isIdentical: true, missing: 0, repeated: 0, misplaced: 0, strange: 0 };
  const times = new Uint8Array(source.lines + 1);
  let [strange, misplaced, highest] = [0, 0, 0];
  for (const part of parts)
    for await (const line of linesOf(part)) {
      const number = numberOf(line);
      if (number === undefined || number > source.lines) strange += 1;
      else {
        times[number] = Math.min(255, (times[number] ?? 0) + 1);
        if (number < highest) misplaced += 1;
        highest = Math.max(highest, number);
      }
    }
  let [missing, repeated] = [0, 0];
  for (let number = 1; number <= source.lines; number += 1) {
    const count = times[number] ?? 0;
    if (count === 0) missing += 1;
    else repeated += count - 1;
  }
  return { isIdentical: false, missing, repeated, misplaced, strange };
}

/** One line on it. */
export function outcomeText({ isIdentical, missing, repeated, misplaced, strange }: Outcome): string {
  if (isIdentical) return 'identical';
  const parts = [
    missing > 0 ? `${missing} lines lost` : 'complete',
    ...(repeated > 0 ? [`${repeated} twice`] : []),
    ...(misplaced > 0 ? ['not in order'] : []),
    ...(strange > 0 ? [`${strange} damaged`] : []),
  ];
  return parts.join(', ');
}

async function* linesOf(file: string): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of createReadStream(file, { encoding: 'latin1', highWaterMark: 1024 * 1024 })) {
    const lines = (rest + String(piece)).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}

function numberOf(line: string): number | undefined {
  const id = ID.exec(line)?.[1];
  return id === undefined ? undefined : Math.imul(Number.parseInt(id, 16), INVERSE) >>> 0;
}

/** By Newton's iteration: each step doubles the bits that are right. */
function inverse(odd: number): number {
  let x = odd;
  for (let step = 0; step < 5; step += 1) x = Math.imul(x, 2 - Math.imul(odd, x));
  return x;
}
