// What JetStream lets an account store. Asks; never decides what is enough.

import type { Link } from './connection.ts';

/** For streams with a number of copies. */
export interface AccountStorage {
  /** Bytes of file storage; -1 for no limit. */
  readonly maxStorage: number;
  readonly usedStorage: number;
  /** Which of the account's limits that is, `R3` for three copies; undefined where one is for all. */
  readonly tier: string | undefined;
}

/**
 * An account has either one limit for all of its streams or one for each number of copies, a tier: no tier, no stream.
 * A tier's limit is for one copy, and what is said to be used is that of all.
 */
export async function accountStorage(link: Link, replicas: number): Promise<AccountStorage> {
  const info = await link.ask(async () => await link.jsm.getAccountInfo());
  if (info.tiers === undefined)
    return { maxStorage: info.limits.max_storage, usedStorage: info.storage, tier: undefined };
  const tier = `R${replicas}` as const;
  const { limits, storage = 0 } = info.tiers[tier] ?? {};
  return { maxStorage: limits?.max_storage ?? 0, usedStorage: Math.round(storage / replicas), tier };
}
