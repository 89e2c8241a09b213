// Finds a nats-server without any set-up: the PATH, the cache, the official release, the distribution's package, in
// this order. Never starts one and never changes the system.

import { LogferryError, messageOf, oneLine } from '../../common/runtime/errors.ts';
import { isNewEnough, OLDEST_VERSION, onPath, versionOf } from './binary.ts';
import type { ServerBinary } from './binary.ts';
import { cachedServer, defaultCacheDir } from './cache.ts';
import { fetchDistribution } from './distribution.ts';
import { fetchRelease, RELEASES } from './release.ts';

export interface FoundServer extends ServerBinary {
  readonly from: 'path' | 'cache' | 'release' | 'distribution';
}

export interface FindOptions {
  /** Takes one line at a time; stderr when left out. */
  readonly say?: ((line: string) => void) | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
  readonly cacheDir?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Where the official releases lie, for tests. */
  readonly releaseUrl?: string | undefined;
}

const WAYS =
  `install nats-server ${OLDEST_VERSION} or newer on the PATH (with a package manager or from ${RELEASES}), ` +
  'or name its binary in LOGFERRY_NATS_SERVER, or give the URL of a running server with --server';

export function sayOnStderr(line: string): void {
  process.stderr.write(`logferry: ${line}\n`);
}

/**
 * A nats-server that runs here and is 2.10 or newer. `LOGFERRY_NATS_SERVER` names one that is used as it is, or not
 * at all. Throws `failed` with the reasons and the ways to get one.
 */
export async function findNatsServer(options: FindOptions = {}): Promise<FoundServer> {
  const { say = sayOnStderr, env = process.env, signal } = options;
  const cacheDir = options.cacheDir ?? defaultCacheDir(env);
  const named = env['LOGFERRY_NATS_SERVER'];
  if (named !== undefined && named !== '') return namedServer(named, signal);

  for (const path of await onPath('nats-server', env)) {
    const version = await versionOf(path, signal);
    if (version !== undefined && isNewEnough(version)) return { path, version, from: 'path' };
    say(
      `${path} ${version === undefined ? 'does not run' : `is ${version}, older than ${OLDEST_VERSION}`}; passed over`,
    );
  }

  const cached = await cachedServer(cacheDir, say, signal);
  if (cached !== undefined) return { ...cached, from: 'cache' };

  const reasons: string[] = [];
  const ways = [
    { from: 'release', fetch: fetchRelease },
    { from: 'distribution', fetch: fetchDistribution },
  ] as const;
  for (const { from, fetch } of ways) {
    try {
      const fetched = await fetch({ cacheDir, env, say, signal, baseUrl: options.releaseUrl });
      say(`nats-server ${fetched.version} is in ${fetched.path}`);
      return { ...fetched, from };
    } catch (error) {
      signal?.throwIfAborted();
      say(oneLine(error));
      reasons.push(messageOf(error));
    }
  }
  throw new LogferryError('failed', `found no nats-server to run (${reasons.join('; ')})`, WAYS);
}

async function namedServer(path: string, signal: AbortSignal | undefined): Promise<FoundServer> {
  const version = await versionOf(path, signal);
  if (version !== undefined && isNewEnough(version)) return { path, version, from: 'path' };
  throw new LogferryError(
    'failed',
    version === undefined
      ? `LOGFERRY_NATS_SERVER names ${path}, which is no nats-server that runs here`
      : `LOGFERRY_NATS_SERVER names ${path}, which is ${version}, older than ${OLDEST_VERSION}`,
    WAYS,
  );
}
