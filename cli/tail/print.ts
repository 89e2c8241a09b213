// Blocks of lines as tail prints them: with host and path before each, as JSON, or as they are; all of them, or those
// that a test lets through. Pure: gives bytes, never writes any.

import { fileKey } from '../../common/wire/subjects.ts';
import { coloured } from '../terminal/colour.ts';
import { displayable, displayableJson, printable } from '../terminal/printable.ts';
import type { Block } from './lines.ts';

export interface Look {
  readonly json: boolean;
  /** Host and path before each line. */
  readonly prefix: boolean;
  readonly colour: boolean;
  /** What is printed is looked at: nothing in it may act on the terminal. */
  readonly terminal: boolean;
  /** Which lines are printed; undefined for all. */
  readonly test: ((line: string) => boolean) | undefined;
}

const NEWLINE = 10;
const NOTHING = new Uint8Array();

export class LinePrinter {
  readonly #look: Look;
  /** A line without its newline is the last thing that was printed: the one that goes on at this offset. */
  #open: { readonly key: string; readonly offset: number } | undefined;

  constructor(look: Look) {
    this.#look = look;
  }

  /**
   * Empty when no line is let through. A last line that is not complete gets a newline, unless `mayGoOn`: then what
   * comes next of it is printed behind it, when no other line comes first. Not for JSON, and not with a test.
   */
  print(block: Block, mayGoOn = false): Uint8Array {
    const { json, test, terminal, prefix } = this.#look;
    if (json) return Buffer.from(this.#json(block));
    if (test !== undefined) return this.#tested(block, test);
    if (!terminal) {
      const { bytes, isComplete } = block;
      if (!prefix) return isComplete ? bytes : Buffer.concat([bytes, Buffer.from('\n')]);
      return this.#prefixed(block, bytes);
    }
    return Buffer.from(this.#shown(block, mayGoOn));
  }

  /** What has to be printed at the very end. */
  end(): Uint8Array {
    const isOpen = this.#open !== undefined;
    this.#open = undefined;
    return isOpen ? Buffer.from('\n') : NOTHING;
  }

  /** The bytes unchanged: as latin1, one character each, which is what V8 copies fastest. */
  #prefixed({ source, isComplete }: Pick<Block, 'source' | 'isComplete'>, bytes: Uint8Array): Buffer {
    const lead = Buffer.from(this.#prefixOf(source)).toString('latin1');
    const text = asBuffer(bytes).toString('latin1', 0, isComplete ? bytes.length - 1 : bytes.length);
    // `$` is special in a replacement.
    const between = `\n${lead}`.replaceAll('$', '$$$$');
    return Buffer.from(`${lead}${text.replaceAll('\n', between)}\n`, 'latin1');
  }

  #shown(block: Block, mayGoOn: boolean): string {
    const { source, bytes, isComplete, offset } = block;
    const text = asBuffer(bytes).toString('utf8', 0, isComplete ? bytes.length - 1 : bytes.length);
    const lead = this.#look.prefix ? this.#prefixOf(source) : '';
    const key = fileKey(source.host, source.file);
    const goesOn = this.#open?.key === key && this.#open.offset === offset;
    const before = goesOn ? '' : `${this.#open === undefined ? '' : '\n'}${lead}`;
    const isLeftOpen = !isComplete && mayGoOn;
    this.#open = isLeftOpen ? { key, offset: offset + bytes.length } : undefined;
    const lines = displayable(text).replaceAll('\n', `\n${lead}`.replaceAll('$', '$$$$'));
    return `${before}${lines}${isLeftOpen ? '' : '\n'}`;
  }

  #tested(block: Block, test: (line: string) => boolean): Uint8Array {
    const passed: Uint8Array[] = [];
    for (const { start, end, text } of linesOf(block))
      if (test(withoutCr(text))) passed.push(block.bytes.subarray(start, end), LINE_END);
    if (passed.length === 0) return NOTHING;
    const bytes = Buffer.concat(passed);
    const { terminal, prefix } = this.#look;
    if (terminal) return Buffer.from(this.#shown({ ...block, bytes, isComplete: true }, false));
    return prefix ? this.#prefixed({ source: block.source, isComplete: true }, bytes) : bytes;
  }

  #json(block: Block): string {
    const { test, terminal } = this.#look;
    const { host, path } = block.source;
    const time = new Date(block.atMs).toISOString();
    const lead = JSON.stringify({ time, host, path }).slice(0, -1);
    let json = '';
    for (const { offset, text } of linesOf(block))
      if (test === undefined || test(withoutCr(text)))
        json += `${lead},"offset":${offset},"line":${JSON.stringify(text)}}\n`;
    return terminal ? displayableJson(json) : json;
  }

  #prefixOf({ host, path }: Block['source']): string {
    const [shownHost, shownPath] = [printable(host), printable(path)];
    if (!this.#look.colour) return `${shownHost} ${shownPath} | `;
    return `${coloured(shownHost, host, 'bold')} ${coloured(shownPath, path, 'normal')} | `;
  }
}

const LINE_END = Uint8Array.of(NEWLINE);

interface Line {
  /** Of its first byte, in the generation. */
  readonly offset: number;
  /** Its bytes without the newline, [start, end) of the block. */
  readonly start: number;
  readonly end: number;
  /** What is no UTF-8 is U+FFFD. */
  readonly text: string;
}

/** Each line without its newline. One of pure ASCII is decoded as a whole and then split, which takes half the time. */
function linesOf({ bytes, offset, isComplete }: Block): Line[] {
  const data = asBuffer(bytes);
  const text = data.toString('utf8', 0, isComplete ? bytes.length - 1 : bytes.length);
  const isAscii = text.length === bytes.length - (isComplete ? 1 : 0) && !text.includes('\uFFFD');
  const lines: Line[] = [];
  if (isAscii) {
    let start = 0;
    for (const line of text.split('\n')) {
      lines.push({ offset: offset + start, start, end: start + line.length, text: line });
      start += line.length + 1;
    }
    return lines;
  }
  for (let start = 0; start < bytes.length;) {
    const newline = data.indexOf(NEWLINE, start);
    const end = newline < 0 ? bytes.length : newline;
    lines.push({ offset: offset + start, start, end, text: data.toString('utf8', start, end) });
    start = end + 1;
  }
  return lines;
}

function withoutCr(text: string): string {
  return text.endsWith('\r') ? text.slice(0, -1) : text;
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
