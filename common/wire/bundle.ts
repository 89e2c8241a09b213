// One message: chunks of many files of one host, behind one header, one checksum and one table. Small chunks share one frame;
// a large one has its own. Everything that is read here comes from the network and is hostile until it has passed.

import { zstdCompressSync } from 'node:zlib';

import { LogferryError } from '../runtime/errors.ts';
import { badRow, type Chunk, chunkOf, MAX_CHUNK_BYTES, type Row, rowOf } from './chunk.ts';
import { crc32, hex32 } from './digest.ts';
import { FILE_ID, isPath, parseStoredSubject } from './subjects.ts';
import { decompressFrame, decompressNow, ZSTD_LEVEL } from './zstd.ts';

/**
 * `<version> <stamp> <table> <table unpacked> <shared> <shared unpacked> <CRC-32>`: lengths in bytes, the checksum that of the
 * whole payload. The payload is the table, the bytes that small chunks share, then those of each large chunk. What is as
 * long as it is unpacked is not packed.
 */
export const BUNDLE_HEADER = 'Logferry-Bundle';
const VERSION = '1';
const HEADER = /^(\d{1,4}) ([0-9a-f]{8}\.\d{1,15}) (\d{1,9}) (\d{1,9}) (\d{1,9}) (\d{1,9}) ([0-9a-f]{8})$/;

/** A table that says that it holds more is no table. */
export const MAX_TABLE_BYTES = 256 * 1024;
export const MAX_CHUNKS = 4_096;
/** A table that is shorter than this is left as it is. */
const LEAST_PACKED_BYTES = 128;

/** A chunk that is to be sent, of whichever file. */
export interface Sent {
  readonly path: string;
  readonly file: string;
  readonly chunk: Chunk;
  /** Of data: its bytes, or one zstd frame of them, which is shorter. */
  readonly payload: Uint8Array;
}

/** A message as it is published. */
export interface Packed {
  readonly stamp: string;
  readonly header: string;
  readonly payload: Uint8Array;
}

/** A chunk as its table lists it. */
export interface Listed {
  readonly path: string;
  readonly file: string;
  readonly chunk: Chunk;
}

/**
 * Makes one message of chunks, in their order. Data up to this size is joined and compressed together, if anything is.
 *
 * @param stamp names this message: `<incarnation>.<number>`, 8 hex digits and a decimal
 */
export function packBundle(stamp: string, sent: readonly Sent[], compress: boolean): Packed {
  const rows: Row[] = [];
  const shared: Uint8Array[] = [];
  const own: Uint8Array[] = [];
  for (const { path, file, chunk, payload } of sent) {
    const isOwn = payload.length > 0 && !isShared(chunk, payload);
    rows.push(rowOf(path, file, chunk, isOwn ? payload.length : 0));
    if (payload.length > 0) (isOwn ? own : shared).push(payload);
  }
  const text = Buffer.from(JSON.stringify(rows));
  const table = text.length < LEAST_PACKED_BYTES ? text : smaller(text);
  const joined = shared.length === 1 && shared[0] !== undefined ? shared[0] : Buffer.concat(shared);
  const packed = compress && joined.length > 0 ? smaller(joined) : joined;
  const payload = Buffer.concat([table, packed, ...own]);
  const lengths = [table.length, text.length, packed.length, joined.length].join(' ');
  return { stamp, header: `${VERSION} ${stamp} ${lengths} ${hex32(crc32(payload))}`, payload };
}

/** Bytes as they are, and few of them: others are a frame already, or are not worth to be looked at again. */
function isShared({ start, end }: Chunk, payload: Uint8Array): boolean {
  return payload.length === end - start && payload.length <= SHARED_BYTES;
}

/** Chunks up to this size are sent together with others; larger ones have a frame of their own. */
export const SHARED_BYTES = 64 * 1024;

function smaller(data: Uint8Array): Uint8Array {
  const packed = zstdCompressSync(data, { params: ZSTD_LEVEL });
  return packed.length < data.length ? packed : data;
}

interface Place {
  /** In the payload where it has bytes of its own, else among those that are shared, unpacked. */
  readonly from: number;
  readonly bytes: number;
  readonly isOwn: boolean;
}

/** A message that was read: what its table lists, and the bytes when they are wanted. */
export class Bundle {
  readonly stamp: string;
  readonly listed: readonly Listed[];
  /** Source bytes of all its chunks. */
  readonly bytes: number;
  readonly #payload: Uint8Array;
  readonly #crc32: number;
  readonly #shared: { readonly from: number; readonly packed: number; readonly bytes: number };
  readonly #places: readonly Place[];
  #isWhole: boolean | undefined;
  #unpacked: Promise<Uint8Array | undefined> | undefined;

  /**
   * Reads the table. Throws `corrupt`, naming what is wrong, for anything that logferry would not have sent.
   *
   * @param header of BUNDLE_HEADER, '' for none
   */
  constructor(header: string, payload: Uint8Array) {
    const fields = HEADER.exec(header);
    if (fields === null) throw bad(header, `<version> <stamp> <lengths> <checksum>`);
    const [, version, stamp = '', ...rest] = fields;
    if (version !== VERSION) throw bad(header, `version ${VERSION}`);
    const [table = 0, text = 0, packed = 0, bytes = 0] = rest.map(Number);
    this.stamp = stamp;
    this.#payload = payload;
    this.#crc32 = Number.parseInt(rest[4] ?? '', 16);
    this.#shared = { from: table, packed, bytes };
    if (text > MAX_TABLE_BYTES || table > text || table + packed > payload.length)
      throw bad(header, `a table of at most ${MAX_TABLE_BYTES} bytes within the payload`);
    if (packed > bytes || bytes > MAX_CHUNK_BYTES) throw bad(header, `at most ${MAX_CHUNK_BYTES} bytes`);
    const listed: Listed[] = [];
    const places: Place[] = [];
    let [at, own, all] = [0, table + packed, 0];
    for (const row of rowsIn(payload.subarray(0, table), text)) {
      const { path, file, chunk, own: length } = chunkOf(row);
      if (!isPath(path) || !FILE_ID.test(file)) throw badRow(row, 'a path and a file id');
      const size = chunk.kind === 'data' ? chunk.end - chunk.start : 0;
      if (length > size) throw badRow(row, 'no more bytes than the range');
      places.push({ from: length > 0 ? own : at, bytes: length > 0 ? length : size, isOwn: length > 0 });
      if (length > 0) own += length;
      else at += size;
      all += size;
      listed.push({ path, file, chunk });
    }
    if (all > MAX_CHUNK_BYTES || at !== bytes || own !== payload.length)
      throw bad(header, `the ${payload.length} bytes of the payload, and what the table lists`);
    this.listed = listed;
    this.bytes = all;
    this.#places = places;
    // A marker has no bytes that could show it.
    if (listed.some(({ chunk }) => chunk.kind !== 'data') && !this.#isAsSent())
      throw bad(header, 'the checksum of the payload');
  }

  /** The source bytes of a chunk of data; undefined when the payload is not what the header says. */
  async bytesOf(index: number): Promise<Uint8Array | undefined> {
    const place = this.#places[index];
    const chunk = this.listed[index]?.chunk;
    if (place === undefined || chunk === undefined || !this.#isAsSent()) return undefined;
    if (!place.isOwn) return (await this.#sharedBytes())?.subarray(place.from, place.from + place.bytes);
    const own = this.#payload.subarray(place.from, place.from + place.bytes);
    return await unpack(own, chunk.end - chunk.start);
  }

  /** The zstd frame that holds a chunk, and nothing else; undefined where there is none. */
  frameOf(index: number): Uint8Array | undefined {
    const place = this.#places[index];
    const chunk = this.listed[index]?.chunk;
    if (place?.isOwn !== true || chunk === undefined || place.bytes === chunk.end - chunk.start)
      return undefined;
    if (!this.#isAsSent()) return undefined;
    return this.#payload.subarray(place.from, place.from + place.bytes);
  }

  async #sharedBytes(): Promise<Uint8Array | undefined> {
    const { from, packed, bytes } = this.#shared;
    this.#unpacked ??= unpack(this.#payload.subarray(from, from + packed), bytes);
    return await this.#unpacked;
  }

  #isAsSent(): boolean {
    return (this.#isWhole ??= crc32(this.#payload) === this.#crc32);
  }
}

/** Undefined when it does not unpack to just so many bytes. */
async function unpack(packed: Uint8Array, bytes: number): Promise<Uint8Array | undefined> {
  if (packed.length === bytes) return packed;
  try {
    return await decompressFrame(packed, bytes);
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

function rowsIn(table: Uint8Array, bytes: number): unknown[] {
  let rows: unknown;
  try {
    const text = table.length === bytes ? table : decompressNow(table, bytes);
    rows = JSON.parse(Buffer.from(text).toString());
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new LogferryError('corrupt', `the table of a message cannot be read`);
  }
  if (!Array.isArray(rows) || rows.length === 0 || rows.length > MAX_CHUNKS)
    throw badRow(rows, `1 to ${MAX_CHUNKS} chunks`);
  return rows;
}

function bad(header: string, expected: string): LogferryError {
  return new LogferryError(
    'corrupt',
    `header ${BUNDLE_HEADER} is ${JSON.stringify(header.slice(0, 100))}, expected ${expected}`,
  );
}

/** A stored message, and whose it is. */
export interface Stored {
  readonly host: string;
  readonly bundle: Bundle;
}

/** Reads a stored message. Throws `corrupt` for one that logferry did not write. */
export function bundleIn(
  prefix: string,
  message: { readonly subject: string; readonly header: (name: string) => string; readonly data: Uint8Array },
): Stored {
  const source = parseStoredSubject(prefix, message.subject);
  if (source === undefined) throw new LogferryError('corrupt', 'the subject is not one of logferry');
  return { host: source.host, bundle: new Bundle(message.header(BUNDLE_HEADER), message.data) };
}

/** What reads a message; undefined for one that logferry did not write. */
export function ifOurs<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof LogferryError && error.code === 'corrupt') return undefined;
    throw error;
  }
}
