// What a shipper is told, and what it tells.

import type { Logger } from '../common/log.ts';
import type { ServerOptions } from '../common/nats.ts';

export interface ShipOptions {
  readonly server: ServerOptions;
  readonly stream: string;
  readonly prefix: string;
  readonly globs: readonly string[];
  /** Standard input in place of files: the path that it is shipped as, and how much of it is kept on disk, in bytes. */
  readonly stdin: { readonly path: string; readonly maxBytes: number } | undefined;
  readonly exclude: readonly string[];
  /** Whether DEFAULT_EXCLUDES (expand.ts) hold for what a wildcard matches. */
  readonly defaultExcludes: boolean;
  /** The name to ship as. */
  readonly host: string;
  /** The state directory. */
  readonly state: string;
  /** Where files that are there at the very first start begin. */
  readonly from: 'beginning' | 'end';
  /** A file last written longer ago than this when it is first seen is shipped from its end. Undefined: none is. */
  readonly ignoreOlderMs: number | undefined;
  /** How long a rotated file that is committed stays open, because it may be written to. */
  readonly rotateWaitMs: number;
  readonly followSymlinks: boolean;
  /** Files below this directory are shipped as if it were the root. */
  readonly pathPrefix: string | undefined;
  /** Where this process writes its log: never shipped, whatever names it. */
  readonly ownLogs: readonly string[];
  readonly compression: 'zstd' | 'none';
  /** Source bytes a second, undefined for no limit. */
  readonly maxRate: number | undefined;
  /** Ship to the present end of every file, wait until all is committed, end. */
  readonly once: boolean;
  /** With `once`: give up after this long. */
  readonly timeoutMs: number | undefined;
  /** How long a silent shipper keeps the host's name. */
  readonly leaseMs: number;
  readonly log: Logger;
  /** Told about once a second, for whoever shows it. */
  readonly onProgress?: (progress: ShipProgress) => void;
}

/** Bytes over all files. */
export interface ShipProgress {
  readonly files: number;
  readonly size: number;
  readonly published: number;
  readonly committed: number;
  /** The same for each generation of each file. */
  readonly each: () => readonly FileProgress[];
}

/** Where one generation of a source file is. */
export interface FileProgress {
  readonly path: string;
  /** Its file id. */
  readonly file: string;
  /** Bytes: as last seen, in the stream, on a receiver's disk. */
  readonly size: number;
  readonly published: number;
  readonly committed: number;
  /** How much is not committed, and how long the oldest of it has been waiting here. */
  readonly lagBytes: number;
  readonly lagMs: number;
  /** What went wrong last, until something works. */
  readonly error: string | undefined;
}
