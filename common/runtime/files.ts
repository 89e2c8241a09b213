// Durable things on a local disk: whole files, directories, and the lock that proves that a predecessor is dead.

import { constants } from 'node:fs';
import {
  chmod,
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  stat,
  unlink,
} from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import path from 'node:path';

import { isDiskFull, LogferryError, messageOf, systemCode } from './errors.ts';
import { sleep } from './run.ts';

const NEWLINE = 10;

/** Makes a directory's entries durable: a rename or a new file counts only after this. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Replaces a whole file: temporary file, fsync, rename, fsync of the directory. Mode 0600: it is state. */
export async function writeFileDurably(
  file: string,
  data: string | Uint8Array | Iterable<string>,
): Promise<void> {
  await rename(await writeBeside(file, data), file);
  await syncDirectory(path.dirname(file));
}

/** The first half: what is to replace a file, durable under another name, which is returned. An error leaves nothing. */
export async function writeBeside(
  file: string,
  data: string | Uint8Array | Iterable<string>,
): Promise<string> {
  const temporary = `${file}.tmp`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(data);
    await handle.sync();
  } catch (error) {
    await unlinkIfThere(temporary);
    throw error;
  } finally {
    await handle.close();
  }
  return temporary;
}

/** The file's text, undefined when it is not there. */
export async function readIfThere(file: string): Promise<string | undefined> {
  return await readFile(file, 'utf8').catch(tolerateMissing);
}

/**
 * The whole lines of a file of any size, without their ends, read in pieces; none where it is not there. What stands behind
 * the last end is no line.
 */
export async function* wholeLines(file: string): AsyncGenerator<Buffer> {
  const handle = await open(file).catch(tolerateMissing);
  if (handle === undefined) return;
  let rest: Buffer[] = [];
  for await (const piece of handle.createReadStream() as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = piece.indexOf(NEWLINE); end >= 0; end = piece.indexOf(NEWLINE, from)) {
      yield Buffer.concat([...rest, piece.subarray(from, end)]);
      [rest, from] = [[], end + 1];
    }
    rest.push(piece.subarray(from));
  }
}

/** For `catch`: what is not there is undefined, anything else is thrown. */
export function tolerateMissing(error: unknown): undefined {
  if (systemCode(error) !== 'ENOENT') throw error;
}

/**
 * The names in a directory; none where there is no such directory.
 *
 * @param tolerated codes of errors that count as that
 * @param list reads a directory: of log files through their port
 */
export async function namesIn(
  directory: string,
  tolerated: readonly string[] = ['ENOENT', 'ENOTDIR'],
  list: (directory: string) => Promise<string[]> = readdir,
): Promise<string[]> {
  try {
    return await list(directory);
  } catch (error) {
    if (tolerated.includes(systemCode(error) ?? '')) return [];
    throw error;
  }
}

/** Moves a file that does not parse out of the way, so that nothing of it is lost. Returns its new name. */
export async function setAside(file: string): Promise<string> {
  const aside = `${file}.corrupt-${new Date().toISOString().replaceAll(':', '')}`;
  await rename(file, aside);
  await syncDirectory(path.dirname(file));
  return aside;
}

/** Creates a directory (0700) where missing, or throws one clear line. */
export async function ensureDirectory(directory: string, what: string): Promise<void> {
  await workIn(directory, what, async () => {
    await makeDirectory(path.resolve(directory));
    await (await open(directory, constants.O_RDONLY | constants.O_DIRECTORY)).close();
  });
}

/** Not by mkdir's own recursion: below /proc that never ends (Node 24.21). */
async function makeDirectory(directory: string, parentIsThere = false): Promise<void> {
  try {
    await mkdir(directory, 0o700);
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return;
    if (systemCode(error) !== 'ENOENT' || parentIsThere) throw error;
    await makeDirectory(path.dirname(directory));
    await makeDirectory(directory, true);
  }
}

/** Does the work in a directory that the user gave by the flag `what`; the system's errors there become one clear line. */
export async function workIn<T>(directory: string, what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof LogferryError || systemCode(error) === undefined) throw error;
    const remedy = isDiskFull(error) ? 'make room there' : 'make it writable for this user';
    const hint = `give another ${what}, or ${remedy}`;
    throw new LogferryError('failed', `cannot use ${directory}: ${messageOf(error)}`, hint, { cause: error });
  }
}

/** Reads until `length` bytes are there or the file ends; returns how many. */
export async function readFully(
  handle: FileHandle,
  buffer: Uint8Array,
  position: number,
  length: number = buffer.length,
): Promise<number> {
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(buffer, done, length - done, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/** Held for as long as the process lives; the kernel lets it go with the process. */
export interface Lock {
  release(): Promise<void>;
}

/** Unix socket paths end at about 100 bytes. */
const MAX_SOCKET_PATH = 100;

/** Long enough for a rival that saw the same dead socket to have bound its own. */
const SETTLE_MS = 30;

/**
 * Takes the lock of a directory: a Unix socket that only a living holder answers (Node has no flock).
 * Throws `busy` when a live process has it.
 */
export async function lockDirectory(directory: string, name: string): Promise<Lock> {
  const socket = path.join(directory, name);
  const handle = await open(directory, 'r');
  const address = socket.length <= MAX_SOCKET_PATH ? socket : `/proc/self/fd/${handle.fd}/${name}`;
  try {
    for (let tries = 0; tries < 10; tries += 1) {
      const server = await tryListen(address);
      if (server !== undefined) {
        const mine = await ownersAlone(socket);
        await sleep(SETTLE_MS);
        if (mine !== undefined && (await inodeAt(socket)) === mine)
          return {
            release: async () => {
              await new Promise((resolve) => server.close(resolve));
              await handle.close();
            },
          };
        server.close();
      } else if (await answers(address))
        throw new LogferryError(
          'busy',
          `${directory} is used by another running logferry`,
          'stop that one, or give another directory',
        );
      else await unlinkIfThere(socket);
    }
    throw new LogferryError('busy', `${directory}: others keep taking the lock`, 'try again');
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Node makes a socket as the umask says. Returns its inode; undefined when a rival has removed it. */
async function ownersAlone(socket: string): Promise<number | undefined> {
  await chmod(socket, 0o600).catch(tolerateMissing);
  return await inodeAt(socket);
}

async function inodeAt(file: string): Promise<number | undefined> {
  return (await stat(file).catch(tolerateMissing))?.ino;
}

/** Deletes a file; it may be gone already. */
export async function unlinkIfThere(file: string): Promise<void> {
  await unlink(file).catch(tolerateMissing);
}

async function tryListen(address: string): Promise<Server | undefined> {
  const server = createServer((connection) => connection.destroy());
  server.unref();
  return await new Promise((resolve, reject) => {
    server.once('error', (error) => {
      if (systemCode(error) === 'EADDRINUSE') resolve(undefined);
      else reject(error);
    });
    server.listen(address, () => {
      resolve(server);
    });
  });
}

async function answers(address: string): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    const connection = connect(address, () => {
      connection.destroy();
      resolve(true);
    });
    connection.once('error', (error) => {
      const code = systemCode(error);
      if (code === 'ECONNREFUSED' || code === 'ENOENT') resolve(false);
      else if (code === 'EAGAIN') resolve(true);
      else reject(error);
    });
  });
}

/** Somebody deleted a file that is open here: what is written to it nobody finds again. */
export function deleted(file: string): LogferryError {
  return new LogferryError(
    'failed',
    `${file} was deleted while it was written to`,
    'nothing of it counts; when the whole directory is gone, stop this receiver and start it with a new one',
  );
}
