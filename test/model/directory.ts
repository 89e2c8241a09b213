// A receiver's output directory in the model: files that hold pieces of source files, and ledgers as text. It
// outlives its receiver's crashes, torn ledger lines included.

import type { FrameEnd } from '../../receiver/ledger/ledger.ts';
import type { Format } from '../../receiver/ledger/names.ts';

/** Source bytes [start, end) of one generation, one piece behind the other in a file on disk; a frame in zstd. */
export interface Piece {
  readonly file: string;
  readonly start: number;
  readonly end: number;
}

export interface DiskFile {
  readonly inode: string;
  readonly partition: number;
  readonly destination: string;
  readonly format: Format;
  pieces: Piece[];
}

export interface Directory {
  readonly id: string;
  /** In the order of their creation: the last one of a destination is its active file. */
  readonly files: DiskFile[];
  /** The text of each partition's ledger. */
  readonly ledgers: Map<number, string>;
}

export function emptyDirectory(id: string): Directory {
  return { id, files: [], ledgers: new Map() };
}

export function sizeOf(file: DiskFile): number {
  return file.pieces.reduce((size, piece) => size + bytesOf(file, piece), 0);
}

/** What a piece takes on disk: a frame has a header, and less than it holds. */
function bytesOf({ format }: DiskFile, { start, end }: Piece): number {
  return format === 'plain' ? end - start : 2 + Math.ceil((end - start) / 3);
}

/** The file that a destination's bytes are appended to; a rotation makes the old one a segment. */
export function activeFile(
  directory: Directory,
  partition: number,
  destination: string,
  format: Format,
  rotates: boolean,
): DiskFile {
  const active = directory.files.findLast((file) => file.destination === destination);
  if (active?.format === format && !rotates) return active;
  const inode = `${directory.id}/${directory.files.length}`;
  const file: DiskFile = { inode, partition, destination, format, pieces: [] };
  directory.files.push(file);
  return file;
}

/** Keeps the first `to` bytes. Half a frame is nothing that anybody could read. */
export function truncate(file: DiskFile, to: number): void {
  const kept: Piece[] = [];
  let left = to;
  for (const piece of file.pieces) {
    const length = Math.min(left, bytesOf(file, piece));
    if (file.format === 'zstd' && length > 0 && length < bytesOf(file, piece))
      throw new Error(`BUG: ${file.inode} is cut at ${to}, within a frame`);
    if (length > 0 && file.format === 'plain') kept.push({ ...piece, end: piece.start + length });
    else if (length > 0) kept.push(piece);
    left -= length;
  }
  file.pieces = kept;
}

/** Where the first frame ends that reaches `keep` of a run that begins at `from` on disk. */
export function frameEndBehind(file: DiskFile, from: number, keep: number): FrameEnd | undefined {
  let to = 0;
  for (const piece of file.pieces) {
    to += bytesOf(file, piece);
    if (to > from && piece.end >= keep) return { to, end: piece.end };
  }
  return undefined;
}

/** The pieces that lie at [from, to) of a file; of frames, those that lie there as a whole. */
export function piecesAt(file: DiskFile, from: number, to: number): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const piece of file.pieces) {
    const next = at + bytesOf(file, piece);
    const start = piece.start + Math.max(0, from - at);
    const end = Math.min(piece.end, piece.start + to - at);
    if (file.format === 'plain' && start < end) pieces.push({ ...piece, start, end });
    if (file.format === 'zstd' && from <= at && next <= to) pieces.push(piece);
    at = next;
  }
  return pieces;
}
