// The messages of level warn and error that the source can log, as templates: what is put in at run time stands as `…`.
// A reader of text, not of TypeScript: it knows strings, templates, `+`, `? :` and the constants that hold them.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface Message {
  readonly level: string;
  readonly text: string;
}

export interface SourceMessage extends Message {
  /** `common/nats/connection.ts` */
  readonly file: string;
}

/** What logs for others: a call of it is a message, and its own `log.warn(text)` is none. */
const SPEAKERS: Readonly<Record<string, readonly string[]>> = {
  'common/stream/stream.ts': ['say'],
  'common/runtime/log-file.ts': ['this.#complain', 'return warning'],
  'shipper/host/central.ts': ['this.#sayOnce'],
  'shipper/session.ts': ['this.#sayOnce'],
  'shipper/discovery/skipped.ts': ['this.say'],
  'shipper/discovery/closed.ts': ['this.#skipped.say'],
  'shipper/sources/sources.ts': ['this.#skipped.say'],
};
const LOG_CALL = /\b#?log\.(warn|error|fatal)$/;
/** See shipper/report/untold.ts. */
const UNTOLD = 'sayUntold';
const HOLE = '…';
/** What stands in a message; deeper constants are holes. */
const DEPTH = 4;

/** Every message below these directories of the project. */
export function messagesIn(root: string, directories: readonly string[]): SourceMessage[] {
  return directories.flatMap((directory) =>
    readdirSync(path.join(root, directory), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .toSorted()
      .flatMap((name) => {
        const file = path.join(directory, name);
        const source = readFileSync(path.join(root, file), 'utf8');
        return messagesOf(source, SPEAKERS[file] ?? []).map((message) => ({ file, ...message }));
      }),
  );
}

/** The messages of one file, by their places; what speaks for others warns. */
export function messagesOf(source: string, speakers: readonly string[]): Message[] {
  const found: Message[] = [];
  for (let at = source.indexOf('('); at >= 0; at = source.indexOf('(', at + 1)) {
    const before = source.slice(Math.max(0, at - 60), at);
    const isUntold = before.endsWith(UNTOLD) && !isDeclared(before, UNTOLD);
    const level = isUntold ? 'error' : LOG_CALL.exec(before)?.[1];
    const isSpeaker = speakers.some((speaker) => before.endsWith(speaker) && !isDeclared(before, speaker));
    if (level === undefined && !isSpeaker) continue;
    const args = split(source.slice(at + 1, closing(source, at)), ',');
    if (args.at(-1)?.trim() === "'info'") continue;
    const message = isSpeaker && args.length === 3 ? args[1] : args.at(-1);
    const texts = textsOf(message ?? '', source.slice(0, at), DEPTH);
    found.push(...texts.map((text) => ({ level: level ?? 'warn', text })));
  }
  return found;
}

/** `function say(` and `  say(about: string`, which call nothing. */
function isDeclared(before: string, speaker: string): boolean {
  return /(function|=>|\w)\s*$/.test(
    before.slice(0, before.length - speaker.length).replace(/return\s*$/, ''),
  );
}

/** What an expression may say; a hole where that is not known. */
function textsOf(expression: string, before: string, depth: number): string[] {
  const text = expression.trim();
  if (depth === 0) return [HOLE];
  const [condition, rest] = split(text, '?');
  if (condition !== undefined && rest !== undefined && !text.startsWith('`'))
    return split(text.slice(text.indexOf(condition) + condition.length + 1), ':').flatMap((one) =>
      textsOf(one, before, depth),
    );
  const parts = split(text, '+');
  if (parts.length > 1) return joined(parts.map((part) => textsOf(part, before, depth)));
  if (/^(['"]).*\1$/s.test(text)) return [text.slice(1, -1)];
  if (text.startsWith('`') && text.endsWith('`')) return templateTexts(text.slice(1, -1), before, depth);
  if (/^\w+$/.test(text)) return constantTexts(text, before, depth);
  return [HOLE];
}

function templateTexts(template: string, before: string, depth: number): string[] {
  const parts: string[][] = [];
  let from = 0;
  for (let at = template.indexOf('${'); at >= 0; at = template.indexOf('${', from)) {
    const end = closing(template, at + 1);
    const inner = template.slice(at + 2, end).trim();
    parts.push(
      [template.slice(from, at)],
      /^\w+$/.test(inner) ? constantTexts(inner, before, depth - 1) : [HOLE],
    );
    from = end + 1;
  }
  parts.push([template.slice(from)]);
  return joined(parts);
}

/** What the nearest constant of that name says. */
function constantTexts(name: string, before: string, depth: number): string[] {
  const declaration = [...before.matchAll(new RegExp(`\\bconst ${name}(?:: [\\w\\s|]+)? =`, 'g'))].at(-1);
  if (declaration === undefined) return [HOLE];
  const from = declaration.index + declaration[0].length;
  const [value = ''] = split(before.slice(from), ';');
  const texts = textsOf(value, before.slice(0, declaration.index), depth);
  return texts.length > 0 ? texts : [HOLE];
}

function joined(parts: readonly (readonly string[])[]): string[] {
  let texts = [''];
  for (const part of parts) texts = texts.flatMap((text) => part.map((more) => text + more));
  return texts.map((text) => text.replaceAll(/…(?:…)+/g, HOLE));
}

/** The place of the bracket that closes the one at `open`. */
function closing(source: string, open: number): number {
  let depth = 0;
  for (let at = open; at < source.length; at += 1) {
    const char = source[at] ?? '';
    if ('([{'.includes(char)) depth += 1;
    else if (')]}'.includes(char)) depth -= 1;
    else at = behind(source, at);
    if (depth === 0) return at;
  }
  return source.length;
}

/** The last place of the string, template or comment that begins here; else this one. */
function behind(source: string, at: number): number {
  const char = source[at] ?? '';
  if (source.startsWith('//', at) || source.startsWith('/*', at)) {
    const end = source.indexOf(source[at + 1] === '/' ? '\n' : '*/', at);
    return end < 0 ? source.length : end;
  }
  if (!'\'"`'.includes(char)) return at;
  for (let next = at + 1; next < source.length; next += 1) {
    if (source[next] === '\\') next += 1;
    else if (source[next] === char) return next;
    else if (char === '`' && source.startsWith('${', next)) next = closing(source, next + 1);
  }
  return source.length;
}

/** Cuts at a separator that is in no brackets and no string. */
function split(source: string, separator: string): string[] {
  const parts: string[] = [];
  let [from, depth] = [0, 0];
  for (let at = 0; at < source.length; at += 1) {
    const char = source[at] ?? '';
    if ('([{'.includes(char)) depth += 1;
    else if (')]}'.includes(char)) depth -= 1;
    // `??` and `?.` are no conditions.
    else if (separator === '?' && /^\?[?.]/.test(source.slice(at, at + 2))) at += 1;
    else if (char === separator && depth === 0) {
      parts.push(source.slice(from, at));
      from = at + 1;
    } else at = behind(source, at);
  }
  parts.push(source.slice(from));
  return parts.filter((part) => part.trim() !== '');
}
