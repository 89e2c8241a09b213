// What a shipper is told, and what it tells.

import type { Logger } from '../common/log.ts';
import type { ServerOptions } from '../common/nats.ts';

export interface ShipOptions {
  readonly server: ServerOptions;
  readonly stream: string;
  readonly prefix: string;
  readonly globs: readonly string[];
  readonly exclude: readonly string[];
  /** The name to ship as. */
  readonly host: string;
  /** The state directory. */
  readonly state: string;
  /** Where files that are there at the very first start begin. */
  readonly from: 'beginning' | 'end';
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
}
