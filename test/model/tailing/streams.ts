// In place of node:zlib where a shipper unpacks: the same, and time stands still while a thread has work.

import { finished } from 'node:stream';
import {
  createGunzip as gunzip,
  createZstdDecompress as zstd,
  type Gunzip,
  type ZstdDecompress,
} from 'node:zlib';

import { clock } from './clock.ts';

export type { Gunzip, ZstdDecompress } from 'node:zlib';

function counted<T extends Gunzip | ZstdDecompress>(stream: T): T {
  finished(stream, clock.threads(stream).done);
  return stream;
}

export const createGunzip = (options: Parameters<typeof gunzip>[0]): Gunzip => counted(gunzip(options));
export const createZstdDecompress = (options: Parameters<typeof zstd>[0]): ZstdDecompress =>
  counted(zstd(options));
