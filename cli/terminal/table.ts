// Rows in columns, for people. Pure: what is foreign in a cell was made printable before.

export interface Column {
  readonly heading: string;
  /** Numbers stand to the right. */
  readonly isNumber?: boolean;
  /** May be cut where the lines would be too long. */
  readonly isLong?: boolean;
}

const GAP = '  ';
/** A long column is left at least so much. */
const LEAST_LONG = 12;

/** A line for the headings and one for each row, without line ends; as wide as they are, or cut to a width. */
export function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width = Number.POSITIVE_INFINITY,
): string[] {
  const lines = [columns.map(({ heading }) => heading), ...rows];
  const widths = columns.map((_, column) =>
    lines.reduce((most, line) => Math.max(most, line[column]?.length ?? 0), 0),
  );
  let over = widths.reduce((sum, each) => sum + each, GAP.length * (columns.length - 1)) - width;
  columns.forEach(({ isLong }, column) => {
    const own = widths[column] ?? 0;
    if (over <= 0 || isLong !== true || own <= LEAST_LONG) return;
    widths[column] = Math.max(LEAST_LONG, own - over);
    over -= own - widths[column];
  });
  return lines.map((line) => {
    const cells = columns.map(({ isNumber }, column) => {
      const wide = widths[column] ?? 0;
      const cell = shortened(line[column] ?? '', wide);
      return isNumber === true ? cell.padStart(wide) : cell.padEnd(wide);
    });
    return shortened(cells.join(GAP).trimEnd(), width);
  });
}

/** At most so long, with a mark where something is missing. */
export function shortened(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, Math.max(0, length - 1))}…`;
}
