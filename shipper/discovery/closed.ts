// Directories that a glob leads into and that this user may not list: what is in them nobody can match, and Node's glob
// passes over them without a word.

import path from 'node:path';

import { lstat, opendir, readdir } from '../files/disk.ts';
import { isForbidden, systemCode } from '../../common/runtime/errors.ts';
import { hasWildcard } from '../../common/text/globs.ts';
import { type Selection, excluderOf } from './expand.ts';
import type { Skipped } from './skipped.ts';
import { baseOfGlob } from './watch.ts';

/** How often they are looked for, and how many times as long as that took it waits at least. */
const CLOSED_EVERY_MS = 60_000;
const CLOSED_REST = 20;

/** What an exclude for all that a directory holds leaves out, like `/srv/private/**`. */
const SOME_FILE = 'some file';

/** Says which they are. */
export class ClosedDirectories {
  readonly #skipped: Skipped;
  /** By path, why. */
  all: ReadonlyMap<string, string> = new Map();
  #againAt = 0;

  constructor(skipped: Skipped) {
    this.#skipped = skipped;
  }

  /** Now and then, or since the sources are others: it reads all directories once more. */
  async look(sources: readonly Selection[], isDue: boolean): Promise<void> {
    const began = performance.now();
    if (began < this.#againAt && !isDue) return;
    const closed = await closedDirectories(sources);
    for (const directory of this.all.keys()) if (!closed.has(directory)) this.#skipped.clear(directory);
    for (const [directory, why] of closed)
      this.#skipped.say(
        directory,
        `cannot look into ${directory} (${why}): nothing in it is shipped: let this user list it, or leave it out with --exclude`,
      );
    this.all = closed;
    const took = performance.now() - began;
    this.#againAt = began + took + Math.max(CLOSED_EVERY_MS, took * CLOSED_REST);
  }
}

/**
 * By path, the code of the error. Symbolic links are entered where the glob names them, as when it is expanded. A glob
 * whose alternatives have slashes in them is not looked into.
 */
export async function closedDirectories(sources: readonly Selection[]): Promise<ReadonlyMap<string, string>> {
  const closed = new Map<string, string>();
  for (const { globs, exclude } of sources) {
    const isExcluded = excluderOf(exclude);
    for (const glob of globs.filter((pattern) => hasWildcard(pattern))) {
      const absolute = path.resolve(glob);
      const base = baseOfGlob(absolute);
      const below = absolute.slice(base === '/' ? 1 : base.length + 1).split('/');
      if (/\{[^}]*\/[^}]*\}/.test(absolute)) continue;
      await look(base, below, (directory, code) => {
        if (!isExcluded(directory) && !isExcluded(path.join(directory, SOME_FILE)))
          closed.set(directory, code);
      });
    }
  }
  return closed;
}

/** @param below the parts of the glob from here on, the last of which is for files */
async function look(
  directory: string,
  below: readonly string[],
  onClosed: (directory: string, code: string) => void,
): Promise<void> {
  const [part = '', ...rest] = below;
  const isLast = rest.length === 0;
  if (!isLast && !hasWildcard(part)) {
    await look(path.join(directory, part), rest, onClosed);
    return;
  }
  let names: string[] = [];
  try {
    if (!hasWildcard(part)) await lstat(path.join(directory, part));
    else if (isLast) await (await opendir(directory)).close();
    else names = await directoriesIn(directory);
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined) throw error;
    if (isForbidden(error)) onClosed(directory, code);
    return;
  }
  // `**` stands for no directory as well; whether this one may be listed is known.
  if (part === '**' && !(rest.length === 1 && hasWildcard(rest[0] ?? '')))
    await look(directory, rest, onClosed);
  for (const name of names)
    if (part !== '**' && path.matchesGlob(name, part)) await look(path.join(directory, name), rest, onClosed);
    else if (part === '**' && !name.startsWith('.')) await look(path.join(directory, name), below, onClosed);
}

async function directoriesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
