// What is done to files beside writing and rotating: copies by hand, new inodes, ends that are cut or overwritten, links
// that are switched, writers that go on in files that were renamed. Each says why it was left out, if it was.

import path from 'node:path';

import {
  appendFileSync,
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
  gzipTo,
} from './files.ts';
import { type Generation, type Holder, holderOf } from './generation.ts';
import type { RotatedLog } from './rotated-log.ts';

export type LeftOut = string | undefined;

const LATE_LENGTH = 60;
/** What is known to be another byte than the one that stood there: no line has it. */
const OTHER = '#';
/** Of a generation at most this share is cut or overwritten: the rest is known to be the same. */
const CUT_SHARE = 0.02;
const LEAST_CUT_SIZE = 100;
/** Of so many days a copy has the date. */
const DAYS = 28;

export function oneOf<T>(all: readonly T[], share: number): T | undefined {
  return all[Math.floor(share * all.length)];
}

export async function compress(log: RotatedLog, share: number): Promise<LeftOut> {
  const holder = oneOf(
    log.rotated.filter(({ compressed }) => !compressed),
    share,
  );
  if (holder === undefined) return 'no rotated file';
  await log.compress(holder);
  return undefined;
}

/** The compressed file is as old as the compression. Where its name has no time, nothing but its content tells. */
export async function compressUntimed(log: RotatedLog, share: number): Promise<LeftOut> {
  const holder = oneOf(
    log.rotated.filter(({ compressed }) => !compressed),
    share,
  );
  if (holder?.name === undefined) return 'no rotated file';
  const to = `${holder.name}.gz`;
  await gzipTo(holder.name, to);
  unlinkSync(holder.name);
  holder.name = to;
  holder.compressed = true;
  if (/\.\d+\.gz$/.test(to)) for (const generation of of(log, holder)) generation.named.add(to);
  return undefined;
}

function of(log: RotatedLog, holder: Holder): Generation[] {
  return log.generations.filter((generation) => generation.holder === holder);
}

/** As somebody makes a copy beside it before he changes something; the same copy again and again, or another. */
export function copy(log: RotatedLog, share: number, isDated: boolean): LeftOut {
  if (log.current === undefined) return 'no file';
  const date = `202611${String(1 + Math.floor(share * DAYS)).padStart(2, '0')}`;
  copyFileSync(log.path, isDated ? `${log.path}.${date}` : `${log.path}.bak`);
  return undefined;
}

/** The writer was not told of a rotation. */
export function late(log: RotatedLog, share: number): LeftOut {
  const holder = oneOf(
    log.rotated.filter(
      ({ name, compressed, generations }) => name !== undefined && !compressed && generations === 1,
    ),
    share,
  );
  const [generation] = holder === undefined ? [] : of(log, holder);
  if (holder?.name === undefined || generation === undefined) return 'no rotated file';
  // The time of its last write would be all that tells its place among compressed ones (docs/tailing.md).
  if (!generation.isSeen) return 'nobody has seen it';
  const line = Buffer.from(log.lineOf(generation, LATE_LENGTH));
  generation.late.push(line);
  appendFileSync(holder.name, line);
  return undefined;
}

/** As `sed -i` and editors do it: all that the file has, and more, is written to another, which takes its place. */
export function renew(log: RotatedLog, share: number): LeftOut {
  const generation = log.current;
  if (generation === undefined) return 'no file';
  const next = path.join(path.dirname(log.path), `.${path.basename(log.path)}.tmp`);
  const content = readFileSync(log.path);
  const more = Buffer.from(share < 0.3 ? '' : log.lineOf(generation, share * 200));
  writeFileSync(next, Buffer.concat([content, more]));
  renameSync(next, log.path);
  generation.holder.name = undefined;
  generation.moveTo(holderOf(log.path));
  generation.add(more);
  log.reopen(generation);
  return undefined;
}

/** A power cut, while the shipper is down too: the last bytes had not reached the disk. The writer goes on. */
export async function shorten(log: RotatedLog, share: number): Promise<LeftOut> {
  const generation = log.current;
  if (generation === undefined || generation.size < LEAST_CUT_SIZE) return 'too short';
  const bytes = 1 + Math.floor(share * CUT_SHARE * generation.size);
  const before = readFileSync(log.path).subarray(0, -bytes);
  truncateSync(log.path, before.length);
  log.changed(before);
  log.append(`${OTHER}\n`);
  await log.line(100);
  return undefined;
}

/** As the closing bracket of a list is overwritten by the next entry. */
export function overwrite(log: RotatedLog, share: number): LeftOut {
  const generation = log.current;
  if (generation === undefined || generation.size < LEAST_CUT_SIZE) return 'too short';
  const content = readFileSync(log.path);
  const at = content.length - 1 - Math.floor(share * 15);
  log.changed(content.subarray(0, at));
  const { current } = log;
  if (current === undefined) throw new Error('BUG: it is open');
  const data = Buffer.from(`${OTHER}${log.lineOf(current, 100)}`);
  current.add(data);
  const fd = openSync(log.path, 'r+');
  writeSync(fd, data, 0, data.length, at);
  closeSync(fd);
  return undefined;
}

/** A path that leads to one of two files, each of which is written to while the path leads there. */
export class Link {
  readonly #log: RotatedLog;
  readonly #targets = new Map<string, Generation>();
  /** Nobody may have looked at what it leads to now: if it leads elsewhere, nobody can. */
  isUnseen = true;
  #target: string;

  constructor(log: RotatedLog) {
    this.#log = log;
    this.#target = `${path.basename(log.path)}-a.txt`;
    symlinkSync(this.#target, log.path);
  }

  switch(): LeftOut {
    if (this.#log.current === undefined) return 'no file';
    if (this.isUnseen) return 'nobody has looked';
    this.#targets.set(this.#target, this.#log.current);
    this.#target = this.#target.replace(/-[ab]\.txt$/, (end) => (end === '-a.txt' ? '-b.txt' : '-a.txt'));
    this.#log.close();
    symlinkSync(this.#target, `${this.#log.path}.next`);
    renameSync(`${this.#log.path}.next`, this.#log.path);
    const known = this.#targets.get(this.#target);
    this.#log.reopen(known);
    this.isUnseen = known === undefined;
    return undefined;
  }
}
