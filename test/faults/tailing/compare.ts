// Finds the generations of a log in the bytes of its destination. Pure.

/** What is looked for, in the order in which it was written. */
export interface Wanted {
  readonly bytes: Buffer;
  /** Undefined: all of it has to be there. Else its end may be missing, but not before this many bytes. */
  readonly atLeast: number | undefined;
}

export interface Located {
  /** Of each generation how many bytes are there. */
  readonly arrived: readonly number[];
  /** All that has to be there is. */
  readonly complete: boolean;
  /** Why these bytes cannot become what was written, whatever comes behind them. */
  readonly problem: string | undefined;
}

/** How far the end of a generation that was cut may seem to go on in the next one, which begins alike. */
const ALIKE = 4_096;

export function locate(found: Buffer, wanted: readonly Wanted[]): Located {
  const arrived = wanted.map(() => 0);
  /** The attempt that explains most of what was found. */
  const best = { index: 0, at: 0, same: -1, arrived: [...arrived] };
  const from = (index: number, start: number): boolean => {
    const generation = wanted[index];
    const most = generation === undefined ? 0 : common(found, start, generation.bytes);
    if (start + most >= best.at + best.same)
      Object.assign(best, { index, at: start, same: most, arrived: [...arrived] });
    if (generation === undefined) return start === found.length;
    const { bytes, atLeast = bytes.length } = generation;
    const isEnd = start + most === found.length;
    for (let length = most; length >= Math.max(0, most - ALIKE); length -= 1) {
      if (length < atLeast && !(isEnd && length === most)) return false;
      arrived[index] = length;
      if (isEnd && length === most && length < bytes.length && atLeast === bytes.length) return true;
      if (from(index + 1, start + length)) return true;
      arrived[index] = 0;
    }
    return false;
  };
  if (from(0, 0)) {
    const complete = wanted.every(
      ({ bytes, atLeast = bytes.length }, index) => (arrived[index] ?? 0) >= atLeast,
    );
    return { arrived, complete, problem: undefined };
  }
  const { index, at, same } = best;
  const generation = wanted[index];
  const bytes = generation?.bytes ?? Buffer.alloc(0);
  const problem =
    `generation ${index} of ${wanted.length} (${bytes.length} bytes, cut ${generation?.atLeast}) begins at ${at} of ${found.length}, ` +
    `and differs after ${same}\n written ${show(bytes, same)}\n found   ${show(found, at + same)}`;
  return { arrived: best.arrived, complete: false, problem };
}

/** How many bytes of `bytes` stand at `start`. */
function common(found: Buffer, start: number, bytes: Buffer): number {
  if (found.subarray(start, start + bytes.length).equals(bytes)) return bytes.length;
  let length = 0;
  while (length < bytes.length && start + length < found.length && found[start + length] === bytes[length])
    length += 1;
  return length;
}

function show(data: Buffer, at: number): string {
  return JSON.stringify(data.subarray(Math.max(0, at - 60), at + 60).toString());
}
