// The two sides that verify compares, whoever they are: who has the source's bytes, and who holds them centrally. Types
// alone.

import type { ByteRange } from '../../common/wire/ranges.ts';
import type {
  Blocks,
  CheckedStretches,
  HashedBlocks,
  HeldFile,
  ShipperAnswer,
} from '../../common/fleet/verify.ts';

/** One generation of a source file, as far as it has to be verified. */
export interface Wanted {
  readonly host: string;
  readonly path: string;
  /** The file id. */
  readonly file: string;
  /** How far it is committed, and what stands before that where it is known. */
  readonly committed: number;
  readonly tail: string | null;
  /** The bytes that somebody has to hold. */
  readonly expected: readonly ByteRange[];
  /** Nobody knows where it begins: bytes at its beginning that nobody holds were never shipped. */
  readonly mayBeginLater: boolean;
  /** Whose directory, by its id, has to hold the bytes from an offset on; undefined where nobody is known. In order. */
  readonly directories: readonly (readonly [directory: string | undefined, from: number])[];
}

/** Where the sources are. Throws NoAnswer. */
export interface SourceSide {
  hash(wanted: Wanted, blocks: Blocks): Promise<ShipperAnswer>;
}

/** One receiver, or one output directory. Throws NoAnswer. */
export interface Holder {
  /** As a person knows it. */
  readonly name: string;
  /** See Wanted.directories; undefined where it is read from outside. */
  readonly directory: string | undefined;
  files(host: string): Promise<readonly HeldFile[]>;
  hash(host: string, file: string, blocks: Blocks): Promise<HashedBlocks>;
  check(host: string, file: string, from: number): Promise<CheckedStretches>;
}
