// A directory of its own for a test on real files, which is gone afterwards.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

export async function inDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'logferry-unit-'));
  try {
    await work(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}
