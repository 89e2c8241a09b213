// The upkeep of segments beside receiving: every so often one pass over the output directory compresses what is
// finished and removes what retention no longer keeps. A failure is said, and never stops receiving.

import path from 'node:path';

import { isDiskFull, messageOf, systemCode } from '../../common/runtime/errors.ts';
import type { Logger } from '../../common/runtime/log.ts';
import type { PartitionRecord } from '../../common/record/record.ts';
import { type Bell, sleep } from '../../common/runtime/run.ts';
import { formatBytes } from '../../common/text/units.ts';
import { compressSegment, finishCopies } from './compress.ts';
import { activesOf, encodingOf, hasFrames, listedBytes, staysWhole } from '../ledger/ledger.ts';
import type { LedgerFile } from '../ledger/ledger-file.ts';
import type { Encoding } from '../ledger/names.ts';
import { type Limits, type Stored, toRemove } from './retention.ts';
import { dropSegment, Listing, type Segment } from '../disk/segments.ts';

export interface UpkeepOptions {
  readonly compress: Encoding | undefined;
  readonly keep: Limits;
}

export interface UpkeepContext extends UpkeepOptions {
  readonly out: string;
  readonly ledgers: ReadonlyMap<number, LedgerFile>;
  /** The record of a partition as it is now; without it, all that is listed counts as announced. */
  readonly recordOf?: ((partition: number) => Promise<PartitionRecord | undefined>) | undefined;
  readonly log: Logger;
}

/** One file on disk of a destination that a ledger lists. */
interface Found extends Stored {
  readonly file: LedgerFile;
  readonly segment: Segment;
  /** It was written as frames, or has been compressed. */
  readonly isCompressed: boolean;
}

const EVERY_MS = 60_000;
/** What was written before a rotation is committed within a second. */
const SETTLE_MS = 1_500;

/** Whether there is anything to do at all. */
function hasUpkeep({ compress, keep }: UpkeepOptions): boolean {
  return compress !== undefined || Object.values(keep).some((limit) => limit !== undefined);
}

/** Passes until the signal fires: after each rotation or change of the options, which ring the bell, and each minute. */
export async function keepUp(context: UpkeepContext, bell: Bell, signal: AbortSignal): Promise<void> {
  const complaints = new Complaints(context.log);
  let lookAgainMs = SETTLE_MS;
  while (!signal.aborted) {
    bell.clear();
    const isSettled = await passOnce(context, signal, complaints);
    lookAgainMs = isSettled ? SETTLE_MS : Math.min(lookAgainMs * 2, EVERY_MS);
    await bell.wait(isSettled ? EVERY_MS : lookAgainMs, signal);
    await sleep(SETTLE_MS, signal);
  }
}

/**
 * One pass: what is too old or too many goes, the rest is compressed, and then what is still too large goes: bytes
 * that compression saves need not be removed. False when a segment waits for its last bytes to be committed.
 */
export async function passOnce(
  context: UpkeepContext,
  signal: AbortSignal,
  complaints = new Complaints(context.log),
): Promise<boolean> {
  if (!hasUpkeep(context)) return true;
  complaints.begin();
  const { out, ledgers, keep, compress } = context;
  await complaints.about('finish compressing', async () => {
    await finishCopies(out, ledgers.values());
  });
  await removeBeyond(context, { ageMs: keep.ageMs, count: keep.count }, signal, complaints);
  if (compress !== undefined) await compressAll(context, compress, signal, complaints);
  const found = await removeBeyond(context, keep, signal, complaints);
  complaints.end();
  return found.every(({ finished, segment }) => finished || segment.active);
}

async function removeBeyond(
  context: UpkeepContext,
  limits: Limits,
  signal: AbortSignal,
  complaints: Complaints,
): Promise<Found[]> {
  const { out, log } = context;
  let found: Found[] = [];
  await complaints.about('look at the segments', async () => {
    found = await findAll(context, signal);
  });
  for (const { file, destination, segment } of toRemove(found, limits, Date.now())) {
    if (signal.aborted) break;
    const where = path.join(out, segment.name);
    await complaints.about(`remove ${where}`, async () => {
      if (await dropSegment(out, file, destination, segment))
        log.info({ file: where, bytes: segment.size }, `removed ${where}: retention no longer keeps it`);
    });
  }
  return found;
}

async function compressAll(
  context: UpkeepContext,
  encoding: Encoding,
  signal: AbortSignal,
  complaints: Complaints,
): Promise<void> {
  const { out, log } = context;
  let found: Found[] = [];
  await complaints.about('look at the segments', async () => {
    found = await findAll(context, signal);
  });
  const stays = settledBy(context);
  for (const { file, destination, segment, finished, isCompressed } of found) {
    if (signal.aborted || complaints.isFull) break;
    if (!finished || isCompressed) continue;
    // A compressed file cannot be cut, and what was not announced may have to be.
    let settled = false;
    await complaints.about('read the records', async () => {
      settled = await stays(file, destination, segment.inode);
    });
    if (!settled) continue;
    const where = path.join(out, segment.name);
    await complaints.about(`compress ${where}`, async () => {
      const copy = await compressSegment({ out, file, destination, segment, encoding }, signal);
      if (copy === undefined) return;
      const sizes = `${formatBytes(segment.size)} are ${formatBytes(copy.size)} now`;
      log.debug({ file: copy.place, from: segment.size, to: copy.size }, `compressed ${where}: ${sizes}`);
    });
  }
}

/** Whether a file on disk will never be cut; each record is read once. */
function settledBy({ recordOf }: UpkeepContext) {
  const records = new Map<number, Promise<PartitionRecord | undefined>>();
  return async ({ ledger }: LedgerFile, destination: string, inode: string): Promise<boolean> => {
    if (recordOf === undefined) return true;
    const reading = records.get(ledger.partition) ?? recordOf(ledger.partition);
    records.set(ledger.partition, reading);
    const record = await reading;
    return record !== undefined && staysWhole(ledger, record, destination, inode);
  };
}

/** Every file on disk that a ledger of this directory lists, those of a destination oldest first. */
async function findAll({ out, ledgers }: UpkeepContext, signal: AbortSignal): Promise<Found[]> {
  const listing = new Listing(out);
  const found: Found[] = [];
  for (const file of ledgers.values())
    for (const destination of [...file.ledger.destinations.keys()]) {
      if (signal.aborted) return [];
      for (const segment of await listing.segmentsOf(destination, activesOf(file.ledger, destination)))
        found.push(foundAs(file, destination, segment));
    }
  return found;
}

/** A file is finished when every byte of it is listed: nothing is written to it, and nothing will cut it back. */
function foundAs(file: LedgerFile, destination: string, segment: Segment): Found {
  const listed = listedBytes(file.ledger, destination, segment.inode);
  const encoding = encodingOf(file.ledger, destination, segment.inode);
  const whole = listed > 0 && (encoding !== undefined || listed === segment.size);
  const { size, writtenMs } = segment;
  const isCompressed = encoding !== undefined || hasFrames(file.ledger, destination, segment.inode);
  return { file, destination, segment, size, writtenMs, isCompressed, finished: whole && !segment.active };
}

/** Says what failed once for each cause, and again only when a pass without it has come in between. */
export class Complaints {
  readonly #log: Logger;
  #before = new Set<string>();
  #now = new Set<string>();
  /** The disk is full: no copy will fit either. */
  isFull = false;

  constructor(log: Logger) {
    this.#log = log;
  }

  begin(): void {
    this.#now = new Set();
    this.isFull = false;
  }

  end(): void {
    this.#before = this.#now;
  }

  /** Runs the work; a failure is a warning, since a later pass does the same again. */
  async about(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const code = systemCode(error);
      const cause = code ?? messageOf(error);
      if (isDiskFull(error)) this.isFull = true;
      if (!this.#before.has(cause) && !this.#now.has(cause))
        this.#log.warn(`cannot ${what} (${messageOf(error)}); trying again each minute`);
      this.#now.add(cause);
    }
  }
}
