// What a shipper says of all its files in an answer of bounded length: sums, and those that are worst. Pure.

import {
  type FileStatus,
  MAX_STATUS_BYTES,
  MAX_WORST_FILES,
  type ShipperStatus,
} from '../common/daemon-status.ts';
import type { FileProgress } from './options.ts';

/** Room for everything but the files. */
const REST_BYTES = 4_096;
const MAX_ERROR_LENGTH = 300;

type Sums = Omit<ShipperStatus, 'started' | 'files' | 'lostBytes' | 'held'>;

/** One pass, however many generations there are. */
export function sumUp(each: Iterable<FileProgress>): Sums {
  const sums = { sizeBytes: 0, publishedBytes: 0, committedBytes: 0, lagBytes: 0, lagMs: 0 };
  let errors = 0;
  let errorLagBytes = 0;
  const worst: FileProgress[] = [];
  for (const one of each) {
    sums.sizeBytes += one.size;
    sums.publishedBytes += one.published;
    sums.committedBytes += one.committed;
    sums.lagBytes += one.lagBytes;
    if (one.lagMs > sums.lagMs) sums.lagMs = one.lagMs;
    if (one.error !== undefined) {
      errors += 1;
      errorLagBytes += one.lagBytes;
    }
    const last = worst.at(-1);
    if (worst.length < MAX_WORST_FILES || (last !== undefined && byNeed(one, last) < 0)) {
      worst.push(one);
      worst.sort(byNeed);
      if (worst.length > MAX_WORST_FILES) worst.pop();
    }
  }
  return { ...sums, lagMs: Math.round(sums.lagMs), errors, errorLagBytes, worst: thatFit(worst) };
}

/** First what has an error, then what is furthest behind. */
function byNeed(a: FileProgress, b: FileProgress): number {
  return (
    Number(b.error !== undefined) - Number(a.error !== undefined) ||
    b.lagBytes - a.lagBytes ||
    b.lagMs - a.lagMs
  );
}

/** Paths may be long: those that there is room for. */
function thatFit(worst: readonly FileProgress[]): FileStatus[] {
  const files: FileStatus[] = [];
  let room = MAX_STATUS_BYTES - REST_BYTES;
  for (const one of worst) {
    const file = statusOf(one);
    room -= Buffer.byteLength(JSON.stringify(file)) + 1;
    if (room < 0) break;
    files.push(file);
  }
  return files;
}

function statusOf({
  path,
  file,
  size,
  published,
  committed,
  lagBytes,
  lagMs,
  error,
}: FileProgress): FileStatus {
  return {
    path,
    file,
    sizeBytes: size,
    publishedBytes: published,
    committedBytes: committed,
    lagBytes,
    lagMs: Math.round(lagMs),
    error: error?.slice(0, MAX_ERROR_LENGTH) ?? null,
  };
}
