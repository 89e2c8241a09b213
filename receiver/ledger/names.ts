// Where a source file's bytes go below the output directory, and what its segments are called. Pure.
// Two sources never share a file, and a segment's name is never another destination's.

import { hash } from 'node:crypto';
import path from 'node:path';

/** The directory of everything that is not data. */
export const STATE_DIRECTORY = '.logferry';

/** What file systems allow for one name. */
const MAX_NAME_BYTES = 255;

/** How a segment may be compressed, and what its name ends in then. */
const ENCODING_SUFFIX = { gzip: '.gz', zstd: '.zst' } as const;

export type Encoding = keyof typeof ENCODING_SUFFIX;

/** How central files are written: the bytes themselves, or zstd frames one behind the other. */
export const FORMATS = ['plain', 'zstd'] as const;
export type Format = (typeof FORMATS)[number];

/** What a segment adds to a destination's name: when it was rotated away, which one of that moment, how compressed. */
const SEGMENT_SUFFIX = /\.(\d{8}T\d{9}Z)(?:-(\d+))?(?:\.gz|\.zst)?$/;
const LONGEST_SUFFIX = '.20260101T000000000Z-999.zst'.length;

/**
 * `<host>/<absolute source path>`, relative to the output directory. What a name cannot be stays percent-encoded:
 * `.`, `..`, a leading `.logferry`, a percent sign, slashes and control characters in a host, a name that looks
 * like a segment's, and (as a hash) what is too long with a segment's suffix.
 */
export function destinationOf(host: string, source: string): string {
  const parts = source.split('/').filter((part) => part !== '');
  const absolute =
    source.startsWith('/') && parts.length > 0 && !source.endsWith('/') && !source.includes('//');
  // Anything but a plain absolute path goes under a name that no component of one can have.
  const names = absolute
    ? parts.map(safeName)
    : [`%2F${encodeURIComponent(source).slice(0, 100)}-${nameHash(source)}`];
  return path.posix.join(safeName(host), ...names);
}

/** The same for a source whose plain place is taken by a directory or lies below a file. */
export function flatDestinationOf(host: string, source: string): string {
  return path.posix.join(
    safeName(host),
    `%2F${encodeURIComponent(source).slice(0, 100)}-${nameHash(source)}`,
  );
}

function safeName(name: string): string {
  let safe = '';
  for (const char of name) {
    const code = char.charCodeAt(0);
    safe += char === '%' || char === '/' || code < 0x20 || code === 0x7f ? encodeURIComponent(char) : char;
  }
  if (safe === '.' || safe === '..' || safe.startsWith(STATE_DIRECTORY)) safe = safe.replace('.', '%2E');
  // The dot before the time: without it, no destination's name plus a suffix can ever be this name.
  safe = safe.replace(SEGMENT_SUFFIX, (suffix) => suffix.replace('.', '%2E'));
  if (Buffer.byteLength(safe) + LONGEST_SUFFIX <= MAX_NAME_BYTES) return safe;
  const kept = Buffer.from(safe).subarray(0, 120).toString('utf8').replaceAll('\uFFFD', '');
  return `${kept}%~${nameHash(name)}`;
}

function nameHash(name: string): string {
  return hash('sha256', name, 'hex').slice(0, 24);
}

/**
 * The file that is written to. In one directory two destinations may want the same one (`a` in zstd, `a.zst` in plain):
 * the ledger knows whose it is.
 */
export function activeName(destination: string, format: Format): string {
  return format === 'plain' ? destination : compressedName(destination, format);
}

/** The name of a segment that was rotated away at this time; names sort by time. `index` tells apart what a millisecond cannot. */
export function segmentName(base: string, time: Date, index: number): string {
  const stamp = time.toISOString().replaceAll(/[-:.]/g, '');
  return `${base}.${stamp}${index > 1 ? `-${index}` : ''}`;
}

/** What a segment is called once it is compressed. */
export function compressedName(name: string, encoding: Encoding): string {
  return `${name}${ENCODING_SUFFIX[encoding]}`;
}

/** The same segment's name under another number. */
export function renumbered(name: string, index: number): string {
  return name.replace(/(Z)(?:-\d+)?(\.gz|\.zst)?$/, (_, z: string, as = '') => `${z}-${index}${String(as)}`);
}

/** Whether a name in a destination's directory is one of its segments. */
export function isSegmentOf(base: string, name: string): boolean {
  return name.startsWith(`${base}.`) && baseOfSegment(name) === base;
}

/** The name of the active file that a segment was, undefined when the name is none of a segment. */
export function baseOfSegment(name: string): string | undefined {
  const suffix = SEGMENT_SUFFIX.exec(name);
  return suffix === null || suffix.index === 0 ? undefined : name.slice(0, suffix.index);
}

/** Orders the segments of one destination, oldest first. */
export function bySegmentTime(a: string, b: string): number {
  const [, timeA = '', indexA = '1'] = SEGMENT_SUFFIX.exec(a) ?? [];
  const [, timeB = '', indexB = '1'] = SEGMENT_SUFFIX.exec(b) ?? [];
  if (timeA !== timeB) return timeA < timeB ? -1 : 1;
  return Number(indexA) - Number(indexB);
}
