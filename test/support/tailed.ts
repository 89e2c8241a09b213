// What the tests of tail stand on: tails that end and tails that go on, and chunks that are there exactly as a test wants.

import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { zstdCompressSync } from 'node:zlib';

import { headers } from '@nats-io/transport-node';

import { chunkHeaders, type DataChunk } from '../../common/wire/chunk.ts';
import { crc32, tailOf } from '../../common/wire/digest.ts';
import { until } from '../../common/runtime/run.ts';
import { publishSubject } from '../../common/wire/subjects.ts';
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
  const isThere = async (): Promise<boolean> => {
    const ends = new Map<string, number>();
    const info = await jsm.streams.info('LOGS', { subjects_filter: 'logs.>' }).catch(() => undefined);
    for (const subject of Object.keys(info?.state.subjects ?? {})) {
      const last = await jsm.streams.getMessage('LOGS', { last_by_subj: subject });
      const range = last?.header.get('Logferry-Range') ?? '';
      const file = decodeURIComponent(subject.split('.')[3] ?? '');
      ends.set(file, (ends.get(file) ?? 0) + Number(range.split('-')[1]));
    }
    return files.every(({ file, bytes }) => ends.get(file) === bytes);
  };
  assert.ok(await until(isThere, { timeoutMs: WAIT_MS, everyMs: 50 }), 'not all was shipped');
}

/** Publishes as a shipper does, what a test wants to be there exactly so. */
export class Publisher {
  readonly #world: World;
  readonly #source;

  constructor(world: World, host: string, file: string, generation = 'x-0') {
    this.#world = world;
    this.#source = { host, path: file, file: generation };
  }

  async data(start: number, text: string | Buffer, changed: Partial<DataChunk> = {}): Promise<void> {
    const data = Buffer.from(text as string);
    const payload = zstdCompressSync(data);
    const chunk: DataChunk = {
      ...{ kind: 'data', start, end: start + data.length, begin: 0, after: undefined },
      ...{ tail: tailOf(data), encoding: 'zstd', crc32: crc32(payload), ...changed },
    };
    await this.#publish(chunkHeaders(chunk), payload);
  }

  async gap(start: number, end: number, reason: string): Promise<void> {
    await this.#publish(chunkHeaders({ kind: 'gap', start, end, begin: 0, after: undefined, reason }));
  }

  async end(size: number): Promise<void> {
    const marker = { kind: 'end', start: size, end: size, begin: 0, after: undefined } as const;
    await this.#publish(chunkHeaders({ ...marker, reason: 'rotated' }));
  }

  async foreign(): Promise<void> {
    await this.#publish([['X', 'y']], Buffer.from('hello\n'));
  }

  async #publish(pairs: readonly [string, string][], payload: Uint8Array = new Uint8Array()): Promise<void> {
    const { nc } = await this.#world.connection();
    const all = headers();
    for (const [name, value] of pairs) all.set(name, value);
    await nc.request(publishSubject('logs', this.#source), payload, { headers: all, timeout: ANSWER_MS });
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
