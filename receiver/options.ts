// What a receiver is told, and what it shows.

import type { Shown } from '../common/health/shown.ts';
import type { ServerOptions } from '../common/nats/connection.ts';
import type { Changing } from '../common/runtime/changing.ts';
import type { Logger } from '../common/runtime/log.ts';
import type { RotateOptions } from './disk/destination.ts';
import type { ReceiverReading } from './report/reading.ts';
import type { UpkeepOptions } from './upkeep/upkeep.ts';

export type { Access } from './disk/access.ts';
export type { RotateOptions } from './disk/destination.ts';
export { FORMATS } from './ledger/names.ts';
export type { ReceiverReading } from './report/reading.ts';
export type { UpkeepOptions } from './upkeep/upkeep.ts';

/** What may change while a receiver runs: all of the upkeep, and of the rotation its size and its interval. */
export interface ReceiveLimits {
  /** Give up bytes that have been missing for this long; undefined: an hour less than the stream keeps messages. */
  readonly giveUpAfterMs: number | undefined;
  readonly rotate: RotateOptions;
  /** What becomes of the segments. */
  readonly upkeep: UpkeepOptions;
}

export interface ReceiveOptions extends ReceiveLimits {
  readonly server: ServerOptions;
  readonly stream: string;
  readonly prefix: string;
  readonly out: string;
  /** The receiver's name; kept in the output directory. */
  readonly id: string | undefined;
  readonly leaseMs: number;
  /** Which partitions to own; undefined: those that the plan of all receivers gives. */
  readonly share: FixedShare | undefined;
  /** Let others have the partitions when the disk has taken nothing for so long; undefined: never. */
  readonly handOverAfterMs: number | undefined;
  /** End when everything in the stream is committed. */
  readonly once: boolean;
  readonly log: Logger;
  /** Told of by whoever may change the limits; its value counts then. */
  readonly changes?: Changing<ReceiveLimits>;
  /** Where whoever watches it finds what it does. */
  readonly shown?: Shown<ReceiverReading>;
  /** Told how long each commit took, in seconds. */
  readonly onCommit?: (seconds: number) => void;
}

/** A share of the partitions that is given by hand. */
export type FixedShare =
  /** Inclusive ranges of partitions. */
  | { readonly ranges: readonly (readonly [from: number, to: number])[] }
  /** Every partition whose number modulo `of` is `index`. */
  | { readonly index: number; readonly of: number };
