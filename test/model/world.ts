// Everything that exists in one run of the model.

import type { FileEntry } from '../../common/record/record.ts';
import { partitionKey } from '../../common/wire/topology.ts';
import type { Bucket } from './bucket.ts';
import type { Directory } from './directory.ts';
import type { Saved } from './host.ts';
import type { Leaf } from './leaf.ts';
import type { Random } from './random.ts';
import type { Scenario } from './scenarios.ts';
import type { Machine, Scheduler } from './scheduler.ts';
import type { Generation, SourceFile } from './source.ts';
import type { Stream } from './stream.ts';

/** A receiver, with the directory that outlives its crashes. */
export interface Receiver extends Machine {
  readonly directory: Directory;
  /** When its heartbeat was last seen. */
  beat: number;
  /** Its disk is full: it gives its partitions away. */
  isFull: boolean;
}

export interface Shipper extends Machine {
  /** It ships to the stream of the leaf. */
  readonly isAtEdge: boolean;
  readonly files: readonly SourceFile[];
  /** Its state on disk. */
  saved: Saved | undefined;
  /** What was saved before, oldest first. */
  readonly earlier: Saved[];
}

/** Bytes that a shipper has declared gone. */
export interface Gone {
  readonly generation: Generation;
  readonly start: number;
  readonly end: number;
}

export interface World {
  readonly scenario: Scenario;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly stream: Stream;
  readonly bucket: Bucket;
  readonly leaf: Leaf;
  readonly shippers: readonly Shipper[];
  readonly receivers: readonly Receiver[];
  readonly gone: Gone[];
  /** Makes names that no one else has. */
  readonly token: () => string;
  readonly trace: (text: string) => void;
}

export function sourceFiles(world: World): SourceFile[] {
  return world.shippers.flatMap((shipper) => shipper.files);
}

/** What the present record says of a generation; undefined when it does not know it. */
export function recordedEntry(world: World, file: SourceFile, key: string): FileEntry | undefined {
  return world.bucket.read(partitionKey(file.partition)).record?.files.get(key);
}
