// Everything that `logferry doctor` checks, in the order in which it is said. Each check is in a file of its topic: what it
// looks at, and what it thinks of that.

import { clock } from './clock.ts';
import { descriptors } from './descriptors.ts';
import { directory, space } from './directories.ts';
import { files } from './files.ts';
import type { Finding } from './finding.ts';
import { fleet } from './fleet.ts';
import { inotify } from './inotify.ts';
import type { Look } from './look.ts';
import { configuration, memory, node } from './machine.ts';
import { mayReceive, mayShip } from './permissions.ts';
import { jetstream, login, maxPayload, reachable, roundTrip, version } from './server.ts';
import { buckets, fullness, limits, replicas, stream } from './stream.ts';

export interface Check {
  readonly name: string;
  /** Undefined where there is nothing of the kind. Throws Missing where something else has to be there first. */
  readonly run: (look: Look) => Promise<Finding | undefined>;
}

export const CHECKS: readonly Check[] = [
  // This machine.
  { name: 'node', run: node },
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
  { name: 'version', run: version },
  { name: 'round trip', run: roundTrip },
  { name: 'max payload', run: maxPayload },
  { name: 'jetstream', run: jetstream },
  // The stream, and who uses it.
  { name: 'stream', run: stream },
  { name: 'clock', run: clock },
  { name: 'replicas', run: replicas },
  { name: 'limits', run: limits },
  { name: 'fullness', run: fullness },
  { name: 'buckets', run: buckets },
  { name: 'may ship', run: mayShip },
  { name: 'may receive', run: mayReceive },
  { name: 'fleet', run: fleet },
];
