// What one message says: which bytes of which generation it holds, or which bytes are gone. Pure.
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
  readonly encoding: 'none' | 'zstd';
  /** Of the payload as sent. */
  readonly crc32: number;
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

export const HEADER = {
  range: 'Logferry-Range',
  begin: 'Logferry-Begin',
  after: 'Logferry-After',
  tail: 'Logferry-Tail',
  crc32: 'Logferry-Crc32',
  end: 'Logferry-End',
  gap: 'Logferry-Gap',
  encoding: 'Content-Encoding',
} as const;

/** Bytes before an offset that its tail covers. */
export const TAIL_BYTES = 256;

/** The most source bytes one chunk may claim: a receiver never makes room for more, whatever a header says. */
export const MAX_CHUNK_BYTES = 8 * 1024 * 1024;

const END_REASONS: readonly string[] = ['rotated', 'truncated', 'deleted'] satisfies EndReason[];

/** The headers of a message, in the order they are sent. */
export function chunkHeaders(chunk: Chunk): [string, string][] {
  const headers: [string, string][] = [];
  if (chunk.kind === 'gap') headers.push([HEADER.gap, `${chunk.start}-${chunk.end} ${chunk.reason}`]);
  else headers.push([HEADER.range, `${chunk.start}-${chunk.end}`]);
  headers.push([HEADER.begin, String(chunk.begin)]);
  if (chunk.after !== undefined) headers.push([HEADER.after, `${chunk.after.file} ${chunk.after.size}`]);
  if (chunk.kind === 'end') headers.push([HEADER.end, chunk.reason]);
  if (chunk.kind === 'data') {
    headers.push([HEADER.tail, chunk.tail], [HEADER.crc32, chunk.crc32.toString(16).padStart(8, '0')]);
    if (chunk.encoding === 'zstd') headers.push([HEADER.encoding, 'zstd']);
  }
  return headers;
}

/**
 * Reads a message's headers; `get` answers '' or undefined for one that is not there.
 * Throws `corrupt`, naming the header, for anything that logferry would not have sent.
 */
export function parseChunk(get: (name: string) => string | undefined, payloadBytes: number): Chunk {
  const begin = parseOffset(HEADER.begin, get(HEADER.begin));
  const after = parseAfter(get(HEADER.after));
  const gap = get(HEADER.gap) ?? '';
  if (gap !== '') {
    const space = gap.indexOf(' ');
    const [start, end] = parseRange(HEADER.gap, space < 0 ? gap : gap.slice(0, space));
    if (payloadBytes > 0 || start === end) throw bad(HEADER.gap, gap, 'a range and no payload');
    return {
      kind: 'gap',
      start,
      end,
      begin,
      after,
      reason: space < 0 ? '' : gap.slice(space + 1, space + 200),
    };
  }
  const range = get(HEADER.range);
  const [start, end] = parseRange(HEADER.range, range);
  const reason = get(HEADER.end) ?? '';
  if (reason !== '') {
    if (!isEndReason(reason) || start !== end || payloadBytes > 0)
      throw bad(HEADER.end, reason, `${END_REASONS.join(', ')}, an empty range and no payload`);
    return { kind: 'end', start, end, begin, after, reason };
  }
  if (start === end || end - start > MAX_CHUNK_BYTES)
    throw bad(HEADER.range, range, `1 to ${MAX_CHUNK_BYTES} bytes`);
  const encoding = get(HEADER.encoding) ?? '';
  if (encoding !== '' && encoding !== 'zstd') throw bad(HEADER.encoding, encoding, 'zstd');
  if (encoding === '' && payloadBytes !== end - start)
    throw bad(HEADER.range, range, `the ${payloadBytes} bytes of the payload`);
  const crc = get(HEADER.crc32) ?? '';
  if (!/^[0-9a-f]{8}$/.test(crc)) throw bad(HEADER.crc32, crc, '8 hex digits');
  const tail = get(HEADER.tail) ?? '';
  if (!/^[0-9a-f]{12}$/.test(tail)) throw bad(HEADER.tail, tail, '12 hex digits');
  return {
    kind: 'data',
    start,
    end,
    begin,
    after,
    tail,
    encoding: encoding === '' ? 'none' : 'zstd',
    crc32: Number.parseInt(crc, 16),
  };
}

function isEndReason(reason: string): reason is EndReason {
  return END_REASONS.includes(reason);
}

function parseRange(name: string, value: string | undefined): [number, number] {
  const match = /^(\d{1,16})-(\d{1,16})$/.exec(value ?? '');
  const start = Number(match?.[1]);
  const end = Number(match?.[2]);
  if (match === null || !Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start > end)
    throw bad(name, value, '<start>-<end>');
  return [start, end];
}

function parseOffset(name: string, value: string | undefined): number {
  const offset = /^\d{1,16}$/.test(value ?? '') ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(offset)) throw bad(name, value, 'a byte offset');
  return offset;
}

function parseAfter(value: string | undefined): After | undefined {
  if (value === undefined || value === '') return undefined;
  const match = /^([a-z0-9-]{1,80}) (\d{1,16})$/.exec(value);
  if (match?.[1] === undefined) throw bad(HEADER.after, value, '<file id> <size>');
  return { file: match[1], size: parseOffset(HEADER.after, match[2]) };
}

function bad(name: string, value: string | undefined, expected: string): LogferryError {
  return new LogferryError(
    'corrupt',
    `header ${name} is ${JSON.stringify((value ?? '').slice(0, 100))}, expected ${expected}`,
  );
}
