// The globs and the flags that say what is shipped, and as whom.

import { LogferryError } from '../common/errors.ts';
import { DEFAULT_EXCLUDES } from '../shipper/expand.ts';
import { duration, flag, oneOf, parsed, repeated, switchOff, text, wrongValue } from './flag.ts';

export const globsArgument = {
  name: '<glob...>',
  help: 'the files; * stays within a directory, ** crosses',
};

export const sourceFlags = {
  host: flag('--host <name>', { help: 'the name to ship as', otherwise: "the machine's" }, parsed(readHost)),
  from: flag(
    '--from <where>',
    {
      help:
        'begin files that are there at the very first start at their beginning or end; later ones always at the ' +
        'beginning',
      default: 'beginning',
    },
    oneOf('beginning', 'end'),
  ),
  exclude: repeated(
    '--exclude <glob>',
    'leave these files out, beside what is left out by default; without a slash it is for the base name; may be ' +
      'repeated',
    text('a glob'),
  ),
  defaultExcludes: switchOff(
    '--no-default-excludes',
    `ship these too when a wildcard matches them: ${DEFAULT_EXCLUDES.join(' ')}`,
  ),
  ignoreOlder: flag(
    '--ignore-older <duration>',
    {
      help:
        'of a file that was last written longer ago than this when it is first seen, ship only what is added to ' +
        'it later',
      otherwise: 'ship all of it',
    },
    duration('1s'),
  ),
  followSymlinks: switchOff(
    '--no-follow-symlinks',
    'leave out files that are symbolic links; else a file of several names is shipped once, under the one found first',
  ),
};

/** Throws `usage` for what cannot be a glob. */
export function checkGlobs(globs: readonly string[]): void {
  for (const glob of globs)
    if (glob.trim() === '' || glob === '-')
      throw new LogferryError(
        'usage',
        `${JSON.stringify(glob)} is not a glob`,
        "write it like '/var/log/*.log'",
      );
}

/** Host names end at 255 bytes; the rest of a subject is the path's. */
function readHost(value: string, name: string): string {
  if (value.trim() !== '' && value.isWellFormed() && Buffer.byteLength(value) <= 255) return value;
  throw wrongValue(name, value, 'a name of at most 255 bytes');
}
