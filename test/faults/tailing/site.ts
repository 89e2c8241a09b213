// Where a modelled host is: its shipper, its way to the server, and what of its files has arrived. Types alone: there is one
// over real disks and a real server, and a simulated one.

import type { FileStamp } from '../../../shipper/files/identity.ts';
import type { Said } from './oracle.ts';

/** A shipper that is started, stopped and killed. */
export interface HostShipper {
  readonly runs: boolean;
  startInside(): void;
  /** In a process of its own, which can be killed. */
  startProcess(): void;
  stop(): Promise<void>;
  /** As SIGKILL does it, where it can be killed; else a clean stop. */
  kill(): Promise<void>;
  /** What is kept of the state, to be put back when it is an older one. */
  keepState(): Promise<void>;
  /** Whether there is an older one. */
  putBackState(): Promise<boolean>;
  loseState(): Promise<void>;
  /** Whether it keeps the file of this name open. */
  holds(name: string): Promise<boolean>;
  /** The size of a file's only generation, as the state says that was saved last. */
  knownSize(source: string, stamp: FileStamp): Promise<number | undefined>;
  /** Errors and warnings of its log, each once. */
  said(): Said[];
}

export interface Site {
  /** Where its log files are. */
  readonly directory: string;
  /** Without births a file that nobody has seen is not found when it was rotated. */
  readonly hasBirths: boolean;
  /** Whether many share a machine: then lines are shorter, and looks further apart. */
  readonly isShared: boolean;
  readonly shipper: HostShipper;
  /** What has arrived of one path, in the order in which it was written. */
  arrived(log: string): Promise<Buffer>;
  /** Paths of which something has arrived that is none of these. */
  strangers(logs: readonly string[]): Promise<readonly string[]>;
  /** @param isKilled only where nobody else has the server */
  disconnect(isKilled: boolean): Promise<void>;
  serve(): Promise<void>;
  end(): void;
}
