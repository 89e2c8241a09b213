// A receiver's output directory in the model: files that hold pieces of source files, and ledgers as text. It
// outlives its receiver's crashes, torn ledger lines included.

/** Source bytes [start, end) of one generation, one piece behind the other in a file on disk. */
export interface Piece {
  readonly file: string;
  readonly start: number;
  readonly end: number;
}

export interface DiskFile {
  readonly inode: string;
  readonly partition: number;
  readonly destination: string;
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
  return file.pieces.reduce((size, piece) => size + piece.end - piece.start, 0);
}

/** The file that a destination's bytes are appended to; a rotation makes the old one a segment. */
export function activeFile(
  directory: Directory,
  partition: number,
  destination: string,
  rotates: boolean,
): DiskFile {
  const active = directory.files.findLast((file) => file.destination === destination);
  if (active !== undefined && !rotates) return active;
  const inode = `${directory.id}/${directory.files.length}`;
  const file: DiskFile = { inode, partition, destination, pieces: [] };
  directory.files.push(file);
  return file;
}

/** Keeps the first `to` bytes. */
export function truncate(file: DiskFile, to: number): void {
  const kept: Piece[] = [];
  let left = to;
  for (const piece of file.pieces) {
    const length = Math.min(left, piece.end - piece.start);
    if (length > 0) kept.push({ ...piece, end: piece.start + length });
    left -= length;
  }
  file.pieces = kept;
}

/** The pieces that lie at [from, to) of a file. */
export function piecesAt(file: DiskFile, from: number, to: number): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  for (const piece of file.pieces) {
    const start = piece.start + Math.max(0, from - at);
    const end = Math.min(piece.end, piece.start + to - at);
    if (start < end) pieces.push({ ...piece, start, end });
    at += piece.end - piece.start;
  }
  return pieces;
}
