// What a cursor gives to be sent. Types alone.

import type { Slot } from './buffers.ts';

/** A chunk of the file, ready to be sent. */
export interface Piece {
  readonly start: number;
  readonly end: number;
  /** See tailOf, at `end`. */
  readonly tail: string;
  /** The bytes, or one zstd frame of them. */
  readonly payload: Uint8Array;
  /** How many lines end in it; 0 where they are not counted. */
  readonly lines: number;
  /** Right before it was read, in milliseconds since 1970. */
  readonly readAt: number;
  /** What it takes of the memory that all share, until it is sent. */
  readonly slot: Slot;
}
