// Where a chunk ends. Pure: no I/O, no clock.

const NEWLINE = 10;

export interface CutRequest {
  /** Bytes that were read. */
  readonly data: Uint8Array;
  /** The most a chunk may hold; `data` is never longer. */
  readonly maxBytes: number;
  /** Ship an unfinished last line too: the file is finished, or was silent for long enough. */
  readonly flush: boolean;
}

/**
 * How many bytes go into the next chunk: up to the last newline; all of them when a line is longer than a chunk, or
 * when the rest is to be flushed; 0 when the line is not finished yet.
 */
export function cutPoint({ data, maxBytes, flush }: CutRequest): number {
  if (flush && data.length < maxBytes) return data.length;
  const newline = data.lastIndexOf(NEWLINE);
  if (newline >= 0) return newline + 1;
  return data.length >= maxBytes ? data.length : 0;
}
