// How the player writes, rotates, copies and compresses files. Only passes on: the simulation (test/model/tailing) has another
// in its place.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export {
  appendFileSync,
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
export { copyFile } from 'node:fs/promises';

/** As logrotate has it done: the compressed file has the time of the original, which goes. */
export async function gzip(file: string): Promise<void> {
  await promisify(execFile)('gzip', ['-f', file]);
}

/** Without the time of the original, which stays. */
export async function gzipTo(file: string, to: string): Promise<void> {
  await promisify(execFile)('sh', ['-c', 'gzip -n -c "$0" > "$1"', file, to]);
}
