// What becomes of missing bytes where no shipper will send them again. Types alone.

import type { Chunk } from '../../common/wire/chunk.ts';
import type { SourceName } from '../../common/wire/subjects.ts';

/** A message before which bytes are missing. */
export interface Unwritten {
  readonly source: SourceName;
  readonly chunk: Chunk;
  /** The offset of its generation, undefined when nothing of it is here; and that of the one before. */
  readonly offset: number | undefined;
  readonly before: number | undefined;
  /** Bytes of the path are here, of whichever generation. */
  readonly isBegun: boolean;
}

/** How a message is written all the same. */
export interface Resolution {
  /** What it passes over, of its own generation or the one before. */
  readonly lost: readonly { readonly file: string; readonly from: number; readonly to: number }[];
  /** The path begins with its generation: which one came before is no matter. */
  readonly isFirst: boolean;
}

/** Decides about missing bytes where nobody will send them again: a receiver has none, and waits. */
export interface Resolver {
  /** Undefined: it is not to be written now. */
  resolve(message: Unwritten): Promise<Resolution | undefined>;
  /** A payload is not what its header says, and never will be. */
  damaged(source: SourceName, chunk: Chunk, seq: number): void;
}
