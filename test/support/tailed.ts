// What the tests of tail stand on: tails that end and tails that go on, and chunks that are there exactly as a test wants.

import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { zstdCompressSync } from 'node:zlib';

import { headers } from '@nats-io/transport-node';

import { BUNDLE_HEADER, bundleIn, packBundle, SHARED_BYTES } from '../../common/wire/bundle.ts';
import type { Chunk } from '../../common/wire/chunk.ts';
import { tailOf } from '../../common/wire/digest.ts';
import { until } from '../../common/runtime/run.ts';
import { fileKey, publishSubject, type SourceName } from '../../common/wire/subjects.ts';
import { ANSWER_MS, TEST_MS, WAIT_MS } from './timeouts.ts';
import { ENTRY } from './paths.ts';
import { InProcessShipper } from './in-process.ts';
import type { World } from './world.ts';
import { Written } from './log-files.ts';

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A tail that ends by itself. */
export async function tailed(world: World, ...args: readonly string[]): Promise<Result> {
  return await ended(['tail', '--server', world.server.url, ...args]);
}

export async function ended(args: readonly string[]): Promise<Result> {
  const result = await new Promise<Result>((resolve) => {
    const options = { timeout: TEST_MS, maxBuffer: 256 * 1024 * 1024, env: { ...process.env, NATS_URL: '' } };
    const child = execFile(process.execPath, [ENTRY, ...args], options, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode, stdout, stderr });
    });
  });
  assert.doesNotMatch(result.stderr, /^\s+at .*:\d+:\d+\)?$/m, 'a stack trace');
  return result;
}

/** Exit code 0 and no word on stderr. */
export async function printed(world: World, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await tailed(world, '--no-follow', ...args);
  assert.deepEqual([code, stderr], [0, ''], args.join(' '));
  return stdout;
}

/** A tail that goes on. */
export class Following {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  stdout = '';
  stderr = '';

  constructor(world: World, ...args: readonly string[]) {
    const child = spawn(process.execPath, [ENTRY, 'tail', '--server', world.server.url, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.on('data', (data: Buffer) => (this.stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (this.stderr += data.toString()));
    this.child = child;
    this.ended = new Promise((resolve) => {
      child.once('close', (code) => resolve(code));
    });
    world.atEnd(async () => {
      if (child.exitCode === null) child.kill('SIGKILL');
      await this.ended;
    });
  }

  async prints(what: string): Promise<void> {
    const isThere = (): boolean => this.stdout.includes(what);
    assert.ok(
      await until(isThere, { timeoutMs: WAIT_MS }),
      `${what} is missing in ${this.stdout.slice(-2_000)} ${this.stderr}`,
    );
  }

  async says(what: string): Promise<void> {
    const isThere = (): boolean => this.stderr.includes(what);
    assert.ok(await until(isThere, { timeoutMs: WAIT_MS }), `${what} is missing in ${this.stderr}`);
  }

  async interrupt(): Promise<number | null> {
    this.child.kill('SIGINT');
    return await this.ended;
  }
}

/** A source file of a host, shipped by a shipper in this process. */
export async function hostWith(world: World, host: string, ...names: readonly string[]): Promise<Written[]> {
  await mkdir(path.join(world.source, host));
  const files = names.map((name) => new Written(world, `${host}/${name}`, host));
  new InProcessShipper(world, host, path.join(world.source, host, '*'));
  return files;
}

/** Until the stream holds all bytes of these files, ranges counted once each. */
export async function shipped(world: World, files: readonly Written[]): Promise<void> {
  const jsm = await world.jsm();
  const generations = new Map<string, { readonly path: string; readonly end: number }>();
  let seen = 0;
  const isThere = async (): Promise<boolean> => {
    const last = (await jsm.streams.info('LOGS').catch(() => undefined))?.state.last_seq ?? 0;
    for (; seen < last; seen += 1) {
      const message = await jsm.streams.getMessage('LOGS', { seq: seen + 1 });
      if (message === null) continue;
      const header = (name: string): string => message.header.get(name);
      const { host, bundle } = bundleIn('logs', { subject: message.subject, header, data: message.data });
      for (const { path: file, file: id, chunk } of bundle.listed)
        generations.set(fileKey(host, id), { path: file, end: chunk.end });
    }
    return files.every(({ file, bytes }) => {
      const own = [...generations.values()].filter((one) => one.path === file);
      return own.reduce((sum, { end }) => sum + end, 0) === bytes;
    });
  };
  assert.ok(await until(isThere, { timeoutMs: WAIT_MS, everyMs: 50 }), 'not all was shipped');
}

/** How a chunk differs from what a shipper would send. */
interface Changed {
  readonly tail?: string;
  readonly isDamaged?: boolean;
}

/** Publishes as a shipper does, one chunk a message, what a test wants to be there exactly so. */
export class Publisher {
  static #messages = 0;
  readonly #world: World;
  readonly #source: SourceName;
  readonly #lane: number;

  constructor(world: World, host: string, file: string, generation = 'x-0', lane = 0) {
    this.#world = world;
    this.#source = { host, path: file, file: generation };
    this.#lane = lane;
  }

  async data(start: number, text: string | Buffer, changed: Changed = {}): Promise<void> {
    const data = Buffer.from(text as string);
    const { tail = tailOf(data), isDamaged = false } = changed;
    const chunk = {
      kind: 'data',
      start,
      end: start + data.length,
      begin: 0,
      after: undefined,
      tail,
    } as const;
    await this.#chunk(chunk, data.length > SHARED_BYTES ? zstdCompressSync(data) : data, isDamaged);
  }

  async gap(start: number, end: number, reason: string): Promise<void> {
    await this.#chunk({ kind: 'gap', start, end, begin: 0, after: undefined, reason });
  }

  async end(size: number): Promise<void> {
    const marker = { kind: 'end', start: size, end: size, begin: 0, after: undefined } as const;
    await this.#chunk({ ...marker, reason: 'rotated' });
  }

  async foreign(): Promise<void> {
    await this.#publish('X', 'y', Buffer.from('hello\n'));
  }

  async #chunk(chunk: Chunk, payload: Uint8Array = new Uint8Array(), isDamaged = false): Promise<void> {
    const { path: file, file: id } = this.#source;
    Publisher.#messages += 1;
    const stamp = `00000000.${Publisher.#messages}`;
    const packed = packBundle(stamp, [{ path: file, file: id, chunk, payload }], true);
    // The checksum is the last field.
    const header = isDamaged ? packed.header.replace(/[0-9a-f]{8}$/, '00000001') : packed.header;
    await this.#publish(BUNDLE_HEADER, header, packed.payload);
  }

  async #publish(name: string, value: string, payload: Uint8Array): Promise<void> {
    const { nc } = await this.#world.connection();
    const fields = headers();
    fields.set(name, value);
    const subject = publishSubject('logs', this.#source.host, this.#lane);
    await nc.request(subject, payload, { headers: fields, timeout: ANSWER_MS });
  }
}

export async function setUp(world: World): Promise<void> {
  assert.equal((await ended(['setup', '--server', world.server.url])).code, 0);
}

/** Until it works: the test's connection has to find the server again as well. */
export async function repeatedly(work: () => Promise<void>): Promise<void> {
  const works = async (): Promise<boolean> =>
    await work().then(
      () => true,
      () => false,
    );
  assert.ok(await until(works, { timeoutMs: WAIT_MS }));
}

export const count = (text: string, part: string): number => text.split(part).length - 1;
