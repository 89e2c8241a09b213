// Whether the output directories together hold what the simulated hosts published: each byte, in its place.

import { LogferryError } from '../common/runtime/errors.ts';
import { fileKey } from '../common/wire/subjects.ts';
import { joinRuns } from '../receiver/read/join.ts';
import { type PlacedRun, readDirectories, readPieces } from '../receiver/read/reader.ts';
import { contentOf, type SimulatedFile } from './simulated-hosts.ts';

/** Throws `failed` with the file and the byte at which they differ. The receivers may run. */
export async function verifySimulated(
  outs: readonly string[],
  files: readonly SimulatedFile[],
  signal: AbortSignal,
): Promise<void> {
  const runs = new Map<string, PlacedRun[]>();
  for (const placed of await readDirectories(outs)) {
    const known = runs.get(placed.run.file);
    if (known === undefined) runs.set(placed.run.file, [placed]);
    else known.push(placed);
  }
  for (const file of files) {
    signal.throwIfAborted();
    await verifyFile(file, runs.get(fileKey(file.host, file.file)) ?? []);
  }
}

async function verifyFile(file: SimulatedFile, runs: readonly PlacedRun[]): Promise<void> {
  const { pieces, holes } = joinRuns(runs, []);
  let at = 0;
  for await (const bytes of readPieces(pieces)) {
    if (!contentOf(file, at, at + bytes.length).equals(bytes)) throw wrong(file, `differ from byte ${at} on`);
    at += bytes.length;
  }
  if (holes.length > 0 || at !== file.bytes) throw wrong(file, `hold ${at} of ${file.bytes} bytes`);
}

function wrong({ host, path }: SimulatedFile, what: string): LogferryError {
  return new LogferryError(
    'failed',
    `the central files of ${host} ${path} ${what}`,
    'run again with --keep and compare them',
  );
}
