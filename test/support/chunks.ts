// A stream with messages as shippers publish them, one chunk each, in whichever order a test wants, and what a replay makes
// of it.

import assert from 'node:assert/strict';
import path from 'node:path';

import { jetstream } from '@nats-io/jetstream';
import { headers } from '@nats-io/transport-node';

import { BUNDLE_HEADER, bundleIn, type Listed, packBundle } from '../../common/wire/bundle.ts';
import type { After, Chunk } from '../../common/wire/chunk.ts';
import { hex32, tailOf } from '../../common/wire/digest.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import { readIfThere } from '../../common/runtime/files.ts';
import { headersOf } from '../../common/wire/headers.ts';
import { publishSubject, sourceOf, type SourceName } from '../../common/wire/subjects.ts';
import type { Hole } from '../../receiver/read/join.ts';
import { joinSource, readContents, readPieces } from '../../receiver/read/reader.ts';
import { ended } from './said.ts';
import type { Daemon } from './daemon.ts';
import type { World } from './world.ts';

/** One generation of a file, and what its messages say beside their range. */
export interface Generation extends SourceName {
  readonly data: Buffer;
  readonly begin?: number;
  readonly after?: After;
}

export function generation(
  host: string,
  file: string,
  size: number,
  more: Partial<Omit<Generation, 'host' | 'file' | 'data'>> = {},
): Generation {
  // Every byte tells where it belongs.
  const data = Buffer.alloc(size);
  for (let at = 0; at < size; at += 1)
    data[at] = (at * 7 + (at >> 8) * 13 + (file.codePointAt(0) ?? 0)) % 251;
  return { host, path: '/var/log/app.log', file, data, ...more };
}

/** Creates the stream, as `setup` does. */
export async function setUp(world: World): Promise<void> {
  const code = await ended(world.start('setup', ['setup', '--server', world.server.url]));
  assert.equal(code, 0);
  // Several that ask for it at once would each make one.
  await world.connection();
}

/** Publishes bytes of a generation; returns the stream's sequence. Damaged, their checksum is another's. */
export async function publish(
  world: World,
  from: Generation,
  start: number,
  end: number,
  damaged = false,
): Promise<number> {
  const payload = from.data.subarray(start, end);
  const tail = tailOf(from.data.subarray(0, end));
  return await send(world, from, { ...common(from), kind: 'data', start, end, tail }, payload, damaged);
}

export async function publishEnd(world: World, from: Generation, size = from.data.length): Promise<number> {
  return await send(world, from, { ...common(from), kind: 'end', start: size, end: size, reason: 'rotated' });
}

function common({ begin = 0, after }: Generation): { begin: number; after: After | undefined } {
  return { begin, after };
}

async function send(
  world: World,
  from: SourceName,
  chunk: Chunk,
  payload: Uint8Array = new Uint8Array(),
  damaged = false,
): Promise<number> {
  const { nc } = await world.connection();
  const { path: name, file, host } = from;
  messages += 1;
  const packed = packBundle(`00000000.${messages}`, [{ path: name, file, chunk, payload }], false);
  const fields = headers();
  fields.set(BUNDLE_HEADER, damaged ? withOtherChecksum(packed.header) : packed.header);
  const subject = publishSubject('logs', host, 0);
  return (await jetstream(nc).publish(subject, packed.payload, { headers: fields })).seq;
}

let messages = 0;

/** The checksum is the last field. */
function withOtherChecksum(header: string): string {
  const other = Number.parseInt(header.slice(-8), 16) ^ 1;
  return `${header.slice(0, -8)}${hex32(other >>> 0)}`;
}

/** A message of the stream, and what it lists. */
export interface StoredMessage {
  readonly seq: number;
  /** When it was stored, in milliseconds since 1970. */
  readonly at: number;
  readonly subject: string;
  readonly host: string;
  readonly listed: readonly Listed[];
}

/** What the stream has from a sequence on, up to another or the last one there is, in its order; foreign messages left out. */
export async function* storedFrom(
  world: World,
  first: number,
  last?: number,
): AsyncGenerator<StoredMessage, void> {
  const { streams } = await world.jsm();
  const end = last ?? (await streams.info('LOGS')).state.last_seq;
  for (let seq = first; seq <= end; seq += 1) {
    const message = await streams.getMessage('LOGS', { seq });
    if (message === null) continue;
    const { subject, data, timestamp } = message;
    const header = (name: string): string => headersOf(message)?.get(name) ?? '';
    try {
      const { host, bundle } = bundleIn('logs', { subject, data, header });
      yield { seq, at: Date.parse(timestamp), subject, host, listed: bundle.listed };
    } catch (error) {
      if (!(error instanceof LogferryError) || error.code !== 'corrupt') throw error;
    }
  }
}

/** Hosts with as much as takes seconds through a slow line. */
export async function publishMuch(world: World, hosts: number, each: number): Promise<Generation[]> {
  const all: Generation[] = [];
  for (let number = 0; number < hosts; number += 1) all.push(generation(`h${number}`, 'aaa-0', each));
  const step = 128 * 1024;
  for (let at = 0; at < each; at += step)
    await Promise.all(all.map(async (one) => await publish(world, one, at, Math.min(each, at + step))));
  return all;
}

export interface Replayed {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly out: string;
}

/** `replay` into a directory of the world, to its end. */
export async function replayed(
  world: World,
  name: string,
  extra: readonly string[] = [],
  url = world.server.url,
): Promise<Replayed> {
  const daemon = startReplay(world, name, extra, url);
  const code = await ended(daemon);
  const { stdout, stderr } = daemon;
  for (const line of stderr.split('\n'))
    assert.ok(line === '' || line.startsWith('{') || line.startsWith('logferry: '), line);
  return { code, stdout, stderr, out: path.join(world.dir, name) };
}

export function startReplay(
  world: World,
  name: string,
  extra: readonly string[] = [],
  url = world.server.url,
): Daemon {
  return world.start(`${name}-log`, [
    'replay',
    '--out',
    path.join(world.dir, name),
    '--server',
    url,
    ...extra,
  ]);
}

export interface ReplayProgress {
  readonly first: number;
  readonly last: number;
  readonly reached: number;
  readonly done: boolean;
}

/** How far a replay says that its directory is; undefined where it says nothing yet. */
export async function replayState(out: string): Promise<ReplayProgress | undefined> {
  const text = await readIfThere(path.join(out, '.logferry', 'replay.json'));
  return text === undefined ? undefined : (JSON.parse(text) as ReplayProgress);
}

/** What `cat` would give of a file from these directories together, and which bytes it would miss. */
export async function joinedOf(
  out: string | readonly string[],
  { host, path: source }: { host: string; path: string },
): Promise<{ data: Buffer; holes: Omit<Hole, 'file'>[]; begin: number }> {
  const { runs, known } = await readContents([out].flat());
  const joined = joinSource(runs, host, source, known);
  if (joined === undefined) return { data: Buffer.alloc(0), holes: [], begin: 0 };
  const parts: Uint8Array[] = [];
  for await (const part of readPieces(joined.pieces)) parts.push(part);
  const holes = joined.holes.map(({ file, start, end }) => ({ file: sourceOf(file).id, start, end }));
  return { data: Buffer.concat(parts), holes, begin: joined.begin };
}
