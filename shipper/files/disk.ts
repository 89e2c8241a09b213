// The port to the file systems that log files are on: all that a shipper asks of them goes through here, so that the same
// code runs over simulated ones (test/model/tailing). Only passes on, and knows no rule.

export { constants, fstatSync, lstatSync, readlinkSync, readSync, statSync } from 'node:fs';
export type { BigIntStats } from 'node:fs';
export {
  chmod,
  glob,
  lstat,
  open,
  opendir,
  readdir,
  readlink,
  realpath,
  stat,
  statfs,
  unlink,
} from 'node:fs/promises';
export type { FileHandle } from 'node:fs/promises';
