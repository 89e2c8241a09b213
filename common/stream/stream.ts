// The stream and the buckets: created with defaults where missing, compared with what was asked for, never altered
// unless that is asked for.

import { JetStreamApiError, type StreamConfig, type StreamInfo, type StreamSource } from '@nats-io/jetstream';

import { accountStorage } from '../nats/account.ts';
import {
  Bucket,
  isStreamMissing,
  isUnanswered,
  MustWait,
  NAME_IN_USE,
  NotNow,
  NotThere,
} from '../nats/bucket.ts';
import { LogferryError, messageOf, oneLine } from '../runtime/errors.ts';
import { explain, type Link, permissionViolation } from '../nats/connection.ts';
import { inReplicas, type StreamLikeness, type StreamMemory } from './memory.ts';
import { topologyOf } from './shape.ts';
import { formatBytes, formatDuration, NANOS_PER_MS } from '../text/units.ts';
import {
  membersBucket,
  partitionsBucket,
  publishedSubjects,
  subjectTransform,
  type Topology,
} from '../wire/topology.ts';

export { topologyOf };

/** What `setup` may be asked for; what is undefined takes its default when created and is not compared. */
export interface StreamWishes {
  readonly partitions?: number | undefined;
  readonly replicas?: number | undefined;
  readonly maxAgeMs?: number | undefined;
  readonly maxBytes?: number | undefined;
  /** Streams that this one brings in: those of edges. What is missing is added, nothing is taken away. */
  readonly sources?: readonly StreamSource[] | undefined;
  /** A leaf node's stream, which another brings in: it counts from the time, and has no records beside it. */
  readonly edge?: boolean | undefined;
}

interface Wishes extends StreamWishes {
  readonly defaultPartitions: number;
  readonly before?: StreamLikeness | undefined;
}

export const DEFAULT_MAX_AGE_MS = 7 * 86_400_000;
export const DEFAULT_REPLICAS = 1;

/** Without a limit asked for: 80 % of what the account has left, but at most this. */
const MOST_MAX_BYTES = 50 * 1024 ** 3;
const LEAST_MAX_BYTES = 64 * 1024 ** 2;
const SHARE_OF_ACCOUNT = 0.8;

/** In a stream's metadata: the number of partitions that it is to have, while its records are cut anew for it. */
const CHANGING_TO = 'logferry_partitions_to_be';

/** JetStream API error codes. The account or the server, or too many of a cluster, have less storage left than asked for. */
const NO_STORAGE = [10_047, 10_005];
/** Another stream has some of these subjects. */
const SUBJECTS_OVERLAP = 10_065;

export interface SetupReport {
  readonly topology: Topology;
  /** What was not there before. */
  readonly created: string[];
  /** Fields that were changed: `max_age: 7d → 3d`. */
  readonly altered: string[];
  /** The stream is one of a leaf node. */
  readonly edge: boolean;
  /** The stream's configuration as it is now: what it is created again with, should it vanish. */
  readonly likeness: StreamLikeness;
}

/**
 * Makes sure that stream and buckets are there. Idempotent. Throws `conflict`, naming the fields, when the stream or a
 * bucket differs from what was asked for and `alter` is not set, or when its subjects are not ours at all;
 * `unreachable` (NotThere, NotNow) when something is missing that this user may not create, or that is to be as before
 * and no server can have now.
 *
 * @param wishes what was asked for; `before` takes the place of the defaults for a stream that has to be created
 * @param beyond the last sequence that an edge's stream of this name was seen to have
 */
export async function ensureStream(
  link: Link,
  names: { stream: string; prefix: string },
  wishes: Wishes,
  alter = false,
  beyond = 0,
): Promise<SetupReport> {
  const created: string[] = [];
  let altered: string[] = [];
  let info = await streamInfo(link, names.stream);
  if (info === undefined) {
    info = await create(link, names, wishes, beyond);
    if (info !== undefined) created.push(`stream ${names.stream}`);
    // Somebody else was faster, with what the account had left then.
    info ??= await streamInfo(link, names.stream);
    if (info === undefined) throw new LogferryError('unreachable', `stream ${names.stream} comes and goes`);
  } else {
    altered = await reconcile(link, names, info, wishes, alter);
    if (altered.length > 0) info = (await streamInfo(link, names.stream)) ?? info;
  }
  // Also where somebody else was faster, who may have known of none.
  const added = await addSources(link, info, wishes.sources ?? []);
  for (const { name, external } of added)
    created.push(`source ${external?.api ?? name} of stream ${names.stream}`);
  if (added.length > 0) info = (await streamInfo(link, names.stream)) ?? info;
  const changing = changingTo(info.config);
  if (changing !== undefined)
    throw new MustWait(
      'unreachable',
      `stream ${names.stream} is being changed to ${changing} partitions`,
      `should nobody be at it, run logferry repartition --partitions ${changing}`,
    );
  const { num_replicas: replicas } = info.config;
  for (const bucket of bucketsOf(link, names.stream, wishes.edge))
    if (await bucket.ensure(replicas)) created.push(`bucket ${bucket.name}`);
    else if (wishes.replicas !== undefined) altered.push(...(await reconcileBucket(bucket, replicas, alter)));
  const topology = topologyOf(names, info.config);
  const { edge = false } = wishes;
  return { topology, edge, created, altered, likeness: likenessOf(names, info) };
}

/**
 * A function that creates the stream and the buckets again, as they were seen last, when any of them has vanished. Where
 * this user may not, or the servers cannot have them now, it says so once, and throws `unreachable` until they are
 * there. Throws `conflict` for a stream that somebody else has made with other partitions.
 */
export function restorer(
  link: Link,
  { topology, edge }: SetupReport,
  memory: StreamMemory,
  say: (line: string) => void,
): () => Promise<void> {
  const buckets = bucketsOf(link, topology.stream, edge);
  let waits = false;
  let lastSeq = 0;
  return async () => {
    const [info, ...others] = await Promise.all([
      streamInfo(link, topology.stream),
      ...buckets.map(async (bucket) => await bucket.info()),
    ]);
    if (info !== undefined) {
      refuseOtherNumber(topology, info, topology.partitions);
      lastSeq = Math.max(lastSeq, info.state.last_seq);
      await memory.remember(likenessOf(topology, info));
    }
    if (info !== undefined && others.every((other) => other !== undefined)) {
      if (waits) say('what had vanished is there again');
      waits = false;
      return;
    }
    const { partitions } = topology;
    const wishes = { partitions, defaultPartitions: partitions, before: memory.likeness, edge };
    const again = ensureStream(link, topology, wishes, false, lastSeq);
    const { created, likeness } = await again.catch((error: unknown) => {
      if (error instanceof MustWait && !waits) say(`${oneLine(error)}; waiting for it`);
      waits ||= error instanceof MustWait;
      throw error;
    });
    if (created.length > 0) say(createdAgain(created, likeness));
  };
}

/** What is said of things that were there before. */
export function createdAgain(created: readonly string[], { replicas }: StreamLikeness): string {
  return `created again what had vanished: ${created.join(', ')}, with ${inReplicas(replicas)} as before`;
}

/** An edge has no records: those of the central stream count. */
function bucketsOf(link: Link, stream: string, edge = false): Bucket[] {
  const names = edge ? [membersBucket(stream)] : [partitionsBucket(stream), membersBucket(stream)];
  return names.map((name) => new Bucket(link, name));
}

function likenessOf(names: { stream: string; prefix: string }, { config }: StreamInfo): StreamLikeness {
  return {
    partitions: topologyOf(names, config).partitions,
    replicas: config.num_replicas,
    maxAgeMs: config.max_age / NANOS_PER_MS,
    maxBytes: config.max_bytes,
    sources: config.sources ?? [],
  };
}

/** Adds the sources that are not there; returns those. */
async function addSources(
  link: Link,
  { config }: StreamInfo,
  wanted: readonly StreamSource[],
): Promise<StreamSource[]> {
  const before = config.sources ?? [];
  const isThere = ({ name, external }: StreamSource): boolean =>
    before.some((each) => each.name === name && each.external?.api === external?.api);
  const missing = wanted.filter((source) => !isThere(source));
  if (missing.length > 0) await update(link, config.name, () => ({ sources: [...before, ...missing] }));
  return missing;
}

/** The stream as it is now, undefined when there is none of that name. */
export async function streamInfo(link: Link, stream: string): Promise<StreamInfo | undefined> {
  try {
    return await link.ask(async () => await link.jsm.streams.info(stream));
  } catch (error) {
    if (isStreamMissing(error)) return undefined;
    throw error;
  }
}

/** The number of partitions that the stream is being changed to; undefined when it is not. */
export function changingTo(config: StreamConfig): number | undefined {
  const value = config.metadata?.[CHANGING_TO];
  return value === undefined ? undefined : Number(value);
}

/** Says so in the stream: whoever starts from now on waits. Undefined: it is not to be changed any more. */
export async function announceChange(
  link: Link,
  stream: string,
  partitions: number | undefined,
): Promise<void> {
  await update(link, stream, (config) => ({ metadata: metadataWith(config, partitions) }));
}

/** From now on hosts are in these partitions, and whoever waits may start. */
export async function changePartitions(link: Link, topology: Topology): Promise<void> {
  await update(link, topology.stream, (config) => ({
    subject_transform: subjectTransform(topology),
    metadata: metadataWith(config, undefined),
  }));
}

function metadataWith({ metadata }: StreamConfig, partitions: number | undefined): Record<string, string> {
  const { [CHANGING_TO]: _before, ...others } = metadata ?? {};
  return partitions === undefined ? others : { ...others, [CHANGING_TO]: String(partitions) };
}

async function update(
  link: Link,
  stream: string,
  change: (config: StreamConfig) => Partial<StreamConfig>,
): Promise<void> {
  const { config } = await link.ask(async () => await link.jsm.streams.info(stream));
  await link.ask(async () => await link.jsm.streams.update(stream, { ...config, ...change(config) }));
}

async function create(
  link: Link,
  names: { stream: string; prefix: string },
  wishes: Wishes,
  beyond: number,
): Promise<StreamInfo | undefined> {
  const { before } = wishes;
  const partitions = wishes.partitions ?? before?.partitions ?? wishes.defaultPartitions;
  const config = {
    name: names.stream,
    subjects: [publishedSubjects(names.prefix)],
    subject_transform: subjectTransform({ ...names, partitions }),
    storage: 'file' as const,
    retention: 'limits' as const,
    discard: 'old' as const,
    allow_direct: true,
    num_replicas: wishes.replicas ?? before?.replicas ?? DEFAULT_REPLICAS,
    max_age: (wishes.maxAgeMs ?? before?.maxAgeMs ?? DEFAULT_MAX_AGE_MS) * NANOS_PER_MS,
    compression: 'none' as const,
    ...(wishes.edge === true ? { first_seq: firstSequence(beyond) } : {}),
    sources: [...(wishes.sources ?? before?.sources ?? [])],
  };
  const wanted = wishes.maxBytes ?? before?.maxBytes;
  const least = wanted ?? LEAST_MAX_BYTES;
  for (
    let maxBytes = wanted ?? (await defaultMaxBytes(link, config.num_replicas));
    ;
    maxBytes = Math.floor(maxBytes / 2)
  )
    try {
      return await link.jsm.streams.add({ ...config, max_bytes: maxBytes });
    } catch (error) {
      if (permissionViolation(error) !== undefined) throw new NotThere(`stream ${names.stream}`, error);
      const code = error instanceof JetStreamApiError ? error.code : 0;
      if (code === NAME_IN_USE) return undefined;
      if (code === SUBJECTS_OVERLAP)
        throw new LogferryError(
          'conflict',
          `stream ${names.stream} cannot have the subjects ${publishedSubjects(names.prefix)}: ${messageOf(error)}`,
          'give another --prefix, or change that stream',
        );
      if (code !== 0 && before !== undefined && !isUnanswered(error))
        throw new NotNow(`stream ${names.stream}`, error);
      if (!NO_STORAGE.includes(code) || maxBytes / 2 < least) throw explain(error, link.nc.getServer());
    }
}

/**
 * Microseconds since 1970, or what follows the last one that is known: whoever has brought in another stream of this
 * name goes on behind its last sequence, and would leave out what has a lower one.
 */
function firstSequence(beyond: number): number {
  return Math.max(Date.now() * 1_000, beyond + 1);
}

async function defaultMaxBytes(link: Link, replicas: number): Promise<number> {
  const { maxStorage, usedStorage } = await accountStorage(link, replicas);
  if (maxStorage < 0) return MOST_MAX_BYTES;
  const left = Math.max(maxStorage - usedStorage, LEAST_MAX_BYTES);
  return Math.min(MOST_MAX_BYTES, Math.floor(left * SHARE_OF_ACCOUNT));
}

async function reconcile(
  link: Link,
  names: { stream: string; prefix: string },
  info: StreamInfo,
  wishes: StreamWishes,
  alter: boolean,
): Promise<string[]> {
  refuseOtherNumber(names, info, wishes.partitions);
  const differing: string[] = [];
  const changes: Partial<StreamConfig> = {};
  const compare = (field: 'num_replicas' | 'max_age' | 'max_bytes', wanted: number | undefined): void => {
    if (wanted === undefined || info.config[field] === wanted) return;
    differing.push(`${field} is ${shown(field, info.config[field])}, asked for ${shown(field, wanted)}`);
    changes[field] = wanted;
  };
  compare('num_replicas', wishes.replicas);
  compare('max_age', wishes.maxAgeMs === undefined ? undefined : wishes.maxAgeMs * NANOS_PER_MS);
  compare('max_bytes', wishes.maxBytes);
  if (differing.length === 0) return [];
  if (!alter)
    throw new LogferryError(
      'conflict',
      `stream ${names.stream} exists and differs: ${differing.join('; ')}`,
      'run setup with --alter to change it, or leave these flags out',
    );
  await update(link, names.stream, () => changes);
  return differing;
}

/** Throws `conflict` for a stream with another number of partitions than the one that is wanted. */
function refuseOtherNumber(
  names: { stream: string; prefix: string },
  { config }: StreamInfo,
  wanted: number | undefined,
): void {
  const { partitions } = topologyOf(names, config);
  if (wanted === undefined || wanted === partitions) return;
  throw new LogferryError(
    'conflict',
    `stream ${names.stream} has ${partitions} partitions, not ${wanted}`,
    `stop shippers and receivers, then run logferry repartition --partitions ${wanted}`,
  );
}

/** A bucket has as many copies as its stream. Returns what was altered. */
async function reconcileBucket(bucket: Bucket, replicas: number, alter: boolean): Promise<string[]> {
  const info = await bucket.info();
  if (info === undefined || info.replicas === replicas) return [];
  const difference = `num_replicas of bucket ${bucket.name} is ${info.replicas}, asked for ${replicas}`;
  if (!alter)
    throw new LogferryError(
      'conflict',
      difference,
      'run setup with --alter to change it, or leave --replicas out',
    );
  await bucket.setReplicas(replicas);
  return [difference];
}

/** A limit as people write it. */
function shown(field: 'num_replicas' | 'max_age' | 'max_bytes', value: number): string {
  if (field === 'max_age') return value === 0 ? 'unlimited' : formatDuration(value / NANOS_PER_MS);
  if (field === 'max_bytes') return value < 0 ? 'unlimited' : formatBytes(value);
  return String(value);
}
