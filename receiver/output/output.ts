// One receiver's output directory: its identity, its lock, its ledgers.

import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import path from 'node:path';

import { z } from 'zod';

import { LogferryError, messageOf } from '../../common/runtime/errors.ts';
import {
  ensureDirectory,
  lockDirectory,
  type Lock,
  readIfThere,
  setAside,
  wholeLines,
  workIn,
  writeFileDurably,
} from '../../common/runtime/files.ts';
import type { Logger } from '../../common/runtime/log.ts';
import { finishCopies } from '../upkeep/compress.ts';
import { LedgerFile, ledgerPath, ledgersIn } from '../ledger/ledger-file.ts';
import { STATE_DIRECTORY } from '../ledger/names.ts';
import { isOfOthers, regroupLedgers } from '../repartition/regroup.ts';
import { finishRegrouping, regroupOnDisk } from '../repartition/regroup-files.ts';
import { dropUnlisted, Listing } from '../disk/segments.ts';
import { parseAs, parseJson, refuseNewer } from '../../common/runtime/json.ts';

const IDENTITY_VERSION = 1;

const schema = z.object({
  version: z.literal(IDENTITY_VERSION),
  directory: z.string().min(1),
  id: z.string().min(1),
});

export interface Output {
  readonly out: string;
  /** Names the directory for ever: terms begin with it. */
  readonly directory: string;
  /** The receiver's name among the members. */
  readonly id: string;
  readonly lock: Lock;
  readonly ledgers: Map<number, LedgerFile>;
  /** Ledgers that are being opened: two openings would overwrite each other's lines. */
  readonly opening: Map<number, Promise<LedgerFile>>;
}

/** Opens (or creates) an output directory. Throws `failed` when it is not writable, `busy` when another has it. */
export async function openOutput(out: string, wantedId: string | undefined, log: Logger): Promise<Output> {
  const state = path.join(out, STATE_DIRECTORY);
  await ensureDirectory(out, '--out');
  await ensureDirectory(state, '--out');
  return await workIn(out, '--out', async () => await openLocked(out, state, wantedId, log));
}

async function openLocked(
  out: string,
  state: string,
  wantedId: string | undefined,
  log: Logger,
): Promise<Output> {
  const lock = await lockDirectory(state, 'lock');
  try {
    const { directory, id } = await identity(state, wantedId, log);
    return { out, directory, id, lock, ledgers: new Map(), opening: new Map() };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function identity(
  state: string,
  wantedId: string | undefined,
  log: Logger,
): Promise<{ directory: string; id: string }> {
  const file = path.join(state, 'directory.json');
  const kept = await loadIdentity(file, log);
  const directory = kept?.directory ?? (await directoryInLedgers(state)) ?? randomBytes(4).toString('hex');
  const id = wantedId ?? kept?.id ?? `${hostname()}-${randomBytes(2).toString('hex')}`;
  if (directory !== kept?.directory || id !== kept.id)
    await writeFileDurably(file, `${JSON.stringify({ version: IDENTITY_VERSION, directory, id })}\n`);
  return { directory, id };
}

async function loadIdentity(
  file: string,
  log: Logger,
): Promise<{ directory: string; id: string } | undefined> {
  const text = await readIfThere(file);
  if (text === undefined) return undefined;
  try {
    const value = parseJson(text);
    refuseNewer(value, IDENTITY_VERSION, file);
    return parseAs(schema, value);
  } catch (error) {
    if (error instanceof LogferryError && error.code === 'newer') throw error;
    const aside = await setAside(file);
    log.error({ file: aside }, `${file} does not parse (${messageOf(error)}); set aside, rebuilt`);
    return undefined;
  }
}

/** The identity that the ledgers beside it were written under: their terms begin with it. */
async function directoryInLedgers(state: string): Promise<string | undefined> {
  const out = path.dirname(state);
  for (const partition of await ledgersIn(out)) {
    for await (const first of wholeLines(ledgerPath(out, partition))) {
      const match = /"directory":"([0-9a-f]+)"/.exec(first.toString());
      if (match?.[1] !== undefined) return match[1];
      break;
    }
  }
  return undefined;
}

/** The ledger of a partition, opened once. */
export async function ledgerOf(output: Output, partition: number, log: Logger): Promise<LedgerFile> {
  const known = output.ledgers.get(partition);
  if (known !== undefined) return known;
  const opening =
    output.opening.get(partition) ?? LedgerFile.open(output.out, output.directory, partition, log);
  output.opening.set(partition, opening);
  try {
    const file = await opening;
    output.ledgers.set(partition, file);
    return file;
  } finally {
    output.opening.delete(partition);
  }
}

/**
 * Opens every ledger in the directory and cuts what none lists. Ledgers of another number of partitions become those
 * of this one. Only under the receiver's name: on a volume that several machines share, the lock says nothing of the
 * others.
 */
export async function recoverOutput(output: Output, partitions: number, log: Logger): Promise<void> {
  const { out } = output;
  await workIn(out, '--out', async () => {
    await finishRegrouping(out);
    await openLedgers(output, log);
    await finishCopies(out, output.ledgers.values());
    const listing = new Listing(out);
    for (const file of output.ledgers.values())
      for (const destination of [...file.ledger.opened])
        await dropUnlisted(out, file, destination, log, listing);
    const ledgers = [...output.ledgers.values()].map(({ ledger }) => ledger);
    if (!ledgers.some((ledger) => isOfOthers(ledger, partitions))) return;
    await closeLedgers(output);
    await regroupOnDisk(out, regroupLedgers(ledgers, partitions));
    await openLedgers(output, log);
    log.info({ out, partitions }, `the ledgers in ${out} were cut anew for ${partitions} partitions`);
  });
}

async function openLedgers(output: Output, log: Logger): Promise<void> {
  for (const partition of await ledgersIn(output.out)) await ledgerOf(output, partition, log);
}

/** Whoever has the name next may change them. */
export async function closeLedgers(output: Output): Promise<void> {
  for (const file of output.ledgers.values()) await file.close();
  output.ledgers.clear();
}

export async function closeOutput(output: Output): Promise<void> {
  await closeLedgers(output);
  await output.lock.release();
}
