// What `logferry doctor` is to look at: as flags say, or as the daemons would read their configuration file. Never
// connects.

import type { z } from 'zod';

import { LogferryError } from '../../common/runtime/errors.ts';
import type { ServerOptions } from '../../common/nats/connection.ts';
import type { SourceOptions } from '../../shipper/options.ts';
import { type Daemon, DAEMONS } from '../config/keys.ts';
import { readConfig } from '../config/read.ts';
import { receiveSettings, shipSettings } from '../config/settings.ts';
import type { CommandLine } from '../flags/flag.ts';
import { receiveFlags } from '../flags/receive.ts';
import { shipFlags } from '../flags/ship.ts';

export interface ShipperPlan {
  readonly host: string;
  /** Undefined where nothing says what it is for: no glob, no --state. */
  readonly state: string | undefined;
  readonly sources: readonly SourceOptions[];
}

export interface ReceiverPlan {
  readonly out: string;
}

export interface Plan {
  readonly server: ServerOptions;
  readonly names: { readonly stream: string; readonly prefix: string };
  readonly shipper: ShipperPlan | undefined;
  readonly receiver: ReceiverPlan | undefined;
  /** What the file says that works, and should be otherwise. */
  readonly warnings: readonly string[];
}

/** Throws `usage`, as the daemons do. */
export async function planOf(
  line: CommandLine,
  shared: Pick<Plan, 'server' | 'names'>,
  env: NodeJS.ProcessEnv,
): Promise<Plan> {
  const { flags, args } = line;
  const daemons = await daemonsOf(line, env);
  const plan: Plan = { ...shared, shipper: undefined, receiver: undefined, warnings: [] };
  const [ship, receive] = DAEMONS.map((daemon) => daemons.includes(daemon));
  const shipped = ship === true ? await shipperOf(line, env) : undefined;
  const received =
    receive === true ? await receiveSettings(lineFor('receive', receiveFlags, line, []), env) : undefined;
  const some = shipped?.settings ?? received;
  if (some === undefined) return plan;
  // A state or a host alone is no daemon's whole command line.
  const { server, stream, prefix } = some.options;
  const isGlobless = flags['config'] === undefined && args.length === 0;
  return {
    server,
    names: { stream, prefix },
    shipper: shipped === undefined ? undefined : { ...shipped.plan, ...(isGlobless ? { sources: [] } : {}) },
    receiver: received === undefined ? undefined : { out: received.options.out },
    warnings: [...new Set([...(shipped?.settings.warnings ?? []), ...(received?.warnings ?? [])])],
  };
}

async function shipperOf(
  line: CommandLine,
  env: NodeJS.ProcessEnv,
): Promise<{ plan: ShipperPlan; settings: Awaited<ReturnType<typeof shipSettings>> }> {
  const isGlobless = line.flags['config'] === undefined && line.args.length === 0;
  const settings = await shipSettings(
    lineFor('ship', shipFlags, line, isGlobless ? [NO_FILE] : line.args),
    env,
  );
  const { host, state, sources } = settings.options;
  const isGiven = !isGlobless || line.flags['state'] !== undefined;
  return { plan: { host, state: isGiven ? state : undefined, sources }, settings };
}

/** Where only a host or a state is given, and a glob would be missing. */
const NO_FILE = '/dev/null/none';

/** Which of them this is about. */
async function daemonsOf({ flags, args }: CommandLine, env: NodeJS.ProcessEnv): Promise<readonly Daemon[]> {
  const { config } = flags;
  const asked = DAEMONS.filter((daemon) => daemon === flags['for']);
  if (typeof config === 'string') {
    const { sections } = await readConfig(config, env);
    const found = asked.length > 0 ? asked : DAEMONS.filter((daemon) => sections.has(daemon));
    if (found.length > 0) return found;
    throw new LogferryError(
      'usage',
      `${config} has neither a section ship nor one receive`,
      'say with --for which of them it is for',
    );
  }
  const isShip = args.length > 0 || flags['state'] !== undefined || flags['host'] !== undefined;
  const isReceive = flags['out'] !== undefined;
  if (asked.includes('receive') && !isReceive)
    throw new LogferryError('usage', '--for receive needs --out or --config', 'say where it writes');
  if (asked.length > 0) return asked;
  return DAEMONS.filter((daemon) => (daemon === 'ship' ? isShip : isReceive));
}

/** What a daemon would have been given: the flags of its own. */
function lineFor(
  command: Daemon,
  schema: z.ZodObject,
  { flags }: CommandLine,
  args: readonly string[],
): CommandLine {
  const own = Object.keys(schema.shape).filter((key) => flags[key] !== undefined);
  return { command, flags: Object.fromEntries(own.map((key) => [key, flags[key]])), args };
}
