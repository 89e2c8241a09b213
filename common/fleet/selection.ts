// Which hosts and which of their files a person asks for: hosts as filters that the server applies, as far as subjects can
// say it, and all of it as a test. Pure: what is in the stream, or was ever there, is not asked.

import path from 'node:path';

import { LogferryError } from '../runtime/errors.ts';
import { checkGlob, hasWildcard, nameTest } from '../text/globs.ts';
import { hostFilter } from '../wire/subjects.ts';
import type { Topology } from '../wire/topology.ts';

export interface Selection {
  /** Filters over stored subjects: all hosts that are selected, and maybe more. No two match the same subject. */
  subjects(topology: Topology): string[];
  /** Whether this file of this host is selected. Patterns are compiled anew at each call: ask once for each file. */
  matches(host: string, path: string): boolean;
}

/** Above this many filters the server is asked for more, and what is too much is left out here. */
const MAX_FILTERS = 64;

/**
 * A host or a path is selected when one of its globs matches it (or none are given), and no exclude matches the path.
 * `*` stays within a directory, `**` crosses them; a pattern of a path without a slash is for the base name; what is
 * called exactly as a pattern is written is matched too. Throws `usage`, naming the flag, for a glob that is none.
 */
export function selectionOf(
  hosts: readonly string[],
  paths: readonly string[],
  exclude: readonly string[],
): Selection {
  for (const glob of hosts) checkGlob(glob, '--host', "web1 or 'web*'");
  for (const glob of paths) checkPathGlob(glob, '--path');
  for (const glob of exclude) checkPathGlob(glob, '--exclude');
  const isHost = hosts.length === 0 ? (): boolean => true : anyHost(hosts);
  const isPath = paths.length === 0 ? (): boolean => true : anyPath(paths);
  const isExcluded = anyPath(exclude);
  return {
    subjects: (topology) => filtersOf(topology, hosts),
    matches: (host, file) => isHost(host) && isPath(file) && !isExcluded(file),
  };
}

/** Paths are absolute, so a pattern with a slash has to begin with one, or with what may stand for one. */
function checkPathGlob(glob: string, flag: string): void {
  const example = "/var/log/syslog, '/var/log/**' or '*.log'";
  checkGlob(glob, flag, example);
  if (!glob.includes('/')) return;
  const shown = `${flag} is ${JSON.stringify(glob)}`;
  if (glob.endsWith('/'))
    throw new LogferryError('usage', `${shown}, a directory`, `for all below it: '${glob}**'`);
  if (!/^(?:\/|\*\*|\{|[?*+@!]\()/.test(glob))
    throw new LogferryError(
      'usage',
      `${shown}, a relative path: there is no directory that it could be relative to`,
      `write '/…/${glob}' in full, or '**/${glob}'`,
    );
}

function anyHost(globs: readonly string[]): (host: string) => boolean {
  const names = new Set(globs);
  const test = nameTest(globs);
  return (host) => names.has(host) || test(host);
}

function anyPath(globs: readonly string[]): (file: string) => boolean {
  const written = new Set(globs);
  const names = globs.filter((glob) => !glob.includes('/'));
  const test = nameTest(names);
  const whole = globs.filter((glob) => glob.includes('/') && hasWildcard(glob));
  return (file) => {
    const name = path.posix.basename(file);
    if (written.has(file) || written.has(name) || test(name)) return true;
    return whole.some((glob) => path.posix.matchesGlob(file, glob));
  };
}

/** In any partition: their number may have been another when a message was published. */
function filtersOf({ prefix }: Topology, hosts: readonly string[]): string[] {
  const names = new Set(hosts);
  if (names.size === 0 || names.size > MAX_FILTERS || hosts.some(hasWildcard)) return [`${prefix}.*.*.*`];
  return [...names].map((host) => hostFilter(prefix, host));
}
