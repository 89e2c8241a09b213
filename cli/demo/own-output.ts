// What `local` must not ship: the files that it writes itself. Only looks where symbolic links lead.

import { realpathSync } from 'node:fs';
import path from 'node:path';

import { LogferryError, systemCode } from '../../common/runtime/errors.ts';

/** Below a directory: everything, and what begins with a dot, which `**` passes over. */
const EVERYTHING = ['**', '**/.*', '**/.*/**'];

/** The globs that leave the output directory (which exists) out, for those of the globs that could reach it. */
export interface OwnOutput {
  readonly exclude: string[];
  /** The globs that could. */
  readonly reaching: string[];
}

/** Throws `usage` when a glob ships nothing but what is below the output directory. */
export function excludeOutput(globs: readonly string[], out: string): OwnOutput {
  const realOut = realpathSync(out);
  const exclude = new Set<string>();
  const reaching: string[] = [];
  for (const glob of globs) {
    const base = baseOf(path.resolve(glob));
    const below = path.relative(base.real, realOut);
    if (below === '' || !isBelow(realOut, base.real)) {
      if (below === '' || isBelow(base.real, realOut))
        throw new LogferryError(
          'usage',
          `${glob} names files in the output directory ${out}, which holds what was shipped`,
          'give --out a directory of its own',
        );
      continue;
    }
    reaching.push(glob);
    for (const end of EVERYTHING) exclude.add(`${literally(path.join(base.written, below))}/${end}`);
  }
  return { exclude: [...exclude], reaching };
}

function isBelow(file: string, directory: string): boolean {
  return file.startsWith(directory.endsWith('/') ? directory : `${directory}/`);
}

/** The directory before a glob's first wildcard, as it was written and where it really is. */
function baseOf(glob: string): { written: string; real: string } {
  const parts = glob.split('/');
  const wild = parts.findIndex((part) => /[*?[\]{}()!]/.test(part));
  let written = parts.slice(0, wild < 0 ? -1 : wild).join('/') || '/';
  for (let missing = ''; ;) {
    try {
      return { written: path.join(written, missing), real: path.join(realpathSync(written), missing) };
    } catch (error) {
      // Not there yet, or not for us: as far as it can be seen, and the rest as it is written.
      if (systemCode(error) === undefined || written === '/') throw error;
      missing = path.join(path.basename(written), missing);
      written = path.dirname(written);
    }
  }
}

/** A path as a glob: what is special in one stands for any character, because globs have no escape. */
function literally(directory: string): string {
  return directory.replaceAll(/[[\]*?{}()!+@\\]/g, '?');
}
