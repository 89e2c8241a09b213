// What a cursor is made with: what all of them share, its file, and who reads through it. Types alone.

import type { EndReason } from '../../common/wire/chunk.ts';
import type { FileSystems } from '../files/file-systems.ts';
import type { KnownFiles } from '../files/known-files.ts';
import type { OpenFiles } from '../files/open-files.ts';
import type { GenerationState } from '../files/generation-state.ts';
import type { State } from '../files/state.ts';
import type { Buffers } from './buffers.ts';
import type { Packers } from './packers.ts';

/** What all cursors share. */
export interface CursorContext {
  readonly state: State;
  readonly buffers: Buffers;
  /** Undefined when nothing is compressed. */
  readonly packers: Packers | undefined;
  /** With --once every file ends where it ended at the start. */
  readonly once: boolean;
  readonly fileSystems: FileSystems;
  readonly knownFiles: KnownFiles;
  readonly openFiles: OpenFiles;
}

/** The file of a cursor. */
export interface CursorFile {
  /** Whose files its copies are. */
  readonly path: string;
  /** The path under which it is shipped. */
  readonly name: string;
  /** What is kept of it: head, size and copy are the cursor's to change. */
  readonly entry: GenerationState;
}

/** Whoever takes what is read. */
export interface CursorReader {
  /** It has told the cursor where to go on. */
  readonly hasBegun: boolean;
  /** How the file was told to end, undefined while it goes on. */
  readonly closing: EndReason | undefined;
  /** It has taken everything up to the end, and expects nothing more. */
  readonly isDrained: boolean;
  /** What it has taken is where it belongs. */
  readonly isCommitted: boolean;
  /** Something is different: it is to look again. */
  readonly wake: () => void;
}
