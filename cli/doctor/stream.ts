// The stream and its buckets: whether they are as `logferry setup` makes them, and what they have room for.

import { type Finding, warning, failure, ok } from './finding.ts';
import type { Look } from './look.ts';
import { Bucket } from '../../common/nats/bucket.ts';
import { topologyOf } from '../../common/stream/stream.ts';
import { membersBucket, partitionsBucket } from '../../common/wire/topology.ts';
import { NANOS_PER_MS, formatBytes, formatDuration } from '../../common/text/units.ts';
import type { AccountStorage } from '../../common/nats/account.ts';
import { GOOD_PAYLOAD } from './server.ts';

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

/** What counts of a stream's configuration. */
export interface StreamFacts {
  readonly name: string;
  readonly retention: string;
  readonly discard: string;
  readonly storage: string;
  readonly replicas: number;
  readonly maxAgeMs: number;
  /** -1 for no limit. */
  readonly maxBytes: number;
  readonly maxMsgs: number;
  readonly maxMsgsPerSubject: number;
  readonly maxMsgSize: number;
  readonly allowDirect: boolean;
  readonly sealed: boolean;
  /** What it holds. */
  readonly bytes: number;
  readonly messages: number;
  readonly partitions: number;
}

/** Whether it is as `logferry setup` makes it; its subjects are. */
export function judgeStream(stream: StreamFacts): Finding {
  const remake = 'change it with nats stream edit, or make another with logferry setup --stream NAME';
  const wrong: string[] = [];
  if (stream.retention !== 'limits') wrong.push(`retention is ${stream.retention}, expected limits`);
  if (stream.discard !== 'old') wrong.push(`discard is ${stream.discard}, expected old`);
  if (stream.sealed) wrong.push('it is sealed, and takes nothing');
  if (stream.maxMsgsPerSubject > 0)
    wrong.push(`it keeps ${stream.maxMsgsPerSubject} messages of a subject, expected no limit`);
  if (stream.maxMsgSize > 0 && stream.maxMsgSize < GOOD_PAYLOAD)
    wrong.push(`its messages end at ${formatBytes(stream.maxMsgSize)}, expected no limit`);
  if (wrong.length > 0) return failure(`stream ${stream.name}: ${wrong.join('; ')}`, remake);
  const says = `stream ${stream.name}, ${stream.partitions} partitions`;
  if (stream.storage !== 'file')
    return warning(
      `${says}, in memory`,
      'a restart of nats-server loses it; what the files still hold is sent again',
    );
  if (!stream.allowDirect)
    return warning(
      `${says}, without allow_direct`,
      'a shipper in an account of its own cannot read it: set it with nats stream edit',
    );
  return ok(says);
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

/** @param servers of the cluster that this one knows, itself included */
export function judgeReplicas(replicas: number, servers: number, missing: readonly string[]): Finding {
  if (missing.length > 0)
    return warning(`replicas that are offline or behind: ${missing.join(', ')}`, 'look at those servers');
  if (replicas > 1 || servers < 3)
    return ok(
      `${replicas === 1 ? 'one copy' : `${replicas} copies`} on ${servers === 1 ? 'one server' : `${servers} servers`}`,
    );
  return warning(
    `one copy in a cluster of ${servers} servers`,
    'while its server is away nothing is shipped: logferry setup --replicas 3 --alter',
  );
}

/** What it may hold, against what there is room for. */
export async function limits(look: Look): Promise<Finding> {
  return judgeLimits(await factsOf(look), await look.needAccount());
}

const SHORT_AGE_MS = 86_400_000;

export function judgeLimits({ maxBytes, maxAgeMs, bytes }: StreamFacts, account: AccountStorage): Finding {
  const free = account.maxStorage < 0 ? Number.POSITIVE_INFINITY : account.maxStorage - account.usedStorage;
  const age = maxAgeMs === 0 ? 'for ever' : `for ${formatDuration(maxAgeMs)}`;
  const most = maxBytes < 0 ? 'no limit of size' : `at most ${formatBytes(maxBytes)}`;
  const says = `kept ${age}, ${most}`;
  if (maxBytes < 0)
    return warning(says, 'it may fill the disk of nats-server: logferry setup --max-bytes SIZE --alter');
  if (maxBytes - bytes > free)
    return warning(
      `${says}, but the account has only ${formatBytes(Math.max(0, free))} left`,
      'make room there, or logferry setup --max-bytes SIZE --alter',
    );
  if (maxAgeMs > 0 && maxAgeMs < SHORT_AGE_MS)
    return warning(
      says,
      'a receiver that is away for longer misses messages, and shippers send them again: logferry setup --max-age 7d --alter',
    );
  return ok(says);
}

/** How much of what it may hold it holds. */
export async function fullness(look: Look): Promise<Finding> {
  return judgeFullness(await factsOf(look));
}

const NEARLY_FULL = 0.8;

export function judgeFullness({ bytes, maxBytes, messages, maxMsgs }: StreamFacts): Finding {
  const share = Math.max(maxBytes > 0 ? bytes / maxBytes : 0, maxMsgs > 0 ? messages / maxMsgs : 0);
  const says = `holds ${formatBytes(bytes)} in ${messages} messages, ${Math.round(share * 100)} % of what it may`;
  return share > NEARLY_FULL
    ? warning(
        says,
        'it drops its oldest messages when full, and shippers hold back before: logferry status says who waits',
      )
    : ok(says);
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
