// What `logferry doctor` checks of the servers, before anything of logferry is there.

import { type Finding, warning, failure, ok } from './finding.ts';
import type { Look } from './look.ts';
import { formatBytes } from '../../common/text/units.ts';
import type { AccountStorage } from '../../common/nats/account.ts';

/** Whether anybody listens at each address. */
export async function reachable(look: Look): Promise<Finding> {
  const { reached, failed } = await look.reach();
  const hint = 'start nats-server there, open the port, or give --server URL';
  if (reached.length === 0) return failure(`cannot reach ${failed.join(', ')}`, hint);
  if (failed.length > 0)
    return warning(`${reached.join(', ')} answers; cannot reach ${failed.join(', ')}`, hint);
  return ok(`${reached.join(', ')} ${reached.length === 1 ? 'answers' : 'answer'}`);
}

/** Whether one of them lets this user in. */
export async function login(look: Look): Promise<Finding> {
  const nc = await look.connection();
  const { user, creds, nkey, token, tlsCert } = look.plan.server;
  const by = user ?? creds ?? nkey ?? (token === undefined ? tlsCert : 'a token');
  const { tls_required: isAsked, tls_available: isOffered } = nc.info ?? {};
  const encrypted = isAsked === true || isOffered === true ? ', encrypted' : '';
  const whom = by === undefined ? 'without a login' : `as ${by}`;
  return ok(`connected to ${nc.getServer()} ${whom}${encrypted}`);
}

/** Whether nats-server is new enough. */
export async function version(look: Look): Promise<Finding> {
  return judgeVersion((await look.needConnection()).info?.version ?? '0');
}

const OLDEST = [2, 10] as const;
/** The newest that the tests ran with. */
const NEWEST = [2, 15] as const;

export function judgeVersion(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isBelow = ([a, b]: readonly [number, number]): boolean => major < a || (major === a && minor < b);
  if (isBelow(OLDEST))
    return failure(`nats-server is version ${version}`, 'logferry needs 2.10 or newer: upgrade nats-server');
  if (!isBelow([NEWEST[0], NEWEST[1] + 1]))
    return ok(`nats-server ${version}, newer than what logferry was tried with (${NEWEST.join('.')})`);
  return ok(`nats-server ${version}`);
}

/** The median of some. */
export async function roundTrip(look: Look): Promise<Finding> {
  const nc = await look.needConnection();
  const times: number[] = [];
  for (let count = 0; count < 5; count += 1) {
    const began = performance.now();
    await nc.flush();
    times.push(performance.now() - began);
  }
  return judgeRoundTrip(times.toSorted((a, b) => a - b)[2] ?? 0);
}

/** From here on each commit and each chunk of a quiet file waits noticeably. */
const SLOW_MS = 250;

export function judgeRoundTrip(ms: number): Finding {
  const says = `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms there and back`;
  return ms > SLOW_MS
    ? warning(
        says,
        'every chunk of a file waits for one: a nats-server nearby (a leaf node) would answer sooner',
      )
    : ok(says);
}

/** How large a message may be. */
export async function maxPayload(look: Look): Promise<Finding> {
  return judgeMaxPayload((await look.needConnection()).info?.max_payload ?? 0);
}

/** Chunks are 1 MiB of source; smaller messages are more of them. */
export const GOOD_PAYLOAD = 1024 * 1024;
/** What a status and a record without its archives take. */
const LEAST_PAYLOAD = 64 * 1024;

export function judgeMaxPayload(bytes: number): Finding {
  const says = `messages up to ${formatBytes(bytes)}`;
  const raise = 'raise max_payload of nats-server to 1MB';
  if (bytes < LEAST_PAYLOAD) return failure(says, `records do not fit: ${raise}`);
  return bytes < GOOD_PAYLOAD
    ? warning(says, `chunks are smaller than they could be, and large records may not fit: ${raise}`)
    : ok(says);
}

/** What the account may store. */
export async function jetstream(look: Look): Promise<Finding> {
  return judgeAccount(await look.account());
}

export function judgeAccount({ maxStorage, usedStorage, tier }: AccountStorage): Finding {
  const where = tier === undefined ? '' : ` of tier ${tier}`;
  if (maxStorage < 0) return ok(`JetStream is enabled, ${formatBytes(usedStorage)}${where} used, no limit`);
  if (maxStorage === 0)
    return warning(
      `JetStream is enabled, but this account has no file storage${where}`,
      tier === undefined
        ? 'give it some'
        : 'give it some, or have a stream with as many copies as a tier of it: logferry setup --replicas N',
    );
  const says = `JetStream is enabled, ${formatBytes(usedStorage)} of ${formatBytes(maxStorage)}${where} used`;
  return usedStorage > 0.9 * maxStorage
    ? warning(says, "give the account or the server's store (max_file_store) more room")
    : ok(says);
}
