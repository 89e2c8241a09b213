// What a check of `logferry doctor` finds, as a line. Pure.

import { printable } from '../terminal/printable.ts';

/** `skipped`: there was nothing to look at, because something else is missing. */
export type Level = 'ok' | 'warning' | 'failure' | 'skipped';

export interface Finding {
  readonly level: Level;
  readonly says: string;
  /** What to do now. */
  readonly hint?: string | undefined;
}

export function ok(says: string): Finding {
  return { level: 'ok', says };
}

export function warning(says: string, hint: string): Finding {
  return { level: 'warning', says, hint };
}

export function failure(says: string, hint: string | undefined): Finding {
  return { level: 'failure', says, hint };
}

export function skipped(says: string): Finding {
  return { level: 'skipped', says };
}

const WORDS: Readonly<Record<Level, string>> = {
  ok: 'OK',
  warning: 'warning',
  failure: 'FAILURE',
  skipped: '-',
};
/** Green, yellow, red, grey. */
const COLOURS: Readonly<Record<Level, string>> = { ok: '32', warning: '33', failure: '1;31', skipped: '90' };
const WORD_WIDTH = 9;

/** @param nameWidth of the longest name of a check */
export function lineOf(name: string, nameWidth: number, finding: Finding, isColoured: boolean): string {
  const { level, says, hint } = finding;
  const word = WORDS[level].padEnd(WORD_WIDTH);
  const shown = isColoured ? `\u001B[${COLOURS[level]}m${word}\u001B[0m` : word;
  return `${shown}${name.padEnd(nameWidth + 2)}${printable(hint === undefined ? says : `${says}: ${hint}`)}`;
}

export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
