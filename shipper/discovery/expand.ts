// Which paths the globs match and the excludes leave. Only names: what is at a path is seen in discover.ts.

import path from 'node:path';

import { glob, lstatSync, realpath } from '../files/disk.ts';
import { systemCode } from '../../common/runtime/errors.ts';
import { hasWildcard, nameTest } from '../../common/text/globs.ts';
import { baseOfGlob } from './watch.ts';

/**
 * What no glob ships unless it is asked to: compressed files, what editors and downloads leave for a while, and the
 * databases among the logs that are written anew in place. By base name, hidden ones too.
 */
export const DEFAULT_EXCLUDES: readonly string[] = [
  ...['*.gz', '*.tgz', '*.bz2', '*.tbz2', '*.xz', '*.txz', '*.lzma', '*.lz4', '*.zst', '*.br', '*.Z'],
  ...['*.zip', '*.7z', '*.rar'],
  ...['*.swp', '*.swo', '*.swx', '*~', '.#*', '#*#', '*.tmp', '*.part'],
  ...['*.journal', 'lastlog', 'faillog', 'tallylog'],
];

export interface Selection {
  readonly globs: readonly string[];
  /** Patterns of the user's: for every path, also one that is named without a wildcard. */
  readonly exclude: readonly string[];
  /** Whether DEFAULT_EXCLUDES hold, for what a wildcard matched. */
  readonly defaultExcludes: boolean;
}

/** A path that a source names. */
export interface Matched<S> {
  /** The first source that matches it. */
  readonly source: S;
  /** The glob that matched first. */
  readonly by: string;
  /** Named as it is, not by a wildcard. */
  readonly isLiteral: boolean;
}

/**
 * What is matched, by absolute path: the sources and their globs in the order in which they were given, the paths of
 * each glob sorted. What one source leaves out another may have.
 */
export async function expand<S extends Selection>(
  sources: readonly S[],
): Promise<ReadonlyMap<string, Matched<S>>> {
  return await matchedIn(sources, matchesOf, () => true);
}

/**
 * The same of these paths alone, for which no directory is listed. `unsure` are those of which only a listing can tell: a
 * name that is not UTF-8, and what is behind a symbolic link.
 */
export async function expandAmong<S extends Selection>(
  sources: readonly S[],
  files: readonly string[],
): Promise<{ readonly matched: ReadonlyMap<string, Matched<S>>; readonly unsure: readonly string[] }> {
  const among = new Set(files);
  const matching = (pattern: string): string[] =>
    files.filter((file) => path.matchesGlob(file, pattern)).toSorted();
  const matched = new Map(await matchedIn(sources, matching, (file) => among.has(file)));
  const unsure: string[] = [];
  for (const [file, { by, isLiteral }] of matched)
    if (file.includes('\uFFFD') || (!isLiteral && (await isBehindLink(file, by)))) unsure.push(file);
  for (const file of unsure) matched.delete(file);
  return { matched, unsure };
}

/** Whether a directory on the way to a file is a symbolic link, below the one that a glob begins with. */
async function isBehindLink(file: string, pattern: string): Promise<boolean> {
  const [directory, base] = [path.dirname(file), baseOfGlob(pattern)];
  if (directory === base) return false;
  try {
    return (await realpath(directory)) !== path.join(await realpath(base), path.relative(base, directory));
  } catch (error) {
    // Nothing is there any more.
    if (systemCode(error) === undefined) throw error;
    return false;
  }
}

async function matchedIn<S extends Selection>(
  sources: readonly S[],
  matches: (pattern: string) => Promise<string[]> | string[],
  isAmong: (file: string) => boolean,
): Promise<ReadonlyMap<string, Matched<S>>> {
  const matched = new Map<string, Matched<S>>();
  for (const source of sources) {
    const isExcluded = excluderOf(source.exclude);
    const isUsual = source.defaultExcludes ? isDefaultExclude : (): boolean => false;
    for (const pattern of source.globs) {
      const absolute = path.resolve(pattern);
      const isLiteral = !hasWildcard(absolute) || exists(absolute);
      for (const file of isLiteral ? [absolute].filter(isAmong) : await matches(absolute))
        if (!matched.has(file) && !isExcluded(file) && (isLiteral || !isUsual(file)))
          matched.set(file, { source, by: pattern, isLiteral });
    }
  }
  return matched;
}

/** Whether a source names a path, also one at which nothing is. */
export function namer({ globs, exclude, defaultExcludes }: Selection): (file: string) => boolean {
  const isExcluded = excluderOf(exclude);
  const patterns = globs.map((pattern) => path.resolve(pattern));
  return (file) =>
    !isExcluded(file) &&
    patterns.some(
      (pattern) =>
        file === pattern || (!(defaultExcludes && isDefaultExclude(file)) && path.matchesGlob(file, pattern)),
    );
}

/**
 * A symbolic link to a directory is entered where the glob names it, never where a wildcard matches it: so there are no
 * circles. What a directory holds whose name is not UTF-8 cannot be listed: its own name stands for it.
 */
async function matchesOf(absolute: string): Promise<string[]> {
  const found = new Set<string>();
  const noteUnnameable = (name: string): boolean => {
    if (name.includes('\uFFFD') && path.isAbsolute(name)) found.add(name);
    return false;
  };
  for await (const match of glob(absolute, { exclude: noteUnnameable })) found.add(match);
  return [...found].toSorted();
}

/** A dangling link is something too. */
function exists(file: string): boolean {
  try {
    return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if (systemCode(error) !== undefined) return false;
    throw error;
  }
}

/** Whether a path is left out by one of these patterns. */
export function excluderOf(patterns: readonly string[]): (file: string) => boolean {
  const tests = patterns.map(excluder);
  return (file) => tests.some((test) => test(file));
}

/** A pattern without a slash is for the base name. */
function excluder(pattern: string): (file: string) => boolean {
  if (!pattern.includes('/')) return baseNameTest([pattern]);
  const absolute = path.resolve(pattern);
  return (file) => path.matchesGlob(file, absolute);
}

const isDefaultExclude = baseNameTest(DEFAULT_EXCLUDES);

function baseNameTest(patterns: readonly string[]): (file: string) => boolean {
  const test = nameTest(patterns);
  return (file) => test(path.basename(file));
}
