// Colours of a terminal. Pure; whether there is one that wants them, the caller says.

import { crc32 } from '../../common/wire/digest.ts';

/** Readable on dark and on light ground: cyan, green, magenta, yellow, blue, and their bright forms. */
const COLOURS = [36, 32, 35, 33, 34, 96, 92, 95, 93, 94];
const ESCAPE = '\u001B[';
const RESET = `${ESCAPE}0m`;
const BOLD = 1;

/** The text in a colour that its name always has. */
export function coloured(text: string, name: string, weight: 'bold' | 'normal'): string {
  const colour = COLOURS[crc32(name) % COLOURS.length] ?? 0;
  return `${ESCAPE}${weight === 'bold' ? `${BOLD};` : ''}${colour}m${text}${RESET}`;
}

/** Whether this stream shows colours, by what the environment says (https://no-color.org). */
export function wantsColour(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv): boolean {
  return stream.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}
