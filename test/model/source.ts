// The source files of the model: they grow, are rotated, and sometimes vanish. A byte is known by its generation and
// offset, so files need no content.

import type { SourceName } from '../../common/wire/subjects.ts';

/** One generation of a source file. */
export interface Generation {
  readonly name: SourceName;
  /** Where shipping begins. */
  readonly begin: number;
  size: number;
  /** Rotated: it grows no more. */
  isClosed: boolean;
  /** Deleted, and no descriptor is open any more: its bytes can never be read again. */
  isGone: boolean;
  /** An end marker of it was made. */
  hasEnded: boolean;
  /** Where the last end marker stands that the shipper knows to be in the stream. */
  endedAt: number | undefined;
  /** What is behind was written after that, and may come after later generations. */
  lateFrom: number | undefined;
}

/** A path on a host, with its generations in order. */
export interface SourceFile {
  readonly host: string;
  readonly partition: number;
  readonly path: string;
  readonly generations: Generation[];
}

export function addGeneration(file: SourceFile, begin: number): void {
  const index = file.path.slice(1);
  const name = { host: file.host, path: file.path, file: `${index}-${file.generations.length}` };
  const now = {
    size: begin,
    isClosed: false,
    isGone: false,
    hasEnded: false,
    endedAt: undefined,
    lateFrom: undefined,
  };
  file.generations.push({ name, begin, ...now });
}

/** The number of a generation, from its file id. */
export function generationOf(fileId: string): number {
  return Number(fileId.slice(fileId.lastIndexOf('-') + 1));
}
