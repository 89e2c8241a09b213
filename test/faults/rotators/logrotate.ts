// logrotate: from the PATH, or the distribution's package in the user's cache with the library it needs. Never
// installs anything.

import { copyFile, mkdir, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';

import { fetchPackage } from '../../../cli/nats-server/distribution-package.ts';
import { LogferryError, systemCode } from '../../../common/runtime/errors.ts';
import { onPath, run } from '../../../cli/nats-server/binary.ts';
import { defaultCacheDir } from '../../../cli/nats-server/cache.ts';

/** Where it is when it is installed, also for users whose PATH leaves it out. */
const INSTALLED = '/usr/sbin/logrotate';
const LIBRARY = /^libpopt\.so\.\d+$/;

/** Runs it with these arguments; rejects when it fails, with its stderr in the message. */
export type Logrotate = (args: readonly string[]) => Promise<void>;

/** Throws as fetchPackage does. */
export async function findLogrotate(): Promise<Logrotate> {
  const cached = path.join(defaultCacheDir(process.env), 'logrotate');
  for (const file of [...(await onPath('logrotate', process.env)), INSTALLED])
    if (await works(program(file, {}))) return program(file, {});
  const fromCache = inDirectory(cached);
  if (await works(fromCache)) return fromCache;
  return await fetchPackage({
    name: 'logrotate',
    with: ['libpopt0'],
    release: 'own',
    cacheDir: defaultCacheDir(process.env),
    env: process.env,
    say: (line) => {
      console.log(`# ${line}`);
    },
    use: async (unpacked, scratch) => {
      const staged = path.join(scratch, 'staged');
      await mkdir(staged);
      for (const file of await filesOf(unpacked))
        await copyFile(file, path.join(staged, path.basename(file)));
      if (!(await works(inDirectory(staged))))
        throw new LogferryError('failed', 'the fetched logrotate does not run here');
      await rm(cached, { recursive: true, force: true });
      await placed(staged, cached);
      return fromCache;
    },
  });
}

function inDirectory(directory: string): Logrotate {
  return program(path.join(directory, 'logrotate'), { LD_LIBRARY_PATH: directory });
}

function program(file: string, env: NodeJS.ProcessEnv): Logrotate {
  return async (args) => {
    await run(file, [...args], { env: { ...process.env, ...env } });
  };
}

async function works(logrotate: Logrotate): Promise<boolean> {
  try {
    await logrotate(['--version']);
    return true;
  } catch {
    // Not there, or not for this machine: either way it is not this one.
    return false;
  }
}

/** The program and its library. */
async function filesOf(unpacked: string): Promise<string[]> {
  const entries = await readdir(unpacked, { recursive: true, withFileTypes: true });
  return entries
    .filter(
      ({ name, parentPath }) => LIBRARY.test(name) || (name === 'logrotate' && parentPath.endsWith('sbin')),
    )
    .map(({ name, parentPath }) => path.join(parentPath, name));
}

/** Another process may do the same at the same time: whichever is there is kept. */
async function placed(staged: string, cached: string): Promise<void> {
  try {
    await rename(staged, cached);
  } catch (error) {
    if (systemCode(error) !== 'ENOTEMPTY' && systemCode(error) !== 'EEXIST') throw error;
  }
}
