// What may be at a destination, and what has to be said: every byte that somebody could read is there, once and in order,
// and what is not there is named at level error, nothing else is.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';

import { splitFileId } from '../../../shipper/files/identity.ts';
import { locate, type Located } from './compare.ts';
import type { Generation } from './generation.ts';
import type { RotatedLog } from './rotated-log.ts';

/** A line of the shipper's log. */
export interface Said {
  readonly level: number;
  readonly msg: string;
  readonly path?: string;
  readonly file?: string;
  readonly from?: number;
  readonly to?: number;
}

const ERROR = 50;
const WARNING = 40;
/** So many bytes are nowhere twice: they have a line's number. */
const MARKED_BYTES = 100;
/** What is not there is none of these: a connection, the host's name. */
const LOSS = /bytes .* (lost|gone)|the file is gone|is not shipped|cannot be told/;

/** What was said in a log, errors and warnings, each once: after a kill it may be said again. */
export function saidIn(logFile: string): Said[] {
  const said = new Map<string, Said>();
  if (!existsSync(logFile)) return [];
  for (const line of readFileSync(logFile, 'utf8').split('\n')) {
    if (!/^\{"level":[45]/.test(line)) continue;
    const one = JSON.parse(line) as Said;
    said.set(`${one.msg} ${one.file}`, one);
  }
  return [...said.values()];
}

function isUnplaced({ msg }: Said): boolean {
  return msg.includes('is not shipped: it was rotated and compressed');
}

/** Whether it was said that nobody can tell where it belongs. */
function isNamed({ named }: Generation, said: readonly Said[]): boolean {
  return named.size > 0 && said.some((one) => isUnplaced(one) && named.has(one.file ?? ''));
}

/** Without births an older one that has no rotated name is known no more after a restart (docs/tailing.md). */
function isForgotten({ bases, number, cut }: Generation, { length }: readonly Generation[]): boolean {
  return bases.has(undefined) && (cut !== undefined || number < length - 1);
}

function isNowhere({ msg }: Said): boolean {
  return msg.includes('is nowhere');
}

/** Of one that was empty nothing is known that tells it from any other that was compressed. */
function isUntold({ holder, bases }: Generation, one: Said): boolean {
  return (
    isNowhere(one) && one.from === 0 && holder.compressed && bases.has(splitFileId(one.file ?? '')?.base)
  );
}

/** Whether what is missing of it was said. */
function mayMiss(generation: Generation, all: readonly Generation[], said: readonly Said[]): boolean {
  if (isNamed(generation, said) || said.some((one) => isUntold(generation, one))) return true;
  return isForgotten(generation, all) && said.some(isNowhere);
}

/** Where the generations of a log are in what arrived. */
export function find(found: Buffer, { generations, path }: RotatedLog, all: readonly Said[]): Located {
  const said = all.filter((one) => one.path === path);
  const { rest, isMissing, problem } = withoutLate(found, generations, said);
  const wanted = generations.map((generation, index) => ({
    bytes: again(rest, generations[index - 1], generation),
    atLeast: generation.cut?.arrived ?? (mayMiss(generation, generations, said) ? 0 : undefined),
  }));
  const located = locate(rest, wanted);
  return {
    ...located,
    complete: located.complete && !isMissing,
    problem: problem ?? located.problem,
  };
}

/**
 * What is known of bytes that were shipped are checksums up to a few marks: the last ones that are still the same may come
 * again, with what is there now (docs/tailing.md). How many they are, what has to be said of them tells.
 */
function again(found: Buffer, changed: Generation | undefined, generation: Generation): Buffer {
  const { bytes, before } = generation;
  if (changed === undefined || before.length === 0) return bytes;
  const at = found.indexOf(bytes.subarray(0, MARKED_BYTES));
  const end = changed.bytes.subarray(-MARKED_BYTES);
  for (let count = 0; at >= 0 && count <= before.length; count += 1) {
    const start = at - count;
    if (count > 0 && found[start] !== before[before.length - count]) return bytes;
    if (!found.subarray(Math.max(0, start - end.length), start).equals(end)) continue;
    generation.again = count;
    return Buffer.concat([before.subarray(before.length - count), bytes]);
  }
  return bytes;
}

/** What was written to an older file late comes once, and in order, but behind whatever has arrived by then. */
function withoutLate(
  found: Buffer,
  generations: readonly Generation[],
  said: readonly Said[],
): { rest: Buffer; isMissing: boolean; problem: string | undefined } {
  let isMissing = false;
  const [first] = generations.flatMap((generation) => generation.late);
  const places =
    first === undefined ? undefined : numbersIn(found, first.subarray(0, first.indexOf(' ') + 1));
  const late: [start: number, end: number][] = [];
  const result = (problem?: string): ReturnType<typeof withoutLate> => ({
    ...{ rest: without(found, late), isMissing, problem },
  });
  for (const generation of generations) {
    let before: string | undefined;
    generation.lateArrived = 0;
    for (const line of generation.late) {
      const [at, other] = (places?.get(numberOf(line)) ?? []).filter((each) =>
        found.subarray(each, each + line.length).equals(line),
      );
      if (at === undefined) {
        isMissing ||= generation.cut === undefined && !mayMiss(generation, generations, said);
        before = line.toString();
        continue;
      }
      const what = `: ${JSON.stringify(line.toString())}`;
      if (other !== undefined) return result(`twice${what}`);
      if (before !== undefined && generation.cut === undefined)
        return result(`without ${before}, which is before it${what}`);
      late.push([at, at + line.length]);
      generation.lateArrived += line.length;
    }
  }
  return result();
}

/** No two lines of a log have the same; what follows it is the same in many. */
function numberOf(line: Buffer): string {
  return line.toString('latin1', 0, line.lastIndexOf(' ') + 1);
}

/** Where each line begins, by its number. All of them begin with the same label. */
function numbersIn(found: Buffer, label: Buffer): Map<string, number[]> {
  const places = new Map<string, number[]>();
  for (let at = found.indexOf(label); at >= 0; at = found.indexOf(label, at + 1)) {
    const number = found.toString('latin1', at, found.indexOf(' ', at + label.length) + 1);
    places.set(number, [...(places.get(number) ?? []), at]);
  }
  return places;
}

function without(found: Buffer, ranges: readonly [start: number, end: number][]): Buffer {
  if (ranges.length === 0) return found;
  const parts: Buffer[] = [];
  let from = 0;
  for (const [start, end] of ranges.toSorted(([a], [b]) => a - b)) {
    parts.push(found.subarray(from, start));
    from = end;
  }
  return Buffer.concat([...parts, found.subarray(from)]);
}

/** Every report is of what is missing, and what was known to exist and is missing has one. */
export function assertSaid(log: RotatedLog, arrived: readonly number[], all: readonly Said[]): void {
  const said = all.filter((one) => one.path === log.path && one.level === ERROR);
  const reports = said.filter(({ msg }) => msg.includes('are lost'));
  for (const [index, { bases, cut, size, number, late, lateArrived }] of log.generations.entries()) {
    const from = arrived[index] ?? 0;
    if (cut === undefined || (from === size && late.length === 0)) continue;
    const at = reports.findIndex(
      ({ file, from: start, to = 0 }) =>
        (bases.has(undefined) || bases.has(splitFileId(file ?? '')?.base)) &&
        (late.length > 0 || start === from) &&
        to <= size + late.reduce((sum, { length }) => sum + length, 0) &&
        to >= (cut.known ?? 0),
    );
    const [report] = at < 0 ? [] : reports.splice(at, 1);
    if (from + lateArrived < (cut.known ?? 0) && report === undefined)
      assert.fail(
        `${log.path}: bytes ${from} to ${cut.known} of generation ${number} are missing, and not reported: ` +
          JSON.stringify(reports),
      );
  }
  assert.deepEqual(reports, [], `${log.path}: reported as lost, and not missing`);
  const others = said.filter(({ msg }) => !msg.includes('are lost'));
  for (const one of others) assert.ok(isRight(log, arrived, one), `said, and not so: ${JSON.stringify(one)}`);
  const changes = others.filter(({ msg }) => msg.includes('are others than were shipped'));
  const changed = log.generations.filter(({ isChanged }) => isChanged);
  // Changed before its number was kept, it is said to be nowhere, and comes again.
  if (others.some(isNowhere)) return;
  assert.ok(changes.length > 0 || changed.length === 0, `${log.path}: changed, and not said`);
  // The same is said again after ten seconds only.
  const unsaid = log.generations.filter(
    ({ again, before }) => again > 0 && !changes.some(({ from }) => from === before.length - again),
  );
  assert.ok(
    unsaid.length <= Math.max(0, changed.length - changes.length),
    `${log.path}: twice, and not said`,
  );
}

function isRight(log: RotatedLog, arrived: readonly number[], one: Said): boolean {
  const { msg, file = '' } = one;
  if (msg.includes('are others than were shipped')) return log.generations.some(({ isChanged }) => isChanged);
  if (isUnplaced(one))
    return log.generations.some(
      ({ named, size, late }, index) => named.has(file) && ((arrived[index] ?? 0) < size || late.length > 0),
    );
  // A copy by hand, and what it was made of is gone, or compressed: nothing is there to compare it with.
  if (msg.includes('it begins as a file that was shipped'))
    return log.generations.some(({ holder: { name, compressed } }) => name === undefined || compressed);
  if (!isNowhere(one)) return false;
  const base = splitFileId(file)?.base;
  return log.generations.some(
    (generation) =>
      isForgotten(generation, log.generations) ||
      generation.isChanged ||
      isUntold(generation, one) ||
      (generation.bases.has(base) && generation.cut !== undefined),
  );
}

/** A file came and went before anybody had opened it. */
function isUnopened(logs: readonly RotatedLog[], { msg, path }: Said): boolean {
  const its = logs.find((log) => log.path === path);
  return msg.includes('came and went') && its?.generations.some(({ cut }) => cut?.arrived === 0) === true;
}

/** No loss is said of anything else, and nothing failed. */
export function assertNothingElse(logs: readonly RotatedLog[], said: readonly Said[]): void {
  const paths = new Set<string | undefined>(logs.map((log) => log.path));
  const others = said.filter((one) =>
    one.level === WARNING
      ? LOSS.test(one.msg) && !isUnopened(logs, one)
      : one.level > WARNING && !paths.has(one.path),
  );
  assert.deepEqual(others, [], 'said of no file that was written to');
}
