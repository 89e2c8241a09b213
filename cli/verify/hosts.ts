// All generations that are to be verified, host by host: asks who holds what, verifies each, and looks again for what
// nobody seems to have. Never says anything but through what it is given.

import { bytesOf } from '../../common/wire/ranges.ts';
import { inParallel, sleep } from '../../common/runtime/run.ts';
import type { HeldFile } from '../../common/fleet/verify.ts';
import { NoAnswer } from './daemons.ts';
import { GenerationCheck, type Held } from './generation.ts';
import type { Holder, SourceSide, Wanted } from './sides.ts';
import type { Verified } from './verified.ts';

export interface Plan {
  readonly wanted: readonly Wanted[];
  /** Undefined: only the ledgers' checksums count. */
  readonly sources: SourceSide | undefined;
  readonly holders: readonly Holder[];
  /** Receivers that are registered and do not answer, by the id of their directory. */
  readonly silent: ReadonlyMap<string, string>;
  readonly onBytes: (bytes: number) => void;
  readonly onVerified: (verified: Verified) => void;
}

/** While one waits for a shipper, the receivers work for another. */
const HOSTS_AT_ONCE = 4;
/** Bytes may have moved from one receiver to another between two lists. */
const AGAIN_MS = 500;

/** Ends early, without an error, when the signal fires. */
export async function verifyHosts(plan: Plan, signal: AbortSignal): Promise<void> {
  const byHost = Map.groupBy(plan.wanted, ({ host }) => host);
  await inParallel(byHost, HOSTS_AT_ONCE, async ([host, wanted]) => {
    await verifyHost(plan, host, wanted, signal);
  });
}

async function verifyHost(
  plan: Plan,
  host: string,
  wanted: readonly Wanted[],
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return;
  const away = new Map<string, string>();
  const lists = await listAll(plan.holders, host, away);
  const whyAway = (directory: string): string | undefined => {
    const known = away.get(directory);
    if (known !== undefined) return known;
    if (plan.holders.some((holder) => holder.directory === directory)) return undefined;
    const name = plan.silent.get(directory);
    return name === undefined
      ? `the receiver with the directory ${directory} does not answer`
      : `receiver ${name} does not answer`;
  };
  for (const one of wanted) {
    if (signal.aborted) return;
    const check = new GenerationCheck(one, plan.sources, plan.onBytes);
    await check.verify(heldBy(lists, one));
    if (bytesOf(check.missing) > 0) {
      await sleep(AGAIN_MS, signal);
      await check.verify(heldBy(await listAll(plan.holders, host, away), one));
    }
    if (!signal.aborted) plan.onVerified(check.result(whyAway));
  }
}

type Lists = readonly { readonly holder: Holder; readonly files: ReadonlyMap<string, HeldFile> }[];

/** @param away gets why a holder does not answer, by its directory */
async function listAll(holders: readonly Holder[], host: string, away: Map<string, string>): Promise<Lists> {
  return await Promise.all(
    holders.map(async (holder) => {
      try {
        const files = await holder.files(host);
        return { holder, files: new Map(files.map((one) => [one.file, one])) };
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        if (holder.directory !== undefined) away.set(holder.directory, error.message);
        return { holder, files: new Map<string, HeldFile>() };
      }
    }),
  );
}

function heldBy(lists: Lists, { file: id }: Wanted): Held[] {
  return lists.flatMap(({ holder, files }) => {
    const file = files.get(id);
    return file === undefined ? [] : [{ holder, file }];
  });
}
