// What a replay is asked for, what it tells while it runs, and what it says at the end.

import type { Logger } from '../../common/runtime/log.ts';
import type { ServerOptions } from '../../common/nats/connection.ts';
import type { RotateOptions } from '../disk/destination.ts';
import type { ReplayTotals } from './output.ts';
import type { Asked, Begin, Dropped, Hole } from './state.ts';

export interface ReplayOptions {
  readonly server: ServerOptions;
  readonly stream: string;
  readonly prefix: string;
  readonly out: string;
  /** As it was written; a directory that was begun goes on only with the same. */
  readonly asked: Asked;
  readonly since: Date | undefined;
  readonly until: Date | undefined;
  readonly rotate: RotateOptions;
  readonly log: Logger;
  /** Told something that is to be known now, in one line. */
  readonly say: (line: string) => void;
  readonly onProgress: (progress: ReplayProgress) => void;
}

export interface ReplayProgress {
  /** Messages read, and to be read, by this start. */
  readonly done: number;
  readonly total: number;
  /** Source bytes written by this start. */
  readonly bytes: number;
}

export interface ReplayReport extends ReplayTotals {
  readonly begins: readonly Begin[];
  /** Bytes in the middle that are not in the stream. */
  readonly holes: readonly Hole[];
  /** Holes beyond those listed. */
  readonly moreHoles: number;
  /** What the stream has dropped before it was read: whose bytes that were is not known. */
  readonly dropped: readonly Dropped[];
  /** Bytes that messages say they hold, and that are not written: they do not, or what comes before never comes. */
  readonly stuck: readonly Hole[];
  /** Bytes were passed over that no receiver has committed: a receiver refuses the directory. */
  readonly uncommitted: boolean;
  /** Messages that logferry did not write, or whose payload does not match its checksum. */
  readonly foreign: number;
  /** Bytes that an earlier start had written. */
  readonly before: number;
}
