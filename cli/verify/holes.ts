// Ranges that are missing, and what fills them. Pure.

/** [start, end) */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** The parts of a range that lie in holes, and the holes that are left. */
export function fill(
  holes: readonly Range[],
  { start, end }: Range,
): { readonly holes: readonly Range[]; readonly pieces: readonly Range[] } {
  if (holes.length === 0) return { holes, pieces: [] };
  const left: Range[] = [];
  const pieces: Range[] = [];
  for (const hole of holes) {
    const piece = { start: Math.max(hole.start, start), end: Math.min(hole.end, end) };
    if (piece.start >= piece.end) {
      left.push(hole);
      continue;
    }
    pieces.push(piece);
    if (hole.start < piece.start) left.push({ start: hole.start, end: piece.start });
    if (piece.end < hole.end) left.push({ start: piece.end, end: hole.end });
  }
  return { holes: left, pieces };
}
