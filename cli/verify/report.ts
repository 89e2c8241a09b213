// What verify says: a line for each place where bytes differ, are missing or could not be verified, and a summary; the
// same as JSON. Pure.

import { bytesOf, type ByteRange } from '../../common/wire/ranges.ts';
import { formatBytes } from '../../common/text/units.ts';
import { printable } from '../terminal/printable.ts';
import { countUnread } from '../read/unread.ts';
import type { Difference } from './compare.ts';
import type { Verified } from './verified.ts';

/** Of one generation; more are only counted. */
const MOST_LINES = 5;

/** What all generations add up to, in bytes but for `files` and those that are counted as files or partitions. */
export interface Summary {
  files: number;
  bytes: number;
  byHost: number;
  byLedger: number;
  unknown: number;
  removed: number;
  missing: number;
  unverified: number;
  filesThatDiffer: number;
  filesThatMiss: number;
  filesUnverified: number;
  /** Of these nobody can say what had to be verified. */
  partitionsUnread: number;
}

export function emptySummary(partitionsUnread: number): Summary {
  return {
    ...{ files: 0, bytes: 0, byHost: 0, byLedger: 0, unknown: 0, removed: 0, missing: 0, unverified: 0 },
    ...{ filesThatDiffer: 0, filesThatMiss: 0, filesUnverified: 0, partitionsUnread },
  };
}

export function addTo(summary: Summary, verified: Verified): void {
  summary.files += 1;
  summary.bytes += bytesOf(verified.wanted.expected);
  summary.byHost += bytesOf(verified.byHost);
  summary.byLedger += bytesOf(verified.byLedger);
  summary.unknown += bytesOf(verified.unknown);
  summary.removed += bytesOf(verified.removed);
  summary.missing += bytesOf(verified.missing);
  summary.unverified += bytesOf(verified.unverified.map(({ start, end }): ByteRange => [start, end]));
  summary.filesThatDiffer += Number(verified.differs.length > 0);
  summary.filesThatMiss += Number(verified.missing.length > 0);
  summary.filesUnverified += Number(verified.unverified.length > 0);
}

/** One line for each thing that is wrong with a generation, with newlines; none when nothing is. */
export function linesOf({ wanted, differs, missing, unverified }: Verified): string {
  const { host, path, file } = wanted;
  const name = `${printable(host)}: ${printable(path)}`;
  const bytes = (start: number, end: number): string => `bytes ${start} to ${end} of its generation ${file}`;
  const lines = [
    ...differs.map((one) => `${name}: ${bytes(one.start, one.end)} differ: ${whereOf(one)}`),
    ...missing.map(
      ([start, end]) => `${name}: ${bytes(start, end)} were not found at any receiver that answers`,
    ),
    ...unverified.map(
      ({ start, end, why }) => `${name}: ${bytes(start, end)} not verified: ${printable(why)}`,
    ),
  ];
  const more = lines.length - MOST_LINES;
  const shown =
    more > 0 ? [...lines.slice(0, MOST_LINES), `${name}: ${file}: and ${more} places more`] : lines;
  return shown.map((line) => `${line}\n`).join('');
}

function whereOf({ holder, place, why, start, end }: Difference): string {
  if (place === undefined) return `${printable(holder)} (${printable(why)})`;
  const { disk, from, to, encoding } = exactly(place, start, end);
  const of =
    encoding === undefined
      ? ''
      : ` (${encoding === 'zstd frames' ? encoding : `of what its ${encoding} holds`})`;
  return `${printable(holder)}: ${printable(disk)} from byte ${from} to ${to}${of}: ${printable(why)}`;
}

/** In a file that holds the source's bytes themselves, one place says where each of them is. */
function exactly(
  place: NonNullable<Difference['place']>,
  start: number,
  end: number,
): NonNullable<Difference['place']> {
  if (place.encoding === 'zstd frames') return place;
  const from = place.from + Math.max(0, start - place.start);
  return { ...place, from, to: Math.min(place.to, from + (end - Math.max(start, place.start))) };
}

export function jsonOf({ wanted, differs, missing, unverified, ...counted }: Verified): object {
  const { host, path, file, committed, expected } = wanted;
  return {
    ...{ host, path, file, committed, bytes: bytesOf(expected) },
    result: resultOf({ differs, missing, unverified, unknown: counted.unknown }),
    ...bytesIn(counted),
    differs: differs.map((one) => {
      const {
        disk = null,
        from = null,
        to = null,
        encoding,
      } = one.place === undefined ? {} : exactly(one.place, one.start, one.end);
      const as = encoding === undefined ? {} : { encoding };
      return { start: one.start, end: one.end, holder: one.holder, disk, from, to, ...as, why: one.why };
    }),
    missing: missing.map(([start, end]) => ({ start, end })),
    unverified,
  };
}

function bytesIn(counted: Pick<Verified, 'byHost' | 'byLedger' | 'unknown' | 'removed'>): object {
  return Object.fromEntries(Object.entries(counted).map(([name, ranges]) => [name, bytesOf(ranges)]));
}

/** The worst of what was found. Bytes that nobody could compare with anything are not identical. */
function resultOf({
  differs,
  missing,
  unverified,
  unknown,
}: Pick<Verified, 'differs' | 'missing' | 'unverified' | 'unknown'>): string {
  if (differs.length > 0) return 'differs';
  if (missing.length > 0) return 'missing';
  if (unverified.length > 0) return 'unverified';
  return unknown.length > 0 ? 'unknown' : 'identical';
}

/** `12 generations, 3.2 GiB; none differs: 3.0 GiB as on the host, …` */
export function summaryLine(summary: Summary): string {
  const { files, bytes, filesThatDiffer, filesThatMiss, filesUnverified } = summary;
  const parts = (
    [
      ['byHost', 'as on the host'],
      ['byLedger', "as they were written, by the ledger's checksums"],
      ['unknown', 'without a checksum in the ledger'],
      ['removed', 'removed by retention'],
      ['missing', `not found (${countOf(filesThatMiss)})`],
      ['unverified', `not verified (${countOf(filesUnverified)})`],
    ] as const
  ).flatMap(([key, what]) => (summary[key] === 0 ? [] : [`${formatBytes(summary[key])} ${what}`]));
  const differ =
    filesThatDiffer === 0
      ? 'none differs'
      : `${filesThatDiffer} ${filesThatDiffer === 1 ? 'differs' : 'differ'}`;
  const unread = unreadOf(summary).map((what) => `, ${what}`);
  const counted = parts.length === 0 ? '' : `: ${parts.join(', ')}`;
  return `${countOf(files)}, ${formatBytes(bytes)}; ${differ}${unread.join('')}${counted}`;
}

/** What failed, in one sentence; undefined when all is well. */
export function failureOf(summary: Summary): string | undefined {
  const { filesThatDiffer, filesThatMiss, filesUnverified } = summary;
  const parts = [
    ...(filesThatDiffer === 0
      ? []
      : [`${countOf(filesThatDiffer)} ${filesThatDiffer === 1 ? 'differs' : 'differ'}`]),
    ...(filesThatMiss === 0 ? [] : [`bytes of ${countOf(filesThatMiss)} are not found`]),
    ...(filesUnverified === 0 ? [] : [`${countOf(filesUnverified)} could not be verified`]),
    ...unreadOf(summary),
  ];
  return parts.length === 0 ? undefined : parts.join(', ');
}

function unreadOf({ partitionsUnread }: Summary): string[] {
  return partitionsUnread === 0 ? [] : [countUnread(partitionsUnread)];
}

function countOf(count: number): string {
  return count === 1 ? '1 generation' : `${count} generations`;
}
