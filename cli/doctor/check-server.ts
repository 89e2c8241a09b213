// What `logferry doctor` checks of the servers, before anything of logferry is there.

import { failure, type Finding, ok, warning } from './finding.ts';
import { judgeMaxPayload, judgeRoundTrip } from './judge-server.ts';
import type { Look } from './look.ts';

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

/** How large a message may be. */
export async function maxPayload(look: Look): Promise<Finding> {
  return judgeMaxPayload((await look.needConnection()).info?.max_payload ?? 0);
}
