// An operator, an account and its users, as nsc would make them, and a nats-server's configuration that trusts them.

import {
  encodeAccount,
  encodeOperator,
  encodeUser,
  fmtCreds,
  type JetStreamLimits,
  type JetStreamTieredLimits,
} from '@nats-io/jwt';
import { createAccount, createOperator, createUser, type KeyPair } from '@nats-io/nkeys';

/** Without limits. */
const UNLIMITED = -1;

export interface UserPermissions {
  readonly pub?: readonly string[];
  readonly sub?: readonly string[];
  /** May answer whoever asks it. */
  readonly answers?: boolean;
  /** Seconds since 1970. */
  readonly expires?: number;
}

function storage(bytes: number): Partial<JetStreamLimits> {
  return { mem_storage: UNLIMITED, disk_storage: bytes, streams: UNLIMITED, consumer: UNLIMITED };
}

function tiersOf({
  R1,
  R3,
}: {
  R1?: number;
  R3?: number;
}): NonNullable<JetStreamTieredLimits['tiered_limits']> {
  return {
    ...(R1 === undefined ? {} : { R1: storage(R1) }),
    ...(R3 === undefined ? {} : { R3: storage(R3) }),
  };
}

export class Operator {
  /** Of nats-server. */
  readonly config: string;
  readonly #account: KeyPair;

  private constructor(config: string, account: KeyPair) {
    this.config = config;
    this.#account = account;
  }

  /** @param tiers file storage for streams with so many copies, in the place of no limit for any */
  static async create(tiers?: { readonly R1?: number; readonly R3?: number }): Promise<Operator> {
    const operator = createOperator();
    const system = createAccount();
    const account = createAccount();
    const limits = {
      ...{ conn: UNLIMITED, leaf: UNLIMITED, subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED },
      ...{ imports: UNLIMITED, exports: UNLIMITED, wildcards: true },
      ...(tiers === undefined ? storage(UNLIMITED) : { tiered_limits: tiersOf(tiers) }),
    };
    const signer = { signer: operator };
    const jwts = {
      operator: await encodeOperator('test', operator, { system_account: system.getPublicKey() }),
      system: await encodeAccount('SYS', system, {}, signer),
      account: await encodeAccount('LOGS', account, { limits }, signer),
    };
    const config = `
      operator: ${jwts.operator}
      system_account: ${system.getPublicKey()}
      resolver: MEMORY
      resolver_preload: {
        ${system.getPublicKey()}: ${jwts.system}
        ${account.getPublicKey()}: ${jwts.account}
      }`;
    return new Operator(config, account);
  }

  /** The content of a credentials file. */
  async credentials(name: string, { pub, sub, answers, expires }: UserPermissions = {}): Promise<string> {
    const user = createUser();
    const permissions = {
      ...(pub === undefined ? {} : { pub: { allow: [...pub], deny: [] } }),
      ...(sub === undefined ? {} : { sub: { allow: [...sub], deny: [] } }),
      ...(answers === true ? { resp: { max: 1, ttl: 60_000_000_000 } } : {}),
    };
    const limits = { subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED };
    const valid = expires === undefined ? {} : { exp: expires };
    const jwt = await encodeUser(name, user, this.#account, { ...limits, ...permissions }, valid);
    return new TextDecoder().decode(fmtCreds(jwt, user));
  }
}
