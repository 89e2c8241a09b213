// What the shipper needs of a source, whether its bytes come from a log file or from standard input. Types alone.

import type { FileHandle } from '../files/disk.ts';
import type { Found } from '../files/discover.ts';
import type { GenerationState } from '../files/generation-state.ts';
import type { Generation } from './generation.ts';

/** What is shipped as one path. */
export interface AnySource {
  readonly path: string;
  /** The path under which it is shipped. */
  readonly name: string;
  readonly generations: readonly Generation[];
  readonly current: Generation | undefined;
  /** Why something of it cannot be read, undefined where it can. */
  readonly unreadable: string | undefined;
  readonly isCommitted: boolean;
  /** One of its files was written to lately. */
  readonly isRecent: boolean;
  /** The device that its file is on, where it is known and there is reason to look. */
  readonly device: bigint | undefined;
  /** Fires when it is no longer shipped. */
  readonly signal: AbortSignal;
  /** All of it is committed, and there is nothing to come. */
  readonly isForgettable: boolean;
  readonly isAsSeen: (found: Found) => boolean;
  readonly foundElsewhere: (found: Found) => Promise<void>;
  /**
   * All bytes of a generation through a descriptor of its own, wherever they are now; undefined when they are nowhere, or
   * only compressed. Whether the file is still what was read is for the caller to see, who closes it.
   */
  readonly openWhole: (file: string) => Promise<Kept | undefined>;
  readonly wake: () => void;
  /** One of its files was written to. */
  readonly written: () => void;
  readonly look: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** A generation, open to be read by somebody else. */
export interface Kept {
  readonly handle: FileHandle;
  /** Undefined where nothing is kept of it: it ended long ago. */
  readonly entry: GenerationState | undefined;
  readonly generation: Generation | undefined;
}
