// The directory of a demo: new and temporary, or the one that was asked for. Deletes only what a demo made.

import { mkdir, mkdtemp, readdir, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { LogferryError } from '../../common/runtime/errors.ts';
import { ensureDirectory, type Lock, lockDirectory } from '../../common/runtime/files.ts';
import { clearLeftover } from '../nats-server/leftover.ts';

/** Server, state and logs; that it is there says that the directory is a demo's. */
const OWN = '.logferry-demo';
const LOCK = 'lock';

export interface DemoDirectory {
  readonly dir: string;
  readonly source: string;
  readonly central: string;
  /** For the state of the shipper, the server's store and the logs. */
  readonly own: string;
  readonly nats: string;
  /** Deletes it when it is temporary and not to be kept; otherwise only lets it go. */
  readonly close: (keep: boolean) => Promise<void>;
}

/**
 * Takes a directory, empty but for its own two. Throws `usage` for one that holds anything else than an earlier demo,
 * `busy` for one in which another demo runs.
 */
export async function openDirectory(wanted: string | undefined): Promise<DemoDirectory> {
  if (wanted !== undefined) {
    await ensureDirectory(wanted, '--dir');
    await refuseOthers(wanted);
  }
  const dir = await realpath(wanted ?? (await mkdtemp(path.join(tmpdir(), 'logferry-demo-'))));
  const own = path.join(dir, OWN);
  await ensureDirectory(own, '--dir');
  const lock = await lockDirectory(own, LOCK);
  const directory = {
    dir,
    own,
    source: path.join(dir, 'source'),
    central: path.join(dir, 'central'),
    nats: path.join(own, 'nats'),
  };
  await empty(directory);
  return { ...directory, close: async (keep) => await close(dir, lock, wanted !== undefined || keep) };
}

async function refuseOthers(dir: string): Promise<void> {
  const names = await readdir(dir);
  if (names.length > 0 && !names.includes(OWN))
    throw new LogferryError(
      'usage',
      `--dir ${dir} is not empty, and not an earlier demo's`,
      'give a new directory, or an empty one',
    );
}

/** Of an earlier demo nothing stays; what somebody else put beside it does. */
async function empty(directory: Omit<DemoDirectory, 'close'>): Promise<void> {
  const { own, nats, source, central } = directory;
  await mkdir(nats, { recursive: true });
  // The server of a demo that was killed still runs.
  await clearLeftover(nats, path.join(nats, 'nats-server.conf'), () => undefined);
  for (const name of await readdir(own))
    if (name !== LOCK) await rm(path.join(own, name), { recursive: true });
  for (const data of [source, central]) {
    await rm(data, { recursive: true, force: true });
    await mkdir(data);
  }
}

async function close(dir: string, lock: Lock, keep: boolean): Promise<void> {
  await lock.release();
  if (!keep) await rm(dir, { recursive: true });
}
