// Names on the wire: subjects, tokens and KV keys, both ways. Pure. Never guesses: a token that is not in the
// canonical form is refused, so two different names can never meet in one.

import { LogferryError } from '../runtime/errors.ts';

/** What a subject says: which host, which path there, which generation of it. */
export interface SourceName {
  readonly host: string;
  readonly path: string;
  readonly file: string;
}

/** nats-server refuses control lines over 4,096 bytes; the rest of the line needs some of them. */
const MAX_SUBJECT_BYTES = 3_500;

/** What a file id looks like; `/` and blanks would be ambiguous in keys and headers. */
const FILE_ID = /^[a-z0-9-]{1,80}$/;

/** What encodeURIComponent leaves alone although a subject, or another language's decoder, does not. */
const LEFT_ALONE = /[.!~*'()]/g;

/** Percent-encodes a name into a single subject token. Throws for an empty name and for lone surrogates. */
export function encodeToken(name: string): string {
  if (name === '') throw new LogferryError('corrupt', 'an empty name cannot be part of a subject');
  if (!name.isWellFormed())
    throw new LogferryError('corrupt', `the name ${JSON.stringify(name)} is not valid Unicode`, 'rename it');
  return encodeURIComponent(name).replace(LEFT_ALONE, percent);
}

function percent(char: string): string {
  return `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

/** The name in a token; undefined when the token is not exactly what encodeToken writes for that name. */
export function decodeToken(token: string): string | undefined {
  let name: string;
  try {
    name = decodeURIComponent(token);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
  return name !== '' && encodeToken(name) === token ? name : undefined;
}

/** `<prefix>.<host>.<path>.<file id>`: what a shipper publishes to. Throws when the server would refuse its length. */
export function publishSubject(prefix: string, source: SourceName): string {
  const subject = `${prefix}.${encodeToken(source.host)}.${encodeToken(source.path)}.${encodeToken(source.file)}`;
  if (subject.length > MAX_SUBJECT_BYTES)
    throw new LogferryError(
      'failed',
      `${source.path}: the path is ${subject.length} bytes long as a subject, more than ${MAX_SUBJECT_BYTES}`,
      'move the file to a shorter path',
    );
  return subject;
}

/** `<prefix>.<partition>.<host>.<path>.<file id>`: as the stream stores it after the subject transform. */
export function storedSubject(prefix: string, partitions: number, source: SourceName): string {
  const partition = partitionOf(source.host, partitions);
  return publishSubject(prefix, source).replace(`${prefix}.`, `${prefix}.${partition}.`);
}

/** Takes a stored subject apart; undefined when it is not one of ours (a foreign client's). */
export function parseStoredSubject(
  prefix: string,
  subject: string,
): (SourceName & { partition: number }) | undefined {
  if (!subject.startsWith(`${prefix}.`)) return undefined;
  const [partition, host, path, file, ...rest] = subject.slice(prefix.length + 1).split('.');
  if (partition === undefined || host === undefined || path === undefined || file === undefined)
    return undefined;
  if (rest.length > 0 || !/^\d{1,5}$/.test(partition)) return undefined;
  const names = { host: decodeToken(host), path: decodeToken(path), file: decodeToken(file) };
  if (names.host === undefined || names.path === undefined) return undefined;
  if (names.file === undefined || !FILE_ID.test(names.file)) return undefined;
  return { partition: Number(partition), host: names.host, path: names.path, file: names.file };
}

/**
 * The partition of a host, 0 to partitions-1: the server's `partition(n)` is 32-bit FNV-1a of the token modulo n
 * (seen on 2.10.27 and 2.15.1).
 */
export function partitionOf(host: string, partitions: number): number {
  let hash = 0x811c9dc5;
  for (const byte of encodeToken(host)) hash = Math.imul(hash ^ byte.charCodeAt(0), 0x01000193);
  return (hash >>> 0) % partitions;
}

/** A name as a KV key: keys allow no percent sign, and encodeToken never writes `=`. */
export function keyToken(name: string): string {
  return encodeToken(name).replaceAll('%', '=');
}

/** The name in a KV key's token; undefined when it is not canonical. */
export function decodeKeyToken(token: string): string | undefined {
  return decodeToken(token.replaceAll('=', '%'));
}

/** How a record and a ledger name one generation of a file: the id is unique only within its host. */
export function fileKey(host: string, file: string): string {
  return `${host}/${file}`;
}

/** Takes a fileKey apart; a host's name may hold slashes, a file id holds none. */
export function sourceOf(key: string): { host: string; id: string } {
  const slash = key.lastIndexOf('/');
  return { host: key.slice(0, slash), id: key.slice(slash + 1) };
}
