// The user's cache of nats-server binaries: `<cache>/nats-server-<version>/nats-server` with its SHA-256 beside it.
// Never runs or hands out a file that differs from its checksum.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { LogferryError, systemCode } from '../../common/runtime/errors.ts';
import { compareVersions, isNewEnough, OLDEST_VERSION, versionOf } from './binary.ts';
import type { ServerBinary } from './binary.ts';
import { namesIn, tolerateMissing } from '../../common/runtime/files.ts';

const BINARY = 'nats-server';
const RECORD = 'nats-server.sha256';
const BROKEN = '.broken';
const SCRATCH = 'fetching-';
/** A scratch directory this old belongs to a process that was killed: a fetch gives up after minutes. */
const SCRATCH_MAX_AGE_MS = 3_600_000;

export function defaultCacheDir(env: NodeJS.ProcessEnv): string {
  // An empty variable counts as unset (XDG Base Directory Specification).
  const own = env['LOGFERRY_CACHE'];
  if (own !== undefined && own !== '') return own;
  const shared = env['XDG_CACHE_HOME'];
  if (shared !== undefined && shared !== '') return join(shared, 'logferry');
  return join(env['HOME'] ?? homedir(), '.cache', 'logferry');
}

/** The newest binary of the cache that matches its checksum, runs here and is new enough; sets altered ones aside. */
export async function cachedServer(
  cacheDir: string,
  say: (line: string) => void,
  signal?: AbortSignal,
): Promise<ServerBinary | undefined> {
  const versions = (await namesIn(cacheDir))
    .map((name) => /^nats-server-(\d+\.\d+\.\d+[^/]*)$/.exec(name)?.[1])
    .filter((version) => version !== undefined)
    .filter((version) => !version.endsWith(BROKEN) && isNewEnough(version))
    .toSorted((a, b) => compareVersions(b, a));
  for (const version of versions) {
    const directory = join(cacheDir, `nats-server-${version}`);
    if (!(await matchesRecord(directory))) {
      say(`${join(directory, BINARY)} differs from its checksum; set aside`);
      await setAside(directory);
      continue;
    }
    const path = join(directory, BINARY);
    const answered = await versionOf(path, signal);
    if (answered !== undefined) return { path, version: answered };
    say(`${path} does not run here; passed over`);
  }
  return undefined;
}

/**
 * Runs `use` with a scratch directory on the cache's file system, readable by this user only, and removes it
 * afterwards whatever happened.
 */
export async function withScratch<T>(cacheDir: string, use: (scratch: string) => Promise<T>): Promise<T> {
  await mkdir(cacheDir, { recursive: true });
  await removeOldScratch(cacheDir);
  const scratch = await mkdtemp(join(cacheDir, SCRATCH));
  try {
    return await use(scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/**
 * Takes a binary out of a scratch directory into the cache: made executable, run once, synced with its checksum,
 * then renamed into place, so that a crash leaves the whole of it or nothing. Another process may do the same at
 * the same time: whichever is there and intact is kept. Throws `failed` when it does not run here or is too old.
 */
export async function placeInCache(
  cacheDir: string,
  scratch: string,
  binary: string,
  signal?: AbortSignal,
): Promise<ServerBinary> {
  const staged = join(scratch, 'staged');
  await mkdir(staged);
  const path = join(staged, BINARY);
  await rename(binary, path);
  await chmod(path, 0o755);
  const version = await versionOf(path, signal);
  if (version === undefined) throw new LogferryError('failed', 'the fetched nats-server does not run here');
  if (!isNewEnough(version))
    throw new LogferryError('failed', `the fetched nats-server is ${version}, older than ${OLDEST_VERSION}`);
  await writeFile(join(staged, RECORD), `${await sha256Of(path)}  ${BINARY}\n`);
  await sync(path);
  await sync(join(staged, RECORD));
  await sync(staged);

  const directory = join(cacheDir, `nats-server-${version}`);
  while (!(await renamed(staged, directory)) && !(await matchesRecord(directory))) await setAside(directory);
  await sync(cacheDir);
  return { path: join(directory, BINARY), version };
}

/** Out of the way under a name that is never looked at; only the last one is kept. */
async function setAside(directory: string): Promise<void> {
  await rm(directory + BROKEN, { recursive: true, force: true });
  await renamed(directory, directory + BROKEN);
}

/** Whether the rename took place; not when the target exists, or when another process was faster. */
async function renamed(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOENT' || code === 'EPERM') return false;
    throw error;
  }
}

async function matchesRecord(directory: string): Promise<boolean> {
  try {
    const record = await readFile(join(directory, RECORD), 'utf8');
    return record === `${await sha256Of(join(directory, BINARY))}  ${BINARY}\n`;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function removeOldScratch(cacheDir: string): Promise<void> {
  for (const name of await namesIn(cacheDir)) {
    if (!name.startsWith(SCRATCH)) continue;
    const path = join(cacheDir, name);
    const age = Date.now() - ((await stat(path).catch(tolerateMissing))?.mtimeMs ?? Date.now());
    if (age > SCRATCH_MAX_AGE_MS) await rm(path, { recursive: true, force: true });
  }
}
