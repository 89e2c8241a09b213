// What a shipper is told, and what it tells.

import type { Changing } from '../common/runtime/changing.ts';
import type { Logger } from '../common/runtime/log.ts';
import type { ServerOptions } from '../common/nats/connection.ts';
import type { Shown } from '../common/health/shown.ts';
import type { ShipperReading, ShipProgress } from './report/reading.ts';

export type { ShipperReading } from './report/reading.ts';

/** Some globs, and what holds for the files that they match. */
export interface SourceOptions {
  readonly globs: readonly string[];
  /** For every path, also one that is named without a wildcard. */
  readonly exclude: readonly string[];
  /** Whether DEFAULT_EXCLUDES (files/expand.ts) hold for what a wildcard matches. */
  readonly defaultExcludes: boolean;
  /** Where files begin that are there at the very first start, or when the source is added to a running shipper. */
  readonly from: 'beginning' | 'end';
  /** A file last written longer ago than this when it is first seen is shipped from its end. Undefined: none is. */
  readonly ignoreOlderMs: number | undefined;
  /** How long a rotated file that is committed stays open, because it may be written to. */
  readonly rotateWaitMs: number;
  readonly followSymlinks: boolean;
  /** Files below this directory are shipped as if it were the root. */
  readonly pathPrefix: string | undefined;
}

/** What may change while a shipper runs. */
export interface ShipLimits {
  /** A path that several of them match belongs to the first. Empty with standard input. */
  readonly sources: readonly SourceOptions[];
  /** Source bytes a second, undefined for no limit. */
  readonly maxRate: number | undefined;
}

export interface ShipOptions extends ShipLimits {
  readonly server: ServerOptions;
  readonly stream: string;
  readonly prefix: string;
  /** The server is a leaf node: the JetStream domain whose stream brings in the one here. */
  readonly hubDomain: string | undefined;
  /** Standard input in place of files: the path that it is shipped as, and how much of it is kept on disk, in bytes. */
  readonly stdin: { readonly path: string; readonly maxBytes: number } | undefined;
  /** The name to ship as. */
  readonly host: string;
  /** The state directory. */
  readonly state: string;
  /** Where this process writes its log: never shipped, whatever names it. */
  readonly ownLogs: readonly string[];
  readonly compression: 'zstd' | 'none';
  /** Ship to the present end of every file, wait until all is committed, end. */
  readonly once: boolean;
  /** With `once`: give up after this long. */
  readonly timeoutMs: number | undefined;
  /** How long a silent shipper keeps the host's name. */
  readonly leaseMs: number;
  readonly log: Logger;
  /** Told of by whoever may change the limits; its value counts then. */
  readonly changes?: Changing<ShipLimits>;
  /** Told about once a second, for whoever shows it. */
  readonly onProgress?: (progress: ShipProgress) => void;
  /** Where whoever watches it finds what it does. */
  readonly shown?: Shown<ShipperReading>;
}
