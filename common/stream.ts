// The stream and the buckets: created with defaults where missing, compared with what was asked for, never altered
// unless that is asked for.

import { JetStreamApiError, type StreamConfig, type StreamInfo } from '@nats-io/jetstream';

import { Bucket, isStreamMissing, MustWait, NAME_IN_USE, NotThere } from './bucket.ts';
import { LogferryError, messageOf, oneLine } from './errors.ts';
import { explain, type Link, permissionViolation } from './nats.ts';
import { formatBytes, formatDuration } from './units.ts';
import {
  membersBucket,
  partitionsBucket,
  partitionsOfTransform,
  publishedSubjects,
  subjectTransform,
  type Topology,
} from './topology.ts';

/** What `setup` may be asked for; what is undefined takes its default when created and is not compared. */
export interface StreamWishes {
  readonly partitions?: number | undefined;
  readonly replicas?: number | undefined;
  readonly maxAgeMs?: number | undefined;
  readonly maxBytes?: number | undefined;
}

export const DEFAULT_MAX_AGE_MS = 7 * 86_400_000;

/** Without a limit asked for: 80 % of what the account has left, but at most this. */
const MOST_MAX_BYTES = 50 * 1024 ** 3;
const LEAST_MAX_BYTES = 64 * 1024 ** 2;
const SHARE_OF_ACCOUNT = 0.8;

/** In a stream's metadata: the number of partitions that it is to have, while its records are cut anew for it. */
const CHANGING_TO = 'logferry_partitions_to_be';

/** JetStream API error codes. The account or the server has less storage left than asked for. */
const INSUFFICIENT_STORAGE = 10_047;
/** Another stream has some of these subjects. */
const SUBJECTS_OVERLAP = 10_065;

const NANOS = 1_000_000;

export interface SetupReport {
  readonly topology: Topology;
  /** What was not there before. */
  readonly created: string[];
  /** Fields that were changed: `max_age: 7d → 3d`. */
  readonly altered: string[];
  /** The stream's configuration as it is now: what it is created again with, should it vanish. */
  readonly wishes: Required<StreamWishes>;
}

/**
 * Makes sure that stream and buckets are there. Idempotent. Throws `conflict`, naming the fields, when the stream
 * differs from what was asked for and `alter` is not set, or when its subjects are not ours at all; `unreachable`
 * (NotThere) when something is missing that this user may not create.
 */
export async function ensureStream(
  link: Link,
  names: { stream: string; prefix: string },
  wishes: StreamWishes & { defaultPartitions: number },
  alter = false,
): Promise<SetupReport> {
  const created: string[] = [];
  let altered: string[] = [];
  let info = await streamInfo(link, names.stream);
  if (info === undefined) {
    info = await create(link, names, wishes);
    if (info !== undefined) created.push(`stream ${names.stream}`);
    // Somebody else was faster, with what the account had left then.
    info ??= await streamInfo(link, names.stream);
    if (info === undefined) throw new LogferryError('unreachable', `stream ${names.stream} comes and goes`);
  } else {
    altered = await reconcile(link, names, info, wishes, alter);
    if (altered.length > 0) info = (await streamInfo(link, names.stream)) ?? info;
  }
  const changing = changingTo(info.config);
  if (changing !== undefined)
    throw new MustWait(
      'unreachable',
      `stream ${names.stream} is being changed to ${changing} partitions`,
      `should nobody be at it, run logferry repartition --partitions ${changing}`,
    );
  const topology = topologyOf(names, info.config);
  for (const bucket of [partitionsBucket(names.stream), membersBucket(names.stream)])
    if (await new Bucket(link, bucket).ensure(info.config.num_replicas)) created.push(`bucket ${bucket}`);
  const { num_replicas, max_age, max_bytes } = info.config;
  const seen = {
    partitions: topology.partitions,
    replicas: num_replicas,
    maxAgeMs: max_age / NANOS,
    maxBytes: max_bytes,
  };
  return { topology, created, altered, wishes: seen };
}

/**
 * A function that creates the stream and the buckets again, as `report` saw them, when any of them has vanished. Where
 * this user may not, it says so once, and throws `unreachable` until somebody else has.
 */
export function restorer(link: Link, report: SetupReport, say: (line: string) => void): () => Promise<void> {
  const { topology, wishes } = report;
  const buckets = [partitionsBucket(topology.stream), membersBucket(topology.stream)];
  let waits = false;
  return async () => {
    const infos = [
      streamInfo(link, topology.stream),
      ...buckets.map(async (name) => await new Bucket(link, name).info()),
    ];
    if ((await Promise.all(infos)).every((info) => info !== undefined)) {
      if (waits) say('what had vanished is there again');
      waits = false;
      return;
    }
    const all = { ...wishes, defaultPartitions: topology.partitions };
    const { created } = await ensureStream(link, topology, all).catch((error: unknown) => {
      if (error instanceof NotThere && !waits) say(`${oneLine(error)}; waiting for it`);
      waits = error instanceof NotThere;
      throw error;
    });
    if (created.length > 0) say(`created again what had vanished: ${created.join(', ')}`);
  };
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

/** What a stream's configuration says. Throws `conflict` when it is not one of logferry. */
export function topologyOf(names: { stream: string; prefix: string }, config: StreamConfig): Topology {
  const partitions = partitionsOfTransform(names.prefix, config.subject_transform?.dest ?? '');
  const wanted = publishedSubjects(names.prefix);
  if (partitions === undefined || config.subjects.length !== 1 || config.subjects[0] !== wanted)
    throw new LogferryError(
      'conflict',
      `stream ${names.stream} exists with subjects ${JSON.stringify(config.subjects)}` +
        `${partitions === undefined ? ' and without the subject transform of logferry' : ''}, expected ["${wanted}"]`,
      'give another --stream (and --prefix), or delete that one',
    );
  return { ...names, partitions };
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
  wishes: StreamWishes & { defaultPartitions: number },
): Promise<StreamInfo | undefined> {
  const partitions = wishes.partitions ?? wishes.defaultPartitions;
  const config = {
    name: names.stream,
    subjects: [publishedSubjects(names.prefix)],
    subject_transform: subjectTransform({ ...names, partitions }),
    storage: 'file' as const,
    retention: 'limits' as const,
    discard: 'old' as const,
    allow_direct: true,
    num_replicas: wishes.replicas ?? 1,
    max_age: (wishes.maxAgeMs ?? DEFAULT_MAX_AGE_MS) * NANOS,
    compression: 'none' as const,
  };
  const least = wishes.maxBytes ?? LEAST_MAX_BYTES;
  for (let maxBytes = wishes.maxBytes ?? (await defaultMaxBytes(link)); ; maxBytes = Math.floor(maxBytes / 2))
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
      if (code !== INSUFFICIENT_STORAGE || maxBytes / 2 < least) throw explain(error, link.nc.getServer());
    }
}

async function defaultMaxBytes(link: Link): Promise<number> {
  const account = await link.jsm.getAccountInfo();
  const limit = account.limits.max_storage;
  if (limit <= 0) return MOST_MAX_BYTES;
  const left = Math.max(limit - account.storage, LEAST_MAX_BYTES);
  return Math.min(MOST_MAX_BYTES, Math.floor(left * SHARE_OF_ACCOUNT));
}

async function reconcile(
  link: Link,
  names: { stream: string; prefix: string },
  info: StreamInfo,
  wishes: StreamWishes,
  alter: boolean,
): Promise<string[]> {
  const { partitions } = topologyOf(names, info.config);
  if (wishes.partitions !== undefined && wishes.partitions !== partitions)
    throw new LogferryError(
      'conflict',
      `stream ${names.stream} has ${partitions} partitions, not ${wishes.partitions}`,
      `stop shippers and receivers, then run logferry repartition --partitions ${wishes.partitions}`,
    );
  const differing: string[] = [];
  const changes: Partial<StreamConfig> = {};
  const compare = (field: 'num_replicas' | 'max_age' | 'max_bytes', wanted: number | undefined): void => {
    if (wanted === undefined || info.config[field] === wanted) return;
    differing.push(`${field} is ${shown(field, info.config[field])}, asked for ${shown(field, wanted)}`);
    changes[field] = wanted;
  };
  compare('num_replicas', wishes.replicas);
  compare('max_age', wishes.maxAgeMs === undefined ? undefined : wishes.maxAgeMs * NANOS);
  compare('max_bytes', wishes.maxBytes);
  if (differing.length === 0) return [];
  if (!alter)
    throw new LogferryError(
      'conflict',
      `stream ${names.stream} exists and differs: ${differing.join('; ')}`,
      'run setup with --alter to change it, or leave these flags out',
    );
  await link.jsm.streams.update(names.stream, { ...info.config, ...changes });
  return differing;
}

/** A limit as people write it. */
function shown(field: 'num_replicas' | 'max_age' | 'max_bytes', value: number): string {
  if (field === 'max_age') return value === 0 ? 'unlimited' : formatDuration(value / NANOS);
  if (field === 'max_bytes') return value < 0 ? 'unlimited' : formatBytes(value);
  return String(value);
}
