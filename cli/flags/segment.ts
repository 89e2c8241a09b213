// The flags that say what becomes of central files: when they become segments, how these are kept, who may read them.

import { readFileSync } from 'node:fs';

import { z } from 'zod';

import { LogferryError, messageOf } from '../../common/runtime/errors.ts';
import { duration, flag, integer, oneOf, orOff, parsed, size, wrongValue } from './flag.ts';
import { rotationFlags } from './rotation.ts';
import { type Access, FORMATS, type RotateOptions, type UpkeepOptions } from '../../receiver/options.ts';

export const segmentFlags = {
  ...rotationFlags,
  format: flag(
    '--format <format>',
    {
      help: 'write central files as they are (plain), or as zstd frames, to be read with zstdcat (zstd)',
      default: 'plain',
    },
    oneOf(...FORMATS),
  ),
  compress: flag(
    '--compress <how>',
    { help: 'compress segments, in the background: gzip or zstd, or off', default: 'off' },
    orOff(oneOf('gzip', 'zstd')),
  ),
  keepAge: flag(
    '--keep-age <duration>',
    { help: 'remove segments that were last written to so long ago, like 30d, or off', default: 'off' },
    orOff(duration('1s')),
  ),
  keepCount: flag(
    '--keep-count <n>',
    { help: 'keep so many segments of each central file, or off', default: 'off' },
    orOff(integer(0, 1_000_000_000)),
  ),
  keepSize: flag(
    '--keep-size <size>',
    {
      help: 'remove the oldest segments of a central file beyond this size, like 10GiB, or off',
      default: 'off',
    },
    orOff(size(1)),
  ),
  keepTotal: flag(
    '--keep-total <size>',
    { help: 'remove the oldest segments of all beyond this size, like 500GiB, or off', default: 'off' },
    orOff(size(1)),
  ),
  fileMode: flag(
    '--file-mode <mode>',
    {
      help: 'permissions of central files; their directories get x where this has r',
      otherwise: '0640 less the umask',
    },
    parsed(readMode),
  ),
  fileOwner: flag(
    '--file-owner <owner>',
    { help: 'give central files and their directories to user:group or uid:gid', otherwise: 'who runs this' },
    parsed(readOwner),
  ),
};

const schema = z.strictObject(segmentFlags);

type SegmentFlags = z.output<typeof schema>;

/** What a receiver does with these flags. */
export function segmentOptions(flags: SegmentFlags): { rotate: RotateOptions; upkeep: UpkeepOptions } {
  const { format, compress, keepAge, keepCount, keepSize, keepTotal } = flags;
  if (format === 'zstd' && compress !== undefined)
    throw new LogferryError(
      'usage',
      `--compress ${compress} and --format zstd contradict each other: such segments are compressed already`,
      'give only one of them',
    );
  return {
    rotate: rotateOptions(flags),
    upkeep: {
      compress,
      keep: { ageMs: keepAge, count: keepCount, sizeBytes: keepSize, totalBytes: keepTotal },
    },
  };
}

/** How central files are written. */
export function rotateOptions(
  flags: Pick<SegmentFlags, 'rotateSize' | 'rotateInterval' | 'format' | 'fileMode' | 'fileOwner'>,
): RotateOptions {
  const access: Access = { mode: flags.fileMode, owner: flags.fileOwner };
  return { format: flags.format, sizeBytes: flags.rotateSize, interval: flags.rotateInterval, access };
}

/** The same flags again, for a receiver in a process of its own. */
export function segmentArgs(flags: SegmentFlags): string[] {
  const { fileMode, fileOwner } = flags;
  const suffixed = (value: number | undefined, unit: string): string =>
    value === undefined ? 'off' : `${value}${unit}`;
  return [
    ...['--rotate-size', suffixed(flags.rotateSize, 'B')],
    ...['--rotate-interval', flags.rotateInterval ?? 'off'],
    ...['--format', flags.format],
    ...['--compress', flags.compress ?? 'off'],
    ...['--keep-age', suffixed(flags.keepAge, 'ms')],
    ...['--keep-count', suffixed(flags.keepCount, '')],
    ...['--keep-size', suffixed(flags.keepSize, 'B')],
    ...['--keep-total', suffixed(flags.keepTotal, 'B')],
    ...(fileMode === undefined ? [] : ['--file-mode', fileMode.toString(8).padStart(4, '0')]),
    ...(fileOwner === undefined ? [] : ['--file-owner', `${fileOwner.uid}:${fileOwner.gid}`]),
  ];
}

/** Octal, as chmod takes it. What the receiver itself could not read and write again would end it. */
function readMode(value: string, name: string): number {
  const mode = /^0?[0-7]{3}$/.test(value) ? Number.parseInt(value, 8) : 0;
  if ((mode & 0o600) === 0o600) return mode;
  throw wrongValue(name, value, 'an octal mode like 0640, with reading and writing for the owner');
}

function readOwner(value: string, name: string): { uid: number; gid: number } {
  const [user = '', group = '', ...rest] = value.split(':');
  if (user === '' || group === '' || rest.length > 0)
    throw wrongValue(name, value, 'user:group or uid:gid, like root:adm or 0:4');
  return { uid: readId(user, '/etc/passwd', name), gid: readId(group, '/etc/group', name) };
}

/** A number, or the one in the third field of the line that begins with this name. */
function readId(value: string, file: string, name: string): number {
  if (/^\d{1,10}$/.test(value)) return Number(value);
  const line = linesOf(file, name).find((one) => one.startsWith(`${value}:`));
  const id = line?.split(':')[2];
  if (id !== undefined && /^\d+$/.test(id)) return Number(id);
  throw new LogferryError(
    'usage',
    `${name}: ${file} has no ${JSON.stringify(value)}`,
    'give the numbers, uid:gid',
  );
}

function linesOf(file: string, name: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch (error) {
    throw new LogferryError('usage', `${name}: ${messageOf(error)}`, 'give the numbers, uid:gid', {
      cause: error,
    });
  }
}
