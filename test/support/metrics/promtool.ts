// promtool: from the PATH, or out of the distribution's prometheus package, kept in the user's cache. Never installs
// anything.

import { copyFile, mkdir } from 'node:fs/promises';
import path from 'node:path';

import { fetchPackage } from '../../../cli/nats-server/distribution-package.ts';
import { LogferryError, oneLine } from '../../../common/runtime/errors.ts';
import { onPath, run } from '../../../cli/nats-server/binary.ts';
import { defaultCacheDir } from '../../../cli/nats-server/cache.ts';

/** Its file, or why there is none here. */
export async function findPromtool(): Promise<{ file: string } | { skip: string }> {
  const cached = path.join(defaultCacheDir(process.env), 'promtool', 'promtool');
  for (const file of [...(await onPath('promtool', process.env)), cached])
    if (await works(file)) return { file };
  try {
    return { file: await fetchTo(cached) };
  } catch (error) {
    if (!(error instanceof LogferryError)) throw error;
    return { skip: `no promtool: ${oneLine(error)}` };
  }
}

async function fetchTo(cached: string): Promise<string> {
  return await fetchPackage({
    name: 'prometheus',
    release: 'own',
    cacheDir: defaultCacheDir(process.env),
    env: process.env,
    say: (line) => {
      console.log(`# ${line}`);
    },
    use: async (unpacked) => {
      const file = path.join(unpacked, 'usr', 'bin', 'promtool');
      if (!(await works(file))) throw new LogferryError('failed', 'the fetched promtool does not run here');
      await mkdir(path.dirname(cached), { recursive: true });
      await copyFile(file, cached);
      return cached;
    },
  });
}

async function works(file: string): Promise<boolean> {
  try {
    await run(file, ['--version']);
    return true;
  } catch {
    // Not there, or not for this machine: either way it is not this one.
    return false;
  }
}
