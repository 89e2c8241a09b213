// What shippers and receivers say of themselves when they are asked, and how it is read: an answer may come from
// anybody. Pure.

import { z } from 'zod';

/** The kinds of services, as `nats micro ls` shows them. */
export const SHIPPER_SERVICE = 'logferry-shipper';
export const RECEIVER_SERVICE = 'logferry-receiver';

/** The endpoint that both have, and whose STATS say the same as its answer. */
export const STATUS_ENDPOINT = 'status';

/** An answer is never longer, whatever a host has. */
export const MAX_STATUS_BYTES = 64 * 1024;

/** Files that a shipper names one by one: those that are furthest behind. */
export const MAX_WORST_FILES = 20;

/** Hosts that a receiver names with what it has seen lost. */
export const MAX_LOST_HOSTS = 100;

const count = z.int().min(0);
const text = z.string().max(4_096);

const fileSchema = z.object({
  path: text,
  /** The file id of its generation. */
  file: text,
  /** Bytes: as last seen, in the stream, on a receiver's disk. */
  sizeBytes: count,
  publishedBytes: count,
  committedBytes: count,
  /** How much is not committed, and how long the oldest of it has been waiting on the host. */
  lagBytes: count,
  lagMs: count,
  /** What went wrong last, null since something worked. */
  error: text.nullable(),
});

const shipperSchema = z.object({
  /** ISO 8601. */
  started: text,
  /** Source files. Bytes are over all their generations that are not finished. */
  files: count,
  sizeBytes: count,
  publishedBytes: count,
  committedBytes: count,
  lagBytes: count,
  /** The longest wait of all files. */
  lagMs: count,
  /** Files with an error, and what they have that is not committed. */
  errors: count,
  errorLagBytes: count,
  /** Of those, files that cannot be opened, so that nobody knows what they have. */
  unreadable: count.default(0),
  /** Source bytes that it has reported as gone since it started. */
  lostBytes: count,
  /** How often it could not tell what became of a file since it started, and what it said last; null for never. */
  untold: z.object({ times: count, last: text }).nullable().default(null),
  /** Whether it waits because the stream would drop what no receiver has committed. */
  held: z.boolean(),
  worst: z.array(fileSchema).max(MAX_WORST_FILES),
});

const receiverSchema = z.object({
  /** ISO 8601. */
  started: text,
  /** The numbers of those that it writes. */
  partitions: z.array(count).max(4_096),
  /** Source bytes written since it started, and a second over the last ten seconds. */
  bytes: count,
  bytesPerSecond: count,
  /** Bytes of the file system of --out; null when it does not say. */
  disk: z.object({ free: count, total: count }).nullable(),
  /** False while the disk takes nothing. */
  hasRoom: z.boolean(),
  /** Messages since it started: had already, came with bytes before them missing, not written by logferry. */
  duplicates: count,
  missing: count,
  foreign: count,
  /** Bytes that it has recorded as lost since it started; the hosts with most of them. */
  lostBytes: count,
  lost: z.array(z.object({ host: text, bytes: count })).max(MAX_LOST_HOSTS),
  /** Files that wait for bytes that are missing. */
  waitingFiles: count,
});

export type FileStatus = z.infer<typeof fileSchema>;
export type ShipperStatus = z.infer<typeof shipperSchema>;
export type ReceiverStatus = z.infer<typeof receiverSchema>;

const metadata = { stream: text, prefix: text, machine: text };
const shipperAnswer = z.object({ metadata: z.object({ ...metadata, host: text }), status: shipperSchema });
const receiverAnswer = z.object({
  metadata: z.object({ ...metadata, receiver: text, directory: text }),
  status: receiverSchema,
});

/** A shipper or a receiver that answered. */
export interface ShipperAnswer {
  readonly metadata: {
    readonly host: string;
    /** Not known of one that was asked by its name. */
    readonly machine?: string;
  };
  readonly status: ShipperStatus;
}
export type ReceiverAnswer = z.infer<typeof receiverAnswer>;
export type Answer =
  ({ readonly kind: 'shipper' } & ShipperAnswer) | ({ readonly kind: 'receiver' } & ReceiverAnswer);

const statsSchema = z.object({
  name: z.string(),
  metadata: z.object({ stream: z.string(), prefix: z.string() }),
  endpoints: z.array(z.object({ name: z.string(), data: z.unknown().optional() })).max(100),
});

/** What this shipper's own endpoint answers; undefined for what is not that. */
export function parseShipperStatus(host: string, value: unknown): Answer | undefined {
  const { data } = shipperSchema.safeParse(value);
  return data === undefined ? undefined : { kind: 'shipper', metadata: { host }, status: data };
}

/** What a STATS answer says; undefined for what is not one, or is of another stream. */
export function parseAnswer(
  value: unknown,
  names: { readonly stream: string; readonly prefix: string },
): Answer | undefined {
  const stats = statsSchema.safeParse(value).data;
  if (stats?.metadata.stream !== names.stream || stats.metadata.prefix !== names.prefix) return undefined;
  const status = stats.endpoints.find(({ name }) => name === STATUS_ENDPOINT)?.data;
  const said = { metadata: (value as { metadata: unknown }).metadata, status };
  if (stats.name === SHIPPER_SERVICE) {
    const { data } = shipperAnswer.safeParse(said);
    return data === undefined ? undefined : { kind: 'shipper', ...data };
  }
  if (stats.name !== RECEIVER_SERVICE) return undefined;
  const { data } = receiverAnswer.safeParse(said);
  return data === undefined ? undefined : { kind: 'receiver', ...data };
}
