// The path under which a file is shipped: its own, or without the prefix where another root is mounted. Pure.

import path from 'node:path';

/** A file that is not below the prefix keeps its path. */
export function nameBelow(prefix: string | undefined): (file: string) => string {
  if (prefix === undefined) return (file) => file;
  const absolute = path.resolve(prefix);
  const start = absolute === '/' ? '' : absolute;
  return (file) => (file.startsWith(`${start}/`) ? file.slice(start.length) : file);
}
