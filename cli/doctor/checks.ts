// Everything that `logferry doctor` checks, in the order in which it is said. Each check looks at a thing (look*.ts)
// and lets another file judge it (judge-*.ts).

import { configuration, descriptors, directory, files, inotify, memory, space } from './check-machine.ts';
import { login, maxPayload, reachable, roundTrip } from './check-server.ts';
import {
  buckets,
  clock,
  factsOf,
  fleetOf,
  limits,
  mayReceive,
  mayShip,
  replicas,
  stream,
} from './check-stream.ts';
import type { Finding } from './finding.ts';
import { judgeNode } from './judge-machine.ts';
import { judgeAccount, judgeFleet, judgeFullness, judgeVersion } from './judge-server.ts';
import type { Look } from './look.ts';

export interface Check {
  readonly name: string;
  /** Undefined where there is nothing of the kind. Throws Missing where something else has to be there first. */
  readonly run: (look: Look) => Promise<Finding | undefined>;
}

export const CHECKS: readonly Check[] = [
  // This machine.
  { name: 'node', run: async () => await Promise.resolve(judgeNode(process.versions.node)) },
  { name: 'memory', run: memory },
  { name: 'configuration', run: configuration },
  { name: 'files', run: files },
  { name: 'state', run: async ({ plan }) => await directory('--state', plan.shipper?.state, 'lock') },
  { name: 'state space', run: async ({ plan }) => await space('--state', plan.shipper?.state) },
  { name: 'out', run: async ({ plan }) => await directory('--out', plan.receiver?.out, '.logferry/lock') },
  { name: 'out space', run: async ({ plan }) => await space('--out', plan.receiver?.out) },
  { name: 'inotify', run: inotify },
  { name: 'descriptors', run: descriptors },
  // The server.
  { name: 'reachable', run: reachable },
  { name: 'login', run: login },
  { name: 'version', run: async (look) => judgeVersion((await look.needConnection()).info?.version ?? '0') },
  { name: 'round trip', run: roundTrip },
  { name: 'max payload', run: maxPayload },
  { name: 'jetstream', run: async (look) => judgeAccount(await look.account()) },
  // The stream, and who uses it.
  { name: 'stream', run: stream },
  { name: 'clock', run: clock },
  { name: 'replicas', run: replicas },
  { name: 'limits', run: limits },
  { name: 'fullness', run: async (look) => judgeFullness(await factsOf(look)) },
  { name: 'buckets', run: buckets },
  { name: 'may ship', run: mayShip },
  { name: 'may receive', run: mayReceive },
  { name: 'fleet', run: async (look) => judgeFleet(await fleetOf(look)) },
];
