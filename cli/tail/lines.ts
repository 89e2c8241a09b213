// Whole lines out of chunks: of each generation, every byte once and in order, the end of an unfinished line held until
// its rest comes. Pure: takes the time as an argument. Never looks at what a line says.

import { fileKey, type SourceName } from '../../common/wire/subjects.ts';
import { bothRanges, type ByteRange, withoutRanges } from '../../common/wire/ranges.ts';

/** Consecutive bytes of one generation. */
export interface Block {
  readonly source: SourceName;
  /** Of the first byte, in its generation. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** `line`: a line begins there. `unknown`: first bytes that were seen of it. `inside`: the line began in an earlier block. */
  readonly begins: Begins;
  /** Whether the last line has its newline. */
  readonly isComplete: boolean;
  /** As it was given with the last of these bytes. */
  readonly atMs: number;
}

export type Begins = 'line' | 'unknown' | 'inside';

interface Generation {
  readonly source: SourceName;
  /** All below was handed out, is held, or is in `holes`. */
  offset: number;
  /** What was missing when later bytes came. */
  holes: readonly ByteRange[];
  held: Uint8Array[];
  heldBytes: number;
  begins: Begins;
  atMs: number;
  /** When the last of what is held came, by the caller's clock. */
  heldAtMs: number;
}

export interface Limits {
  /** Unfinished lines may hold so many bytes together; the line that exceeds it is handed out as it is. */
  readonly heldBytes: number;
  /** Of which so much is remembered that their bytes are not handed out twice. */
  readonly generations: number;
}

export const DEFAULT_LIMITS: Limits = { heldBytes: 64 * 1024 * 1024, generations: 50_000 };

const MOST_HOLES = 64;
const NEWLINE = 10;

export class LineKeeper {
  readonly #limits: Limits;
  /** The one that was touched longest ago comes first. */
  readonly #generations = new Map<string, Generation>();
  #heldBytes = 0;

  constructor(limits: Limits = DEFAULT_LIMITS) {
    this.#limits = limits;
  }

  /** Whether any of these bytes is new. */
  wants(
    { host, file }: SourceName,
    { start, end }: { readonly start: number; readonly end: number },
  ): boolean {
    const known = this.#generations.get(fileKey(host, file));
    if (known === undefined || end > known.offset) return true;
    return known.holes.some(([from, to]) => from < end && start < to);
  }

  /**
   * The lines that are complete with this chunk. What was handed out is dropped; a jump ahead leaves a hole, which a
   * later chunk may fill: its bytes come then.
   *
   * @param begin where the shipping of the generation began
   * @param atMs goes into the blocks
   * @param nowMs for `quiet`
   */
  take(
    source: SourceName,
    chunk: { readonly start: number; readonly begin: number },
    data: Uint8Array,
    atMs: number,
    nowMs = 0,
  ): Block[] {
    const { start } = chunk;
    const end = start + data.length;
    const generation = this.#touch(source, start, start === 0 || start === chunk.begin);
    const pieces = bothRanges(generation.holes, [[start, end]]);
    generation.holes = withoutRanges(generation.holes, [[start, end]]);
    const blocks = pieces.map((piece) =>
      pieceOf(source, piece, data.subarray(piece[0] - start, piece[1] - start), atMs),
    );
    if (end <= generation.offset) return blocks;
    if (start > generation.offset) blocks.push(...this.#jump(generation, start));
    generation.atMs = atMs;
    const fresh = data.subarray(Math.max(0, generation.offset - start));
    const newline = fresh.lastIndexOf(NEWLINE);
    if (newline >= 0) blocks.push(...this.#complete(generation, fresh.subarray(0, newline + 1)));
    generation.offset = end;
    if (newline + 1 < fresh.length) {
      // A copy: the rest of the chunk is not to stay with it.
      generation.held.push(Uint8Array.from(fresh.subarray(newline + 1)));
      generation.heldBytes += fresh.length - newline - 1;
      generation.heldAtMs = nowMs;
      this.#heldBytes += fresh.length - newline - 1;
      if (this.#heldBytes > this.#limits.heldBytes) blocks.push(...this.#release(generation));
    }
    blocks.push(...this.#forgetOldest());
    return blocks;
  }

  /** Bytes that no longer exist: what was held before them has no rest. Undefined when that was known. */
  skip(
    source: SourceName,
    { start, end }: { readonly start: number; readonly end: number },
  ): Block[] | undefined {
    const generation = this.#touch(source, start, false);
    if (end <= generation.offset) return undefined;
    const blocks = this.#jump(generation, Math.max(start, generation.offset));
    generation.offset = end;
    return blocks;
  }

  /** Nothing follows in this generation: its last line is what it is. */
  end(source: SourceName): Block[] {
    const generation = this.#generations.get(fileKey(source.host, source.file));
    return generation === undefined ? [] : this.#release(generation);
  }

  /** What is held although nothing came since. */
  quiet(beforeMs: number): Block[] {
    if (this.#heldBytes === 0) return [];
    const blocks: Block[] = [];
    for (const generation of this.#generations.values())
      if (generation.heldBytes > 0 && generation.heldAtMs <= beforeMs)
        blocks.push(...this.#release(generation));
    return blocks;
  }

  /** All that is held. */
  flush(): Block[] {
    return this.quiet(Number.POSITIVE_INFINITY);
  }

  /** Goes on where another one has come to; what was known of the same generations here is forgotten. */
  adopt(other: LineKeeper): void {
    for (const [key, generation] of other.#generations) {
      this.#heldBytes += generation.heldBytes - (this.#generations.get(key)?.heldBytes ?? 0);
      this.#generations.delete(key);
      this.#generations.set(key, generation);
    }
  }

  #touch(source: SourceName, start: number, isBeginning: boolean): Generation {
    const key = fileKey(source.host, source.file);
    const known = this.#generations.get(key);
    const generation = known ?? newGeneration(source, start, isBeginning ? 'line' : 'unknown');
    if (known !== undefined) this.#generations.delete(key);
    this.#generations.set(key, generation);
    return generation;
  }

  #jump(generation: Generation, to: number): Block[] {
    const blocks = this.#release(generation);
    if (to > generation.offset)
      generation.holes = [...generation.holes, [generation.offset, to] as const].slice(-MOST_HOLES);
    generation.offset = to;
    generation.begins = 'unknown';
    return blocks;
  }

  /** @param lines ends with a newline */
  #complete(generation: Generation, lines: Uint8Array): Block[] {
    const { source, atMs, begins, heldBytes } = generation;
    const first = heldBytes === 0 ? 0 : lines.indexOf(NEWLINE) + 1;
    const rest = lines.subarray(first);
    const common = { source, atMs, isComplete: true };
    const offset = generation.offset - heldBytes;
    const blocks: Block[] = [];
    if (first > 0) {
      const bytes = Buffer.concat([...generation.held, lines.subarray(0, first)]);
      blocks.push({ ...common, offset, bytes, begins });
    }
    if (rest.length > 0)
      blocks.push({
        ...common,
        offset: generation.offset + first,
        bytes: rest,
        begins: first > 0 ? 'line' : begins,
      });
    this.#drop(generation);
    generation.begins = 'line';
    return blocks;
  }

  #release(generation: Generation): Block[] {
    const { source, atMs, begins, held, heldBytes } = generation;
    if (heldBytes === 0) return [];
    const offset = generation.offset - heldBytes;
    this.#drop(generation);
    generation.begins = 'inside';
    return [{ source, offset, bytes: Buffer.concat(held), begins, isComplete: false, atMs }];
  }

  #drop(generation: Generation): void {
    this.#heldBytes -= generation.heldBytes;
    generation.held = [];
    generation.heldBytes = 0;
  }

  #forgetOldest(): Block[] {
    const [oldest] = this.#generations.size > this.#limits.generations ? this.#generations : [];
    if (oldest === undefined) return [];
    this.#generations.delete(oldest[0]);
    return this.#release(oldest[1]);
  }
}

function newGeneration(source: SourceName, offset: number, begins: Begins): Generation {
  return { source, offset, begins, holes: [], held: [], heldBytes: 0, atMs: 0, heldAtMs: 0 };
}

/** What fills a hole: nobody knows where in a line it begins. */
function pieceOf(source: SourceName, [start]: ByteRange, bytes: Uint8Array, atMs: number): Block {
  return { source, offset: start, bytes, begins: 'unknown', isComplete: bytes.at(-1) === NEWLINE, atMs };
}
