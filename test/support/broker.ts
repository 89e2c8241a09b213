// What the tests of a broker that loses data share: its store on disk, copied, put back and removed; what it holds; and
// what shippers and receivers said of bytes that are gone. Nothing here decides what is right.

import assert from 'node:assert/strict';
import { cp, mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';

import {
  JetStreamApiError,
  jetstreamManager,
  type JetStreamManager,
  type StreamState,
} from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { z } from 'zod';

import { isStreamMissing } from '../../common/nats/bucket.ts';
import { until } from '../../common/runtime/run.ts';
import { ANSWER_MS, WAIT_MS } from './timeouts.ts';
import type { Daemon } from './daemon.ts';
import type { World } from './world.ts';

export const STREAM = 'LOGS';
/** The stream behind the bucket of the records. */
export const RECORDS = 'KV_LOGS_partitions';
export const BUCKETS = [RECORDS, 'KV_LOGS_members'] as const;
export const ALL = [STREAM, ...BUCKETS] as const;

/** Where the server keeps a stream, or a bucket's stream. */
export function storeOf(world: World, stream: string): string {
  return path.join(world.dir, 'nats', 'jetstream', '$G', 'streams', stream);
}

/** The server is killed; its store as it is then can be put back later, also in part. */
export async function copyStore(world: World): Promise<string> {
  const copy = path.join(world.dir, 'older-store');
  await rm(copy, { recursive: true, force: true });
  await mkdir(copy);
  for (const stream of ALL) await cp(storeOf(world, stream), path.join(copy, stream), { recursive: true });
  return copy;
}

/** What a power cut before the fsync leaves: these streams are as they were when they were copied. */
export async function putBack(world: World, copy: string, streams: readonly string[]): Promise<void> {
  for (const stream of streams) {
    await rm(storeOf(world, stream), { recursive: true });
    await cp(path.join(copy, stream), storeOf(world, stream), { recursive: true });
  }
}

/** Everything that JetStream had is gone. */
export async function wipeStore(world: World): Promise<void> {
  await rm(path.join(world.dir, 'nats', 'jetstream'), { recursive: true });
}

/** A message as it can be told from another of the same sequence. */
export interface Kept {
  readonly seq: number;
  readonly time: string;
}

/** Asks over a connection that was made for it: one that is just reconnecting would say nothing. */
async function ask<T>(world: World, question: (jsm: JetStreamManager) => Promise<T>): Promise<T> {
  const nc = await connect({ servers: world.server.url });
  try {
    return await question(await jetstreamManager(nc, { timeout: ANSWER_MS }));
  } finally {
    await nc.close();
  }
}

/** What a stream says of itself; undefined when it is not there. */
export async function stateOf(world: World, stream: string): Promise<StreamState | undefined> {
  return await ask(world, async (jsm) => {
    try {
      return (await jsm.streams.info(stream)).state;
    } catch (error) {
      if (isStreamMissing(error)) return undefined;
      throw error;
    }
  });
}

/** Undefined when it cannot be had. */
export async function messageAt(world: World, stream: string, seq: number): Promise<Kept | undefined> {
  return await ask(world, async (jsm) => {
    try {
      const message = await jsm.streams.getMessage(stream, { seq });
      return message === null ? undefined : { seq, time: message.timestamp };
    } catch (error) {
      if (error instanceof JetStreamApiError) return undefined;
      throw error;
    }
  });
}

/** The newest message of a stream. */
export async function newest(world: World, stream: string): Promise<Kept> {
  let message: Kept | undefined;
  // A key of a bucket may be set anew in between, and then its message is gone.
  const isThere = async (): Promise<boolean> => {
    const state = await stateOf(world, stream);
    message = await messageAt(world, stream, state?.last_seq ?? 0);
    return message !== undefined;
  };
  await until(isThere, { timeoutMs: WAIT_MS });
  assert.ok(message !== undefined, `${stream} has no newest message`);
  return message;
}

/** Waits until something is added to a stream. */
export async function grows(world: World, stream: string): Promise<void> {
  const lastSeq = async (): Promise<number> => (await stateOf(world, stream))?.last_seq ?? 0;
  const before = await lastSeq();
  const isMore = async (): Promise<boolean> => (await lastSeq()) > before;
  assert.ok(await until(isMore, { timeoutMs: WAIT_MS, everyMs: 100 }), `nothing is added to ${stream}`);
}

/** The server must have lost this message: else what follows proves nothing. */
export async function assertLost(world: World, stream: string, before: Kept): Promise<void> {
  const now = await messageAt(world, stream, before.seq);
  assert.notEqual(now?.time, before.time, `${stream} still has its message ${before.seq}`);
}

const lineSchema = z.object({
  level: z.union([z.number(), z.string()]),
  msg: z.string(),
  path: z.string().optional(),
  from: z.number().optional(),
  to: z.number().optional(),
});

/** What was logged at level `error`, since this process was started. */
export function errorsOf(daemon: Daemon): z.infer<typeof lineSchema>[] {
  return daemon.stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => lineSchema.parse(JSON.parse(line)))
    .filter(({ level }) => level === 'error' || (typeof level === 'number' && level >= 50));
}

/** Ranges that it reported as lost: base name of the path, from, to. */
export function lostIn(daemon: Daemon): string[] {
  return errorsOf(daemon)
    .filter(({ msg, from }) => / lost/.test(msg) && from !== undefined)
    .map(({ path: file = '', from, to }) => `${path.basename(file)} ${from}-${to}`);
}

/** No process has anything to say at level `error`: nothing is gone. */
export function assertNoErrors(...daemons: readonly Daemon[]): void {
  for (const daemon of daemons)
    assert.deepEqual(
      errorsOf(daemon).map(({ msg }) => msg),
      [],
      `errors in ${daemon.logFile}`,
    );
}

/** Block files of a stream, oldest first. */
export async function blocksOf(world: World, stream: string): Promise<string[]> {
  const directory = path.join(storeOf(world, stream), 'msgs');
  const names = (await readdir(directory)).filter((name) => name.endsWith('.blk'));
  return names
    .toSorted((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
    .map((name) => path.join(directory, name));
}

/** Where the parts of one message lie in a block file (nats-server `filestore.go`: length, sequence, time, subject, headers, payload, checksum). */
export interface Stored {
  readonly seq: number;
  readonly subject: string;
  /** Of the whole record. */
  readonly at: number;
  readonly end: number;
  readonly parts: Readonly<Record<Part, readonly [from: number, to: number]>>;
}

/** What can be damaged of a stored message. */
export type Part = 'length' | 'seq' | 'subject' | 'headers' | 'payload' | 'checksum';

const HAS_HEADERS = 0x8000_0000;
const FIXED_BYTES = 22;
const CHECKSUM_BYTES = 8;

/** The messages of a block file that nobody has damaged. */
export function storedIn(block: Buffer): Stored[] {
  const stored: Stored[] = [];
  for (let at = 0; at + FIXED_BYTES < block.length;) {
    const word = block.readUInt32LE(at);
    const end = at + (word & ~HAS_HEADERS);
    const subjectAt = at + FIXED_BYTES;
    const subjectEnd = subjectAt + block.readUInt16LE(at + 20);
    const hasHeaders = (word & HAS_HEADERS) !== 0;
    const headersAt = hasHeaders ? subjectEnd + 4 : subjectEnd;
    const headersEnd = hasHeaders ? headersAt + block.readUInt32LE(subjectEnd) : headersAt;
    const payloadEnd = end - CHECKSUM_BYTES;
    stored.push({
      seq: Number(block.readBigUInt64LE(at + 4)),
      subject: block.toString('latin1', subjectAt, subjectEnd),
      at,
      end,
      parts: {
        length: [at, at + 4],
        seq: [at + 4, at + 12],
        subject: [subjectAt, subjectEnd],
        headers: [headersAt, headersEnd],
        payload: [headersEnd, payloadEnd],
        checksum: [payloadEnd, end],
      },
    });
    at = end;
  }
  return stored;
}
