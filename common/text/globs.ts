// Patterns of names, as shells write them. Pure: never looks at a disk.

import path from 'node:path';

import { LogferryError } from '../runtime/errors.ts';

/** Longer ones are none that a person wrote, and the matcher refuses those of 64 KiB. */
const MAX_GLOB_CHARS = 4_096;

const CLOSES: Readonly<Record<string, string>> = { '{': '}', '(': ')' };

export function hasWildcard(pattern: string): boolean {
  return /[*?[\]{}()!]/.test(pattern);
}

/**
 * Whether a name matches one of the patterns, none of which has a slash. Plain ones become one expression: tens of
 * thousands of names are asked about at a time. `*` and `?` of a plain one match a leading dot as well.
 */
export function nameTest(patterns: readonly string[]): (name: string) => boolean {
  const isPlain = (pattern: string): boolean => !/[[\]{}()!+@\\]/.test(pattern);
  const plain = patterns.filter((pattern) => isPlain(pattern));
  const others = patterns.filter((pattern) => !isPlain(pattern));
  const expression = new RegExp(`^(?:${plain.map(expressionOf).join('|')})$`, 's');
  return (name) =>
    (plain.length > 0 && expression.test(name)) || others.some((pattern) => path.matchesGlob(name, pattern));
}

/** Of a pattern whose only specials are `*` and `?`. */
function expressionOf(pattern: string): string {
  return pattern
    .replaceAll(/[$^.|]/g, String.raw`\$&`)
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
}

/** Throws `usage`, naming `what`, for a pattern that is empty or whose brackets are not closed. */
export function checkGlob(pattern: string, what: string, example: string): void {
  const fault = faultOf(pattern);
  if (fault === undefined) return;
  const shown = JSON.stringify(pattern.slice(0, 100));
  const hint = `write it like ${example}; ? stands for a bracket in a name`;
  throw new LogferryError('usage', `${what} is ${shown}, ${fault}`, hint);
}

function faultOf(pattern: string): string | undefined {
  if (pattern.trim() === '') return 'which matches nothing';
  if (pattern.length > MAX_GLOB_CHARS) return `longer than ${MAX_GLOB_CHARS} characters`;
  if (!pattern.isWellFormed()) return 'which is not valid Unicode';
  const open: string[] = [];
  for (let at = 0; at < pattern.length; at += 1) {
    const char = pattern.charAt(at);
    if (char === '[') {
      const end = endOfClass(pattern, at);
      if (end < 0) return 'with a [ that is not closed';
      at = end;
    } else if (char === '{' || (char === '(' && '?*+@!'.includes(pattern.charAt(at - 1) || ' ')))
      open.push(char);
    else if (char === ']' || (char === '}' && open.at(-1) !== '{'))
      return `with a ${char} that closes nothing`;
    else if (char === CLOSES[open.at(-1) ?? '']) open.pop();
  }
  const [left] = open;
  return left === undefined ? undefined : `with a ${left} that is not closed`;
}

/** The index of the `]`; the first character of a class may be one itself. */
function endOfClass(pattern: string, at: number): number {
  const first = /^\[[!^]?/.exec(pattern.slice(at))?.[0].length ?? 1;
  return pattern.indexOf(']', at + first + 1);
}
