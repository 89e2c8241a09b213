// What a message says of one chunk: which bytes of which generation they are, or which bytes are gone. Pure.
// Everything that is parsed here comes from the network and is hostile until it has passed.

import { LogferryError } from '../runtime/errors.ts';

/** The generation before this one and its final size: the order across a rotation. */
export interface After {
  readonly file: string;
  readonly size: number;
}

interface ChunkBase {
  /** Source byte offsets, end exclusive. */
  readonly start: number;
  readonly end: number;
  /** Where the shipping of this generation began. Counts only for a file that the record does not know. */
  readonly begin: number;
  readonly after: After | undefined;
}

export interface DataChunk extends ChunkBase {
  readonly kind: 'data';
  /** See tailOf: what stands before `end`. */
  readonly tail: string;
}

export type EndReason = 'rotated' | 'truncated' | 'deleted';

/** Nothing follows in this generation: start = end = its final size. */
export interface EndMarker extends ChunkBase {
  readonly kind: 'end';
  readonly reason: EndReason;
}

/** Bytes that no longer exist anywhere: the generation goes on behind them. */
export interface GapMarker extends ChunkBase {
  readonly kind: 'gap';
  readonly reason: string;
}

export type Chunk = DataChunk | EndMarker | GapMarker;

/** Bytes before an offset that its tail covers. */
export const TAIL_BYTES = 256;

/** The most source bytes one message may claim: a receiver never makes room for more, whatever a table says. */
export const MAX_CHUNK_BYTES = 8 * 1024 * 1024;

const END_REASONS: readonly string[] = ['rotated', 'truncated', 'deleted'] satisfies EndReason[];
const MOST_REASON = 200;
/** A file id with a final size: the generation before. */
const AFTER_FILE = /^[a-z0-9-]{1,80}$/;
const TAIL = /^[0-9a-f]{12}$/;

/**
 * A chunk as a table lists it: kind, path, file id, start, bytes of the range, begin, the tail (data) or a reason (the others),
 * bytes of the payload that are its own (0 for those that it shares), then the generation before and its size, if any.
 */
export type Row = readonly [
  kind: 'd' | 'e' | 'g',
  path: string,
  file: string,
  start: number,
  length: number,
  begin: number,
  tailOrReason: string,
  own: number,
  afterFile?: string,
  afterSize?: number,
];

export function rowOf(path: string, file: string, chunk: Chunk, own: number): Row {
  const { start, end, begin, after } = chunk;
  const kind = chunk.kind === 'data' ? 'd' : chunk.kind === 'end' ? 'e' : 'g';
  const says = chunk.kind === 'data' ? chunk.tail : chunk.reason;
  const row = [kind, path, file, start, end - start, begin, says, own] as const;
  return after === undefined ? row : [...row, after.file, after.size];
}

/** Takes a row apart; path and file id are for the caller to check. Throws `corrupt`, naming the row. */
export function chunkOf(row: unknown): { path: string; file: string; chunk: Chunk; own: number } {
  if (!Array.isArray(row) || (row.length !== 8 && row.length !== 10)) throw badRow(row, '8 or 10 fields');
  const [kind, path, file, start, length, begin, says, own, afterFile, afterSize] = row as unknown[];
  if (typeof path !== 'string' || typeof file !== 'string' || typeof says !== 'string')
    throw badRow(row, 'a path, a file id and a text');
  if (!isOffset(start) || !isOffset(length) || !isOffset(start + length))
    throw badRow(row, 'a range of bytes');
  if (!isOffset(begin) || !isOffset(own)) throw badRow(row, 'offsets');
  const end = start + length;
  const base = { start, end, begin, after: afterOf(row, afterFile, afterSize) };
  if (kind === 'd') {
    if (length === 0 || length > MAX_CHUNK_BYTES) throw badRow(row, `1 to ${MAX_CHUNK_BYTES} bytes`);
    if (!TAIL.test(says)) throw badRow(row, 'a tail of 12 hex digits');
    return { path, file, own, chunk: { ...base, kind: 'data', tail: says } };
  }
  if (own !== 0) throw badRow(row, 'a marker without a payload');
  if (kind === 'e') {
    if (!isEndReason(says) || length > 0) throw badRow(row, `${END_REASONS.join(', ')} and an empty range`);
    return { path, file, own, chunk: { ...base, kind: 'end', reason: says } };
  }
  if (kind !== 'g' || length === 0) throw badRow(row, 'data, an end or a gap');
  return { path, file, own, chunk: { ...base, kind: 'gap', reason: says.slice(0, MOST_REASON) } };
}

function isEndReason(reason: string): reason is EndReason {
  return END_REASONS.includes(reason);
}

function isOffset(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0);
}

function afterOf(row: unknown[], file: unknown, size: unknown): After | undefined {
  if (row.length === 8) return undefined;
  if (typeof file !== 'string' || !AFTER_FILE.test(file) || !isOffset(size))
    throw badRow(row, 'the file id and the size of the generation before');
  return { file, size };
}

/** Says what a table has in place of what was expected. */
export function badRow(row: unknown, expected: string): LogferryError {
  return new LogferryError('corrupt', `the table of a message has ${shown(row)}, expected ${expected}`);
}

/** The beginning of it. What is nested in a field is left out: it may be nested deeper than there is room on the stack. */
function shown(row: unknown): string {
  if (!Array.isArray(row)) return field(row);
  return `[${row.slice(0, 10).map(field).join(',')}]`.slice(0, 100);
}

function field(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100));
  return typeof value === 'object' && value !== null ? '{…}' : String(value);
}
