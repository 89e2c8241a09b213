// The distribution's nats-server package, into the cache. Never installs anything and never writes outside the cache.

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { fetchPackage } from './distribution-package.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import type { ServerBinary } from './binary.ts';
import { placeInCache } from './cache.ts';
import { tolerateMissing } from '../../common/runtime/files.ts';

/**
 * Fetches the package of the newest suite whose nats-server runs here and is new enough. Throws `failed` when apt is
 * not there or no suite has one.
 */
export async function fetchDistribution(options: {
  cacheDir: string;
  env: NodeJS.ProcessEnv;
  say: (line: string) => void;
  signal?: AbortSignal | undefined;
}): Promise<ServerBinary> {
  return await fetchPackage({
    name: 'nats-server',
    use: async (unpacked, scratch) =>
      await placeInCache(options.cacheDir, scratch, await binaryIn(unpacked), options.signal),
    ...options,
  });
}

async function binaryIn(unpacked: string): Promise<string> {
  for (const directory of ['usr/sbin', 'usr/bin'])
    if ((await readdir(join(unpacked, directory)).catch(tolerateMissing))?.includes('nats-server') === true)
      return join(unpacked, directory, 'nats-server');
  throw new LogferryError('failed', 'the package holds no nats-server');
}
