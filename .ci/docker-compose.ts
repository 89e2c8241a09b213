// Checks docker-compose.yml with docker-compose itself, which needs no container engine for that: the newest suite's
// package, in the user's cache. Never installs it.

import assert from 'node:assert/strict';
import { rename } from 'node:fs/promises';
import path from 'node:path';

import { fetchPackage } from '../cli/nats-server/distribution-package.ts';
import { LogferryError } from '../common/runtime/errors.ts';
import { onPath, run } from '../cli/nats-server/binary.ts';
import { defaultCacheDir } from '../cli/nats-server/cache.ts';

const WHERE = ['usr/libexec/docker/cli-plugins/docker-compose', 'usr/bin/docker-compose'];

export interface Service {
  readonly image?: string;
  readonly build?: object;
  readonly command: readonly string[] | null;
  readonly entrypoint: readonly string[] | null;
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly { readonly source: string; readonly target: string; readonly type: string }[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly ports?: readonly unknown[];
}

/** Its path; undefined where there is none and no apt to fetch it with. Throws when it could not be fetched. */
export async function findDockerCompose(): Promise<string | undefined> {
  const cacheDir = defaultCacheDir(process.env);
  const cached = path.join(cacheDir, 'docker-compose');
  for (const candidate of [...(await onPath('docker-compose', process.env)), cached])
    if (await runs(candidate)) return candidate;
  if ((await onPath('apt-get', process.env)).length === 0) return undefined;
  return await fetchPackage({
    name: 'docker-compose',
    cacheDir,
    env: process.env,
    say: (line) => {
      console.log(line);
    },
    use: async (unpacked) => {
      for (const name of WHERE)
        if (await runs(path.join(unpacked, name))) {
          await rename(path.join(unpacked, name), cached);
          return cached;
        }
      throw new LogferryError('failed', 'the package holds no docker-compose 2 that runs here');
    },
  });
}

/**
 * The services as docker-compose understands the file, joined with others that alter it. Throws when it refuses them
 * or warns.
 *
 * @param secrets a file of variables, in place of the checkout's own
 */
export async function servicesOf(
  dockerCompose: string,
  files: readonly string[],
  secrets = '/dev/null',
): Promise<Record<string, Service>> {
  const named = files.flatMap((file) => ['--file', file]);
  const { stdout, stderr } = await run(dockerCompose, [
    ...['--env-file', secrets],
    ...named,
    ...['--profile', '*', 'config', '--format', 'json'],
  ]);
  assert.equal(stderr, '', 'what docker-compose warns of');
  // What it prints is a compose file again, so each $ is doubled.
  const { services } = JSON.parse(stdout.replaceAll('$$', '$')) as { services: Record<string, Service> };
  return services;
}

async function runs(file: string): Promise<boolean> {
  try {
    return /version v?[2-9]/.test((await run(file, ['version'])).stdout);
  } catch {
    // Not there, or not for this machine: either way it is not this one.
    return false;
  }
}
