// Names on the wire: subjects, tokens and KV keys, both ways. Pure. Never guesses: a token that is not in the
// canonical form is refused, so two different names can never meet in one.

import { LogferryError } from '../runtime/errors.ts';

/** Which host, which path there, which generation of it. */
export interface SourceName {
  readonly host: string;
  readonly path: string;
  readonly file: string;
}

/** No path of Linux is longer, in bytes. */
export const MAX_PATH_BYTES = 4_096;

/** What a file id looks like; `/` and blanks would be ambiguous in keys and tables. */
export const FILE_ID = /^[a-z0-9-]{1,80}$/;

/** A path as tables hold it. */
export function isPath(path: string): boolean {
  return path !== '' && path.isWellFormed() && Buffer.byteLength(path) <= MAX_PATH_BYTES;
}

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

/** A host's lanes: 0 to 7. */
export const LANES = 8;

/** `<prefix>.<host>.<lane>`: what a shipper publishes to. */
export function publishSubject(prefix: string, host: string, lane: number): string {
  return `${prefix}.${encodeToken(host)}.${lane}`;
}

/** `<prefix>.<partition>.<host>.<lane>`: as the stream stores it after the subject transform. */
export function storedSubject({ prefix, partitions }: Names, host: string, lane: number): string {
  return `${prefix}.${partitionOf(host, partitions)}.${encodeToken(host)}.${lane}`;
}

/** All lanes of a host in its partition. */
export function storedSubjects({ prefix, partitions }: Names, host: string): string {
  return `${prefix}.${partitionOf(host, partitions)}.${encodeToken(host)}.*`;
}

/** All lanes of a host, however many partitions there were when it published. */
export function hostFilter(prefix: string, host: string): string {
  return `${prefix}.*.${encodeToken(host)}.*`;
}

interface Names {
  readonly prefix: string;
  readonly partitions: number;
}

/** As they are written here. */
const PARTITION = /^(?:0|[1-9]\d{0,4})$/;
const LANE = /^(?:0|[1-9]\d{0,2})$/;

/** Takes a stored subject apart; undefined when it is not one of ours (a foreign client's). */
export function parseStoredSubject(
  prefix: string,
  subject: string,
): { readonly partition: number; readonly host: string; readonly lane: number } | undefined {
  if (!subject.startsWith(`${prefix}.`)) return undefined;
  const [partition = '', token = '', lane = '', ...rest] = subject.slice(prefix.length + 1).split('.');
  if (rest.length > 0 || !PARTITION.test(partition) || !LANE.test(lane)) return undefined;
  const host = decodeToken(token);
  return host === undefined ? undefined : { partition: Number(partition), host, lane: Number(lane) };
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
