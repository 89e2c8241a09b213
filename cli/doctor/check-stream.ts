// What `logferry doctor` checks of the stream: how it is, what this user may do there, and who else is.

import { Bucket } from '../../common/nats/bucket.ts';
import { lookAtFleet } from '../../common/fleet/fleet.ts';
import { permissionViolation } from '../../common/nats/connection.ts';
import {
  type Permissions,
  receiverPermissions,
  shipperInItsAccount,
  shipperPermissions,
} from '../../common/fleet/permissions.ts';
import { topologyOf } from '../../common/stream/stream.ts';
import {
  DEFAULT_PARTITIONS,
  membersBucket,
  partitionsBucket,
  RECEIVER_INBOX,
  shipperInbox,
  type Topology,
} from '../../common/wire/topology.ts';
import { type Finding, ok, skipped, warning } from './finding.ts';
import {
  type FleetFacts,
  judgeClock,
  judgeLimits,
  judgePermissions,
  judgeReplicas,
  judgeStream,
  type StreamFacts,
} from './judge-server.ts';
import { type Look, Missing } from './look.ts';
import { refusedOf } from './permissions.ts';
import { NANOS_PER_MS } from '../../common/text/units.ts';

/** Whether it is there, and as setup makes it. */
export async function stream(look: Look): Promise<Finding> {
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

/** What counts of its configuration. Throws Missing. */
export async function factsOf(look: Look): Promise<StreamFacts> {
  const { info, topology } = await look.needStream();
  const { config, state } = info;
  return {
    name: config.name,
    retention: config.retention,
    discard: config.discard,
    storage: config.storage,
    replicas: config.num_replicas,
    maxAgeMs: config.max_age / NANOS_PER_MS,
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

/** This machine's against the server's. */
export async function clock(look: Look): Promise<Finding> {
  const { info, at, tookMs } = await look.needStream();
  // When nats-server answered, since 2.10; the client's types do not know.
  const said = Date.parse((info as { ts?: string }).ts ?? '');
  if (Number.isNaN(said)) return skipped('nats-server does not say what time it is there');
  return judgeClock(at + tookMs / 2 - said, tookMs / 2);
}

/** Copies, and whether all are well. */
export async function replicas(look: Look): Promise<Finding> {
  const { info } = await look.needStream();
  const nc = await look.needConnection();
  const urls = new Set(nc.info?.connect_urls ?? []);
  const isCluster = nc.info?.cluster !== undefined;
  const missing = (info.cluster?.replicas ?? [])
    .filter(({ current, offline }) => !current || offline === true)
    .map(({ name }) => name);
  return judgeReplicas(info.config.num_replicas, isCluster ? Math.max(1, urls.size) : 1, missing);
}

/** What it may hold, against what there is room for. */
export async function limits(look: Look): Promise<Finding> {
  return judgeLimits(await factsOf(look), await look.needAccount());
}

/** Whether both are there. */
export async function buckets(look: Look): Promise<Finding> {
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

/** Whether this user has what a shipper needs. */
export async function mayShip(look: Look): Promise<Finding | undefined> {
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
export async function mayReceive(look: Look): Promise<Finding | undefined> {
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

/** Who answers, and who is silent. Throws Missing where this user may not ask. */
export async function fleetOf(look: Look): Promise<FleetFacts> {
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
