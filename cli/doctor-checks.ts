// Everything that `logferry doctor` checks, in the order in which it is said. Each looks at a thing (doctor-look*.ts) and
// lets another file judge it (doctor-judge-*.ts).

import { Bucket } from '../common/bucket.ts';
import { lookAtFleet } from '../common/fleet.ts';
import { permissionViolation } from '../common/nats.ts';
import {
  type Permissions,
  receiverPermissions,
  shipperInItsAccount,
  shipperPermissions,
} from '../common/permissions.ts';
import { topologyOf } from '../common/stream.ts';
import {
  DEFAULT_PARTITIONS,
  membersBucket,
  partitionsBucket,
  RECEIVER_INBOX,
  shipperInbox,
  type Topology,
} from '../common/topology.ts';
import { descriptorLimit } from '../shipper/open-files.ts';
import { failure, type Finding, ok, skipped, warning } from './doctor-finding.ts';
import {
  judgeDescriptors,
  judgeDirectory,
  judgeFiles,
  judgeInotify,
  judgeMemory,
  judgeNode,
  judgeSpace,
} from './doctor-judge-machine.ts';
import {
  type FleetFacts,
  judgeAccount,
  judgeClock,
  judgeFleet,
  judgeFullness,
  judgeLimits,
  judgeMaxPayload,
  judgePermissions,
  judgeReplicas,
  judgeRoundTrip,
  judgeStream,
  judgeVersion,
  type StreamFacts,
} from './doctor-judge-server.ts';
import { type Look, Missing } from './doctor-look.ts';
import { availableMemory, inotifyInstances, inotifyLimit, lookAtDirectory } from './doctor-look-machine.ts';
import { refusedOf } from './doctor-permissions.ts';

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

// --- this machine ---------------------------------------------------------------------------------------------------

async function memory(): Promise<Finding> {
  const limit = process.constrainedMemory();
  const isLimited = limit > 0 && limit < Number.MAX_SAFE_INTEGER;
  return judgeMemory(await availableMemory(), isLimited ? limit : undefined);
}

async function configuration({ plan }: Look): Promise<Finding | undefined> {
  const [first, ...more] = plan.warnings;
  if (first === undefined) return await Promise.resolve(undefined);
  return warning(
    `${first}${more.length === 0 ? '' : ` (and ${more.length} more)`}`,
    'logferry check-config shows all',
  );
}

async function files(look: Look): Promise<Finding | undefined> {
  if ((look.plan.shipper?.sources.length ?? 0) === 0) return undefined;
  return judgeFiles(await look.files());
}

async function directory(
  flag: string,
  wanted: string | undefined,
  lock: string,
): Promise<Finding | undefined> {
  return wanted === undefined ? undefined : judgeDirectory(flag, await lookAtDirectory(wanted, lock));
}

async function space(flag: string, wanted: string | undefined): Promise<Finding | undefined> {
  return wanted === undefined ? undefined : judgeSpace(flag, await lookAtDirectory(wanted, 'lock'));
}

async function inotify(look: Look): Promise<Finding | undefined> {
  if ((look.plan.shipper?.sources.length ?? 0) === 0) return undefined;
  const maxWatches = await inotifyLimit('max_user_watches');
  const maxInstances = await inotifyLimit('max_user_instances');
  if (maxWatches === undefined || maxInstances === undefined) return skipped('this kernel has no inotify');
  const { directories } = await look.files();
  return judgeInotify({ maxWatches, maxInstances, directories, instances: await inotifyInstances() });
}

async function descriptors(look: Look): Promise<Finding | undefined> {
  const { shipper, receiver } = look.plan;
  if (shipper === undefined && receiver === undefined) return undefined;
  const shipped =
    shipper === undefined || shipper.sources.length === 0 ? undefined : (await look.files()).files;
  let destinations: number | undefined;
  if (receiver !== undefined)
    try {
      destinations = (await fleetOf(look)).files;
    } catch {
      // How many there are the fleet would have said; the check of the fleet says why not.
      destinations = undefined;
    }
  return judgeDescriptors(descriptorLimit(), shipped, destinations);
}

// --- the server -----------------------------------------------------------------------------------------------------

async function reachable(look: Look): Promise<Finding> {
  const { reached, failed } = await look.reach();
  const hint = 'start nats-server there, open the port, or give --server URL';
  if (reached.length === 0) return failure(`cannot reach ${failed.join(', ')}`, hint);
  if (failed.length > 0)
    return warning(`${reached.join(', ')} answers; cannot reach ${failed.join(', ')}`, hint);
  return ok(`${reached.join(', ')} ${reached.length === 1 ? 'answers' : 'answer'}`);
}

async function login(look: Look): Promise<Finding> {
  const nc = await look.connection();
  const { user, creds, nkey, token, tlsCert } = look.plan.server;
  const by = user ?? creds ?? nkey ?? (token === undefined ? tlsCert : 'a token');
  const { tls_required: isAsked, tls_available: isOffered } = nc.info ?? {};
  const encrypted = isAsked === true || isOffered === true ? ', encrypted' : '';
  const whom = by === undefined ? 'without a login' : `as ${by}`;
  return ok(`connected to ${nc.getServer()} ${whom}${encrypted}`);
}

async function roundTrip(look: Look): Promise<Finding> {
  const nc = await look.needConnection();
  const times: number[] = [];
  for (let count = 0; count < 5; count += 1) {
    const began = performance.now();
    await nc.flush();
    times.push(performance.now() - began);
  }
  return judgeRoundTrip(times.toSorted((a, b) => a - b)[2] ?? 0);
}

async function maxPayload(look: Look): Promise<Finding> {
  return judgeMaxPayload((await look.needConnection()).info?.max_payload ?? 0);
}

// --- the stream, and who uses it ------------------------------------------------------------------------------------

async function stream(look: Look): Promise<Finding> {
  const { names } = look.plan;
  const found = await look.stream();
  if (found === undefined)
    return warning(
      `there is no stream ${names.stream}`,
      'ship and receive create it with the defaults if they may, or run logferry setup',
    );
  // Throws what is wrong with its subjects.
  topologyOf(names, found.info.config);
  return judgeStream(await factsOf(look));
}

const NANOS = 1_000_000;

async function factsOf(look: Look): Promise<StreamFacts> {
  const { info, topology } = await look.needStream();
  const { config, state } = info;
  return {
    name: config.name,
    retention: config.retention,
    discard: config.discard,
    storage: config.storage,
    replicas: config.num_replicas,
    maxAgeMs: config.max_age / NANOS,
    maxBytes: config.max_bytes,
    maxMsgs: config.max_msgs,
    maxMsgsPerSubject: config.max_msgs_per_subject,
    maxMsgSize: config.max_msg_size,
    allowDirect: config.allow_direct,
    sealed: config.sealed,
    bytes: state.bytes,
    messages: state.messages,
    partitions: topology.partitions,
  };
}

async function clock(look: Look): Promise<Finding> {
  const { info, at, tookMs } = await look.needStream();
  // When nats-server answered, since 2.10; the client's types do not know.
  const said = Date.parse((info as { ts?: string }).ts ?? '');
  if (Number.isNaN(said)) return skipped('nats-server does not say what time it is there');
  return judgeClock(at + tookMs / 2 - said, tookMs / 2);
}

async function replicas(look: Look): Promise<Finding> {
  const { info } = await look.needStream();
  const nc = await look.needConnection();
  const urls = new Set(nc.info?.connect_urls ?? []);
  const isCluster = nc.info?.cluster !== undefined;
  const missing = (info.cluster?.replicas ?? [])
    .filter(({ current, offline }) => !current || offline === true)
    .map(({ name }) => name);
  return judgeReplicas(info.config.num_replicas, isCluster ? Math.max(1, urls.size) : 1, missing);
}

async function limits(look: Look): Promise<Finding> {
  return judgeLimits(await factsOf(look), await look.needAccount());
}

async function buckets(look: Look): Promise<Finding> {
  await look.needStream();
  const link = await look.link();
  const names = [partitionsBucket(look.plan.names.stream), membersBucket(look.plan.names.stream)];
  const missing: string[] = [];
  for (const name of names) if ((await new Bucket(link, name).info()) === undefined) missing.push(name);
  if (missing.length === 0) return ok(names.join(' and '));
  return warning(
    `there is no bucket ${missing.join(' and ')}`,
    'ship and receive create it if they may, or run logferry setup',
  );
}

/** Of the stream, or of the one that would be made. */
async function topologyFor(look: Look): Promise<Topology> {
  try {
    return (await look.needStream()).topology;
  } catch (error) {
    if (error instanceof Missing) return { ...look.plan.names, partitions: DEFAULT_PARTITIONS };
    throw error;
  }
}

async function mayShip(look: Look): Promise<Finding | undefined> {
  const { shipper } = look.plan;
  if (shipper === undefined) return undefined;
  const { host } = shipper;
  await look.needConnection();
  const topology = await topologyFor(look);
  const inbox = look.plan.server.inboxPrefix ?? shipperInbox(host);
  const refused = await refusedFor(look, shipperPermissions(topology, host), inbox);
  const isElsewhere = refused.length > 0 && refused.every((one) => one.includes('.STREAM.MSG.GET.'));
  const others = isElsewhere ? await refusedFor(look, shipperInItsAccount(topology, host), inbox) : refused;
  return judgePermissions(`the shipper of ${host}`, others, true);
}

/** Where nobody has said what this user is to be, that it may not is no failure. */
async function mayReceive(look: Look): Promise<Finding | undefined> {
  const { shipper, receiver, server } = look.plan;
  if (receiver === undefined && shipper !== undefined) return undefined;
  await look.needConnection();
  const inbox = server.inboxPrefix ?? (receiver === undefined ? look.inboxPrefix : RECEIVER_INBOX);
  const refused = await refusedFor(look, receiverPermissions(await topologyFor(look)), inbox);
  return judgePermissions('a receiver', refused, receiver !== undefined);
}

/** The inbox of whoever it would be is heard as well. */
async function refusedFor(look: Look, permissions: Permissions, inbox: string): Promise<string[]> {
  const subscribe = permissions.subscribe.map((subject) =>
    subject.startsWith('_INBOX') ? `${inbox}.>` : subject,
  );
  return await refusedOf(look.plan.server, { ...permissions, subscribe }, inbox);
}

async function fleetOf(look: Look): Promise<FleetFacts> {
  await look.needStream();
  try {
    const { shippers, receivers } = await lookAtFleet(await look.link(), look.plan.names);
    const all = [...shippers.values(), ...receivers.values()];
    return {
      shippers: [...shippers.values()].filter(({ answer }) => answer !== undefined).length,
      receivers: [...receivers.values()].filter(({ answer }) => answer !== undefined).length,
      silent: all
        .filter(({ answer, member }) => answer === undefined && member !== undefined)
        .map(({ name }) => name),
      files: [...shippers.values()].reduce((sum, { answer }) => sum + (answer?.status.files ?? 0), 0),
    };
  } catch (error) {
    if (permissionViolation(error) === undefined) throw error;
    throw new Missing('this user may not ask who is there', { cause: error });
  }
}
