// One YAML file as nodes that know where they stand. What does not parse is one line with its place, and none of what
// the file says: it may hold a secret.

import { createReadStream, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';

import { type Document, LineCounter, type ParsedNode, parseDocument, type YAMLParseError } from 'yaml';

import { LogferryError, messageOf, systemCode } from '../../common/runtime/errors.ts';
import { printable } from '../terminal/printable.ts';

const MOST_BYTES = 1024 * 1024;

export interface Yaml {
  readonly file: string;
  /** As stat gives it. */
  readonly mode: number;
  /** Null for an empty file. */
  readonly root: ParsedNode | null;
  readonly document: Document;
  /** `web1.yaml:3:5` of an offset. */
  readonly placeOf: (offset: number) => string;
}

/** Throws `usage` for what cannot be read, or is no YAML. */
export async function readYaml(file: string): Promise<Yaml> {
  const { text, mode } = await readText(file);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const placeOf = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${printable(file)}:${line}:${col}`;
  };
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined)
    throw new LogferryError('usage', `${placeOf(problem.pos[0])}: ${inWords(problem)}`, QUOTE);
  return { file, mode, root: document.contents, document, placeOf };
}

async function readText(name: string): Promise<{ text: string; mode: number }> {
  const file = printable(name);
  try {
    const stats: Stats = await stat(name);
    if (stats.isDirectory())
      throw new LogferryError('usage', `${file} is a directory`, 'name the file in it, like logferry.yaml');
    const parts: Buffer[] = [];
    // Not by its size: it may be a pipe.
    for await (const part of createReadStream(name, { end: MOST_BYTES })) parts.push(part as Buffer);
    const data = Buffer.concat(parts);
    if (data.length > MOST_BYTES)
      throw new LogferryError('usage', `${file} is larger than 1 MiB`, 'give a configuration file');
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(data), mode: stats.mode };
  } catch (error) {
    if (error instanceof LogferryError) throw error;
    const code = systemCode(error);
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA')
      throw new LogferryError('usage', `${file} is not UTF-8`, 'save it as UTF-8', { cause: error });
    const what =
      code === 'ENOENT' ? `there is no file ${file}` : `cannot read ${file} (${code ?? messageOf(error)})`;
    throw new LogferryError('usage', what, 'give the path of a YAML file that this user may read', {
      cause: error,
    });
  }
}

const QUOTE = "quote a value with special characters, like '*.log'";

/** The parser's own words, but where they repeat what the file says. */
function inWords({ code, message }: Pick<YAMLParseError, 'code' | 'message'>): string {
  if (code === 'UNEXPECTED_TOKEN') return 'this is no YAML';
  if (code === 'TAG_RESOLVE_FAILED') return 'a tag (!name) means nothing here';
  if (code === 'BAD_ALIAS') return 'an alias or an anchor (* or &) without a name';
  if (code === 'BAD_DQ_ESCAPE') return 'a backslash in double quotes that escapes nothing';
  if (code === 'BAD_DIRECTIVE') return 'a line that begins with % means nothing here';
  if (code === 'DUPLICATE_KEY') return 'this key stands here a second time';
  if (code === 'MULTIPLE_DOCS') return 'a second document begins here, and a file holds one';
  return message.split('\n')[0] ?? message;
}
