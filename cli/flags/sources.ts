// The globs and the flags that say what is shipped, and as whom.

import path from 'node:path';

import { z } from 'zod';

import { LogferryError } from '../../common/runtime/errors.ts';
import type { SourceOptions } from '../../shipper/options.ts';
import { duration, flag, oneOf, parsed, repeated, switchOff, text, wrongValue } from './flag.ts';
import { DEFAULT_EXCLUDES } from '../../shipper/inspect.ts';

export const globsArgument = {
  name: '[glob...]',
  help: 'the files; * stays within a directory, ** crosses',
};

export const hostFlag = flag(
  '--host <name>',
  { help: 'the name to ship as', otherwise: "the machine's" },
  parsed(readHost),
);

/** What is said of some globs, and not of others. */
export const sourceFlags = {
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

/** The same, of a shipper that has no output beside it. */
export const shipSourceFlags = {
  ...sourceFlags,
  rotateWait: flag(
    '--rotate-wait <duration>',
    {
      help:
        'keep a rotated file open until nobody has written to it for so long and it is committed (a deleted one a ' +
        'minute at most)',
      default: '5m',
    },
    duration('1s'),
  ),
  pathPrefix: flag(
    '--path-prefix <dir>',
    {
      help: "ship files below this directory as if it were /, like /host for a container's mount of its host",
      otherwise: 'each file under its own path',
    },
    parsed(readDirectory),
  ),
};

export const shipSourceSchema = z.strictObject(shipSourceFlags);

/** What a shipper is told of these globs. */
export function sourceOptions(
  globs: readonly string[],
  flags: z.output<typeof shipSourceSchema>,
): SourceOptions {
  checkGlobs(globs);
  return {
    globs,
    exclude: flags.exclude,
    defaultExcludes: flags.defaultExcludes,
    from: flags.from,
    ignoreOlderMs: flags.ignoreOlder,
    rotateWaitMs: flags.rotateWait,
    followSymlinks: flags.followSymlinks,
    pathPrefix: flags.pathPrefix,
  };
}

/** Throws `usage` for what cannot be a glob, and for none at all. */
export function checkGlobs(globs: readonly string[]): void {
  if (globs.length === 0)
    throw new LogferryError('usage', 'no glob is given', "say which files, like '/var/log/*.log'");
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

/** A prefix of absolute paths. */
function readDirectory(value: string, name: string): string {
  if (path.isAbsolute(value)) return path.resolve(value);
  throw wrongValue(name, value, 'an absolute path, like /host');
}
