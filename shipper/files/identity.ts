// What names one generation of a file, and which names a rotation gives. Pure.

import { shortHash } from '../../common/wire/digest.ts';

/** What the file system says of a file that stays when it is renamed. `birth` is '0' where it keeps none. */
export interface FileStamp {
  readonly ino: string;
  /** Nanoseconds since 1970. */
  readonly birth: string;
  /**
   * The device number, where there is no birth: a number is another file's on another one. Empty for a file of an earlier
   * run, and for one that is finished: without a birth its number may be any file's by now.
   */
  readonly device: string;
}

/** The first bytes of a file, as a hash of that many. */
export interface Head {
  readonly length: number;
  readonly hash: string;
}

/** Heads are compared over at most this many bytes. */
export const HEAD_BYTES = 1024;

/**
 * The part of a file id that a shipper without state finds again: inode and birth time. Undefined where the file
 * system has no birth time; then the base is random and kept in the state.
 */
export function baseOf(stamp: FileStamp): string | undefined {
  if (stamp.birth === '0') return undefined;
  return `${BigInt(stamp.ino).toString(36)}-${BigInt(stamp.birth).toString(36)}`;
}

/** A file truncated in place begins a new generation: the base stays, the number counts. */
export function fileIdOf(base: string, number: number): string {
  return `${base}-${number}`;
}

export function splitFileId(file: string): { base: string; number: number } | undefined {
  const match = /^(.+)-(\d{1,9})$/.exec(file);
  return match?.[1] === undefined ? undefined : { base: match[1], number: Number(match[2]) };
}

/** The file that a file id names; undefined where its first part is random. */
export function stampOf(file: string): FileStamp | undefined {
  const [ino, birth, ...rest] = splitFileId(file)?.base.split('-') ?? [];
  if (ino === undefined || birth === undefined || rest.length > 0) return undefined;
  return { ino: String(fromBase36(ino)), birth: String(fromBase36(birth)), device: '' };
}

function fromBase36(digits: string): bigint {
  let number = 0n;
  for (const digit of digits) number = number * 36n + BigInt(Number.parseInt(digit, 36));
  return number;
}

/** A device number may change with a reboot, an inode is used again: births tell, and where there are none both count. */
export function isSameFile(a: FileStamp, b: FileStamp): boolean {
  return keyOf(a) === keyOf(b) && hasIdentity(a);
}

/** The same for the same file, whatever it is called. */
export function keyOf({ ino, birth, device }: FileStamp): string {
  return birth === '0' ? `${ino}@${device}` : `${ino}-${birth}`;
}

/** Whether the stamp can name a file at all. */
export function hasIdentity({ birth, device }: FileStamp): boolean {
  return birth !== '0' || device !== '';
}

export function headOf(first: Uint8Array): Head {
  const head = first.subarray(0, HEAD_BYTES);
  return { length: head.length, hash: shortHash(head) };
}

/** Of a file of which nothing was read. */
export const NO_HEAD: Head = headOf(new Uint8Array());

/** Whether a file that begins with these bytes can be the one the head was taken from. */
export function headMatches(head: Head, first: Uint8Array): boolean {
  return first.length >= head.length && headOf(first.subarray(0, head.length)).hash === head.hash;
}

/** A count or a time, as rotators write them. Without the separator `3.log` and `360.log` would be one log. */
const STAMP = /^[-_.]\d[-\d_.T:Z]*$/;

/** Year, month and day at its beginning, and perhaps the time of the day: no part of a longer number. */
const DATE = new RegExp(
  String.raw`^[-_.](?:19|2\d)\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])` +
    String.raw`(?:(?:[01]\d|2[0-3])(?:[0-5]\d){0,2})?(?!\d)`,
);

/** How every name begins that a rotation makes of `base`. */
export function rotationPrefix(base: string): string {
  const dot = base.lastIndexOf('.');
  return dot > 0 ? base.slice(0, dot) : base;
}

/** Whether a name is what a rotation makes of `base` in the same directory. Not `app.log.err`: that is another log. */
export function isRotationOf(base: string, name: string): boolean {
  return rotationOf(base, name) !== undefined;
}

export type Rotation = 'behind' | 'dated' | 'counted';

/**
 * How a name is made of `base`: with something behind it (`app.log.1`, `app.log-20261121`), as nobody names a log of its
 * own; with a date in it (`app-2026-11-21.log`); or with a count in it (`app.1.log`), as a neighbour may be named too.
 */
export function rotationOf(base: string, name: string): Rotation | undefined {
  if (name === base || name.length <= base.length) return undefined;
  const dot = base.lastIndexOf('.');
  if (name.startsWith(base) && STAMP.test(name.slice(base.length))) return 'behind';
  if (dot <= 0) return undefined;
  const stem = base.slice(0, dot);
  const extension = base.slice(dot);
  const middle = name.slice(stem.length, name.length - extension.length);
  if (!name.startsWith(stem) || !name.endsWith(extension) || !STAMP.test(middle)) return undefined;
  return DATE.test(middle) ? 'dated' : 'counted';
}

/** The names of which a rotation makes this one in the same directory. */
export function basesOf(name: string): string[] {
  const bases: string[] = [];
  for (const end of new Set([name.length, name.lastIndexOf('.')]))
    for (let start = 1; start < end; start += 1) {
      if (!STAMP.test(name.slice(start, end))) continue;
      const base = name.slice(0, start) + name.slice(end);
      if (isRotationOf(base, name)) bases.push(base);
    }
  return bases;
}
