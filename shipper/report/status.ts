// What a shipper says of all its files in an answer of bounded length: sums, and those that are worst. Pure. Tens of
// thousands are added up within milliseconds: nothing is made for a file but for the few that are worst.

import {
  type FileStatus,
  MAX_STATUS_BYTES,
  MAX_WORST_FILES,
  type ShipperStatus,
} from '../../common/fleet/daemon-status.ts';
import type { ShipperCounts } from './counts.ts';
import type { FileProgress } from './reading.ts';

/** Room for everything but the files. */
const REST_BYTES = 4_096;
const MAX_ERROR_LENGTH = 300;

/** Of a file that nobody could look into. */
const NOTHING = { file: '', size: 0, published: 0, committed: 0, lagBytes: 0, lagMs: 0 };

type Sums = Omit<ShipperStatus, 'started' | 'files' | 'lostBytes' | 'untold' | 'held'>;

export class FileSums {
  #size = 0;
  #published = 0;
  #committed = 0;
  #lagBytes = 0;
  #lagMs = 0;
  #errors = 0;
  #errorLagBytes = 0;
  #unreadable = 0;
  /** In order, the worst first. */
  readonly #worst: FileProgress[] = [];

  /**
   * Adds one generation of a file, in bytes and milliseconds.
   *
   * @param one asked what is said of it, where it is among the worst
   */
  add(
    size: number,
    published: number,
    committed: number,
    lagMs: number,
    hasError: boolean,
    one: { progress(): FileProgress },
  ): void {
    const lagBytes = Math.max(0, size - committed);
    this.#size += size;
    this.#published += published;
    this.#committed += committed;
    this.#lagBytes += lagBytes;
    if (lagMs > this.#lagMs) this.#lagMs = lagMs;
    if (hasError) {
      this.#errors += 1;
      this.#errorLagBytes += lagBytes;
    }
    const last = this.#worst[MAX_WORST_FILES - 1];
    if (last === undefined || isWorse(hasError, lagBytes, lagMs, last)) this.#keep(one.progress());
  }

  /** A file that cannot be opened, which no generation of it says. */
  addUnreadable(path: string, error: string): void {
    this.#errors += 1;
    this.#unreadable += 1;
    this.#keep({ ...NOTHING, path, error });
  }

  #keep(one: FileProgress): void {
    const { error, lagBytes, lagMs } = one;
    let at = this.#worst.length;
    for (let above = this.#worst[at - 1]; above !== undefined; above = this.#worst[at - 1]) {
      if (!isWorse(error !== undefined, lagBytes, lagMs, above)) break;
      at -= 1;
    }
    this.#worst.splice(at, 0, one);
    if (this.#worst.length > MAX_WORST_FILES) this.#worst.pop();
  }

  get sums(): Sums {
    return {
      sizeBytes: this.#size,
      publishedBytes: this.#published,
      committedBytes: this.#committed,
      lagBytes: this.#lagBytes,
      lagMs: Math.round(this.#lagMs),
      errors: this.#errors,
      errorLagBytes: this.#errorLagBytes,
      unreadable: this.#unreadable,
      worst: thatFit(this.#worst),
    };
  }
}

/** What it has lost, and what it could not tell, since it started. */
export function lossesOf(counts: ShipperCounts): Pick<ShipperStatus, 'lostBytes' | 'untold'> {
  const { lostBytes, untold: times, lastUntold: last } = counts;
  return { lostBytes, untold: last === undefined ? null : { times, last: last.slice(0, MAX_ERROR_LENGTH) } };
}

/** First what has an error, then what is furthest behind. */
function isWorse(hasError: boolean, lagBytes: number, lagMs: number, than: FileProgress): boolean {
  if (hasError !== (than.error !== undefined)) return hasError;
  return lagBytes === than.lagBytes ? lagMs > than.lagMs : lagBytes > than.lagBytes;
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
