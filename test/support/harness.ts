// What the tests stand on: a real nats-server, real logferry processes, a writer that rotates, and the comparison of
// every byte. Nothing is mocked; what was started here is ended here, by pid.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';

import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';

import { LogferryError, systemCode } from '../../common/runtime/errors.ts';
import { silentLogger } from '../../common/runtime/log.ts';
import { isFree } from '../../cli/nats-server/port.ts';
import { type NatsServer, startNatsServer } from '../../cli/nats-server/nats-server.ts';
import { openLink } from '../../common/nats/connection.ts';
import { RecordStore } from '../../common/record/store.ts';
import { sleep, until } from '../../common/runtime/run.ts';
import { partitionOf } from '../../common/wire/subjects.ts';
import { bySegmentTime, isSegmentOf } from '../../receiver/ledger/names.ts';
import { joinSource, readDirectories, readPieces } from '../../receiver/read/reader.ts';
import type { ShipOptions, SourceOptions } from '../../shipper/options.ts';
import { ship } from '../../shipper/ship.ts';
import { ANSWER_MS, WAIT_MS } from './timeouts.ts';
import { ENTRY } from './paths.ts';

const SEED = Number(process.env['LOGFERRY_TEST_SEED'] ?? 1);

/** mulberry32: the same numbers from the same seed, everywhere. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The base seed of this run; tests add their own number to it. */
export function baseSeed(): number {
  return SEED;
}

/** Whom a process runs as; empty for this one's user. */
export interface Identity {
  readonly uid?: number;
  readonly gid?: number;
}

/** A logferry process. */
export class Daemon {
  readonly child: ChildProcess;
  readonly logFile: string;
  readonly exited: Promise<number | null>;
  stdout = '';
  readonly #logFrom: number;

  /** @param through a command that runs the one behind it, with limits or as somebody else */
  constructor(
    args: readonly string[],
    logFile: string,
    identity: Identity = {},
    through: readonly string[] = [],
    stdin: 'ignore' | 'pipe' | number = 'ignore',
  ) {
    this.logFile = logFile;
    const log = openSync(logFile, 'a');
    this.#logFrom = fstatSync(log).size;
    const [command = process.execPath, ...rest] = [...through, process.execPath, ENTRY, ...args];
    this.child = spawn(command, rest, { stdio: [stdin, 'pipe', log], ...identity });
    closeSync(log);
    this.child.stdout?.on('data', (data: Buffer) => {
      this.stdout += data.toString();
    });
    this.exited = new Promise((resolve) => {
      this.child.once('close', (code) => {
        resolve(code);
      });
    });
    running.add(this);
    void this.exited.then(() => running.delete(this));
  }

  /** SIGKILL, and gone. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }

  /** A clean stop. */
  async stop(): Promise<number | null> {
    this.child.kill('SIGTERM');
    return await this.exited;
  }

  /** What was logged since this one was started. */
  get stderr(): string {
    return readFileSync(this.logFile).subarray(this.#logFrom).toString();
  }
}

const running = new Set<Daemon>();
process.once('exit', () => {
  for (const daemon of running) daemon.child.kill('SIGKILL');
});

/** Stands in a server's configuration for where it stores, in quotes. */
export const STORE = '"<store>"';

/** A directory, a server, and what runs on it. */
export class World {
  readonly dir: string;
  readonly host = 'web1';
  server: NatsServer;
  /** How many the stream has. */
  partitions = 64;
  /** Whom the processes run as that are started from now on. */
  identity: Identity = {};
  readonly #config: string | undefined;
  readonly #daemons: Daemon[] = [];
  #records: RecordStore | undefined;
  readonly #atEnd: (() => Promise<void>)[] = [];
  #connection: { nc: NatsConnection; jsm: JetStreamManager } | undefined;

  protected constructor(dir: string, server: NatsServer, config?: string) {
    this.dir = dir;
    this.server = server;
    this.#config = config;
  }

  static async create(name: string, config?: string): Promise<World> {
    const dir = await World.makeDirectory(name);
    const store = path.join(dir, 'nats');
    const own = config?.replaceAll(STORE, JSON.stringify(store));
    const server = await startNatsServer({ dir: store, readyMs: WAIT_MS, say: () => {}, config: own });
    return new World(dir, server, own);
  }

  protected static async makeDirectory(name: string): Promise<string> {
    const dir = await mkdtemp(path.join(tmpdir(), `logferry-${name}-`));
    await mkdir(path.join(dir, 'source'));
    return dir;
  }

  /**
   * Runs the test in a world of its own; a failed one is kept, and says where.
   *
   * @param config nats-server configuration beside the usual
   */
  static async run(name: string, test: (world: World) => Promise<void>, config?: string): Promise<void> {
    await runIn(await World.create(name, config), test);
  }

  /** What processes connect to. */
  get url(): string {
    return this.server.url;
  }

  get source(): string {
    return path.join(this.dir, 'source');
  }

  get out(): string {
    return path.join(this.dir, 'out');
  }

  get state(): string {
    return path.join(this.dir, 'state');
  }

  start(
    name: string,
    args: readonly string[],
    through: readonly string[] = [],
    stdin: 'ignore' | 'pipe' | number = 'ignore',
  ): Daemon {
    const daemon = new Daemon(args, path.join(this.dir, `${name}.log`), this.identity, through, stdin);
    this.#daemons.push(daemon);
    return daemon;
  }

  ship(extra: readonly string[] = [], glob = path.join(this.source, '*.log')): Daemon {
    const args = [
      'ship',
      glob,
      '--host',
      this.host,
      '--state',
      this.state,
      ...this.#unless(extra, '--server', this.url),
    ];
    return this.start('ship', [...args, '--lease', '2s', ...extra]);
  }

  receive(extra: readonly string[] = [], out = this.out, through: readonly string[] = []): Daemon {
    const args = ['receive', '--out', out, ...this.#unless(extra, '--server', this.url), '--lease', '2s'];
    return this.start(path.basename(out), [...args, ...extra], through);
  }

  #unless(extra: readonly string[], flag: string, value: string): string[] {
    return extra.includes(flag) ? [] : [flag, value];
  }

  /** On its port again; `config` in place of the one it had. */
  async restartServer(config = this.#config): Promise<void> {
    // Somebody else's probe may have it for a moment.
    await until(async () => await isFree(this.server.port), { timeoutMs: WAIT_MS });
    this.server = await startNatsServer({
      dir: path.join(this.dir, 'nats'),
      port: this.server.port,
      readyMs: WAIT_MS,
      say: () => {},
      config,
    });
  }

  async jsm(): Promise<JetStreamManager> {
    return (await this.connection()).jsm;
  }

  /** A connection of the test's own. */
  async connection(): Promise<{ nc: NatsConnection; jsm: JetStreamManager }> {
    if (this.#connection === undefined || this.#connection.nc.isClosed()) {
      const nc = await connect({
        servers: this.url.split(','),
        maxReconnectAttempts: -1,
        reconnectTimeWait: 50,
      });
      this.#connection = { nc, jsm: await jetstreamManager(nc, { timeout: ANSWER_MS }) };
    }
    return this.#connection;
  }

  /** How many messages of the host are in the stream beyond what its record has processed. */
  async uncommitted(): Promise<number> {
    const partition = partitionOf(this.host, this.partitions);
    const jsm = await this.jsm();
    try {
      const last = await jsm.streams.getMessage('LOGS', { last_by_subj: `logs.${partition}.*.*.*` });
      const link = await openLink({ server: this.url }, { name: 'test', log: silentLogger() });
      try {
        const { record } = await new RecordStore(link, 'LOGS', silentLogger()).read(partition);
        return (last?.seq ?? 0) - (record?.stream.seq ?? 0);
      } finally {
        await link.close();
      }
    } catch {
      return 0;
    }
  }

  /** Whether the newest message of the stream is known not to be committed yet. */
  async isInFlight(): Promise<boolean> {
    const jsm = await this.jsm();
    try {
      const { state } = await jsm.streams.info('LOGS');
      const last = await jsm.streams.getMessage('LOGS', { seq: state.last_seq });
      const partition = Number(last?.subject.split('.')[1]);
      const { record } = await (await this.records()).read(partition);
      return (record?.stream.seq ?? 0) < state.last_seq;
    } catch {
      return false;
    }
  }

  /** The records, over a connection of their own that ends with the world. */
  async records(): Promise<RecordStore> {
    if (this.#records === undefined) {
      const link = await openLink({ server: this.url }, { name: 'test', log: silentLogger() });
      this.#records = new RecordStore(link, 'LOGS', silentLogger());
      this.atEnd(async () => {
        await link.close();
      });
    }
    return this.#records;
  }

  /** Waits until bytes are published and not committed; returns how many messages. */
  async inFlight(timeoutMs = WAIT_MS): Promise<number> {
    let count = 0;
    await until(async () => (count = await this.uncommitted()) > 0, { timeoutMs, everyMs: 5 });
    assert.ok(count > 0, 'nothing was in flight when the kill was due');
    return count;
  }

  /** Does this before the server is killed, whatever became of the test. */
  atEnd(stop: () => Promise<void>): void {
    this.#atEnd.push(stop);
  }

  async end(): Promise<void> {
    // Other tests of the same process may be writing in worlds of their own.
    for (const writer of writing)
      if (writer.files.some(({ file }) => file.startsWith(`${this.source}/`))) await writer.stop();
    await Promise.all(this.#atEnd.map(async (stop) => await stop()));
    await this.#connection?.nc.close();
    for (const daemon of this.#daemons) if (daemon.child.exitCode === null) await daemon.kill();
    await this.endServers();
  }

  protected async endServers(): Promise<void> {
    await this.server.kill();
  }
}

/** Runs the test in a world; a failed one is kept, and says where. */
export async function runIn<W extends World>(world: W, test: (world: W) => Promise<void>): Promise<void> {
  try {
    await test(world);
  } catch (error) {
    console.error(`# kept for inspection: ${world.dir}`);
    await world.end();
    throw error;
  }
  await world.end();
  await rm(world.dir, { recursive: true });
}

/** A source file that is written to, rotated, and whose every byte is remembered. */
export class Written {
  readonly host: string;
  readonly file: string;
  readonly #truth: string;
  #fd: number;
  bytes = 0;
  lines = 0;
  rotations = 0;

  constructor(world: World, name: string, host = world.host) {
    this.host = host;
    this.file = path.join(world.source, name);
    this.#truth = path.join(world.dir, `truth-${name.replaceAll('/', '-')}`);
    this.#fd = openSync(this.file, 'a');
    rmSync(this.#truth, { force: true });
  }

  /** Appends a line; every one is different. */
  line(length = 100): void {
    this.lines += 1;
    const text = `${path.basename(this.file)} line ${this.lines} `;
    this.append(`${text}${'x'.repeat(Math.max(0, length - text.length - 1))}\n`);
  }

  append(text: string | Buffer): void {
    const data = Buffer.from(text as string);
    const truth = openSync(this.#truth, 'a');
    writeSync(truth, data);
    closeSync(truth);
    writeSync(this.#fd, data);
    this.bytes += data.length;
  }

  /** As logrotate does it with `create`: .1 → .2, the file → .1, a new file. Nothing is ever deleted. */
  rotate(): void {
    for (let number = this.rotations; number >= 1; number -= 1)
      renameSync(`${this.file}.${number}`, `${this.file}.${number + 1}`);
    renameSync(this.file, `${this.file}.1`);
    closeSync(this.#fd);
    this.#fd = openSync(this.file, 'a');
    this.rotations += 1;
  }

  /** Moves the file away, to a name that nothing has, and goes on in a new one. */
  rotateTo(name: string): void {
    renameSync(this.file, name);
    closeSync(this.#fd);
    this.#fd = openSync(this.file, 'a');
    this.rotations += 1;
  }

  /** As logrotate does it with `copytruncate`; no byte is written between the copy and the truncation. */
  async copyTruncate(): Promise<void> {
    for (let number = this.rotations; number >= 1; number -= 1)
      renameSync(`${this.file}.${number}`, `${this.file}.${number + 1}`);
    await copyFile(this.file, `${this.file}.1`);
    truncateSync(this.file, 0);
    this.rotations += 1;
  }

  /** Empties it in place; what was shipped of it stays. */
  async truncate(): Promise<void> {
    await truncate(this.file, 0);
  }

  async truth(): Promise<Buffer> {
    return await readFile(this.#truth);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** What is written, copied and truncated within milliseconds comes, but no reader can know its place in the order. */
const COPYTRUNCATE_MS = 300;

const writing = new Set<Writer>();

/** A writer in this process: appends to its files and rotates them, until it is stopped. */
export class Writer {
  readonly files: Written[];
  #stop = false;
  readonly #done: Promise<void>;

  constructor(
    files: Written[],
    rand: () => number,
    options: { rotate: 'rename' | 'copytruncate' | 'none'; perTick?: number },
  ) {
    this.files = files;
    this.#done = this.#run(rand, options);
    writing.add(this);
  }

  async #run(
    rand: () => number,
    { rotate, perTick = 40 }: { rotate: string; perTick?: number },
  ): Promise<void> {
    const truncatedAt = new Map<Written, number>();
    while (!this.#stop) {
      for (const file of this.files) {
        const count = Math.floor(rand() * perTick);
        for (let index = 0; index < count; index += 1) file.line(40 + Math.floor(rand() * 400));
        if (rotate !== 'none' && rand() < 0.01) {
          if (rotate === 'rename') file.rotate();
          else if (performance.now() - (truncatedAt.get(file) ?? 0) > COPYTRUNCATE_MS) {
            await file.copyTruncate();
            truncatedAt.set(file, performance.now());
          }
        }
      }
      await sleep(2 + rand() * 8);
    }
  }

  async stop(): Promise<void> {
    this.#stop = true;
    await this.#done;
    writing.delete(this);
  }
}

/** Globs with the defaults of everything else. */
export function plainSource(globs: readonly string[]): SourceOptions {
  return {
    globs,
    exclude: [],
    defaultExcludes: true,
    from: 'beginning',
    ignoreOlderMs: undefined,
    rotateWaitMs: 300_000,
    followSymlinks: true,
    pathPrefix: undefined,
  };
}

/** What a shipper in this process is told. */
export function shipOptions(world: World, host: string, glob: string): ShipOptions {
  return {
    server: { server: world.url },
    stream: 'LOGS',
    prefix: 'logs',
    hubDomain: undefined,
    sources: [plainSource([glob])],
    stdin: undefined,
    ownLogs: [],
    host,
    state: path.join(world.dir, `state-${host}`),
    compression: 'zstd',
    maxRate: undefined,
    once: false,
    timeoutMs: undefined,
    leaseMs: 2_000,
    log: silentLogger(),
  };
}

/** Ships from this process, as a host of its own: twenty processes would only load the machine. */
export class InProcessShipper {
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(world: World, host: string, glob: string, log = silentLogger()) {
    this.#done = ship({ ...shipOptions(world, host, glob), log }, this.#stop.signal);
    world.atEnd(async () => {
      await this.stop();
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    try {
      await this.#done;
    } catch (error) {
      // Stopped before there was a connection.
      if (!(error instanceof LogferryError) || error.code !== 'unreachable') throw error;
    }
  }
}

/** Every file below an output directory that is not logferry's own. */
async function dataFiles(out: string): Promise<string[]> {
  const entries = await readdir(out, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((name) => !name.includes('/.logferry/'));
}

/** The bytes of all data files, uncompressed: when nothing lies in two places, no more than was written. */
export async function bytesIn(outs: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const out of outs) for (const name of await dataFiles(out)) bytes += await plainSize(name);
  return bytes;
}

/** 0 for a file that is gone by now. */
async function plainSize(name: string): Promise<number> {
  try {
    if (name.endsWith('.gz')) return gunzipSync(await readFile(name)).length;
    if (name.endsWith('.zst')) return (await contentOf(name)).length;
    return (await stat(name)).size;
  } catch (error) {
    // While it is written to, it may end in the middle of a frame.
    const isOpen = name.endsWith('.zst') && systemCode(error)?.startsWith('Z') === true;
    if (systemCode(error) === 'ENOENT' || isOpen) return 0;
    throw error;
  }
}

const ZSTD_MAGIC = Buffer.from('28b52ffd', 'hex');

/** All frames, one behind the other, as zstdcat reads them. Throws zlib's error for one that is not whole. */
export function unzstd(data: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < data.length;) {
    // Node ends with the first frame, and says how far it has read. Its types do not know.
    const { buffer, engine } = zstdDecompressSync(data.subarray(at), { info: true }) as unknown as {
      buffer: Buffer;
      engine: { bytesWritten: number };
    };
    parts.push(buffer);
    at += engine.bytesWritten;
  }
  return Buffer.concat(parts);
}

/** -1 while one of them is not there yet. */
async function bytesListed(outs: readonly string[]): Promise<number> {
  try {
    return (await readDirectories(outs)).reduce((sum, { run }) => sum + run.end - run.start, 0);
  } catch (error) {
    if (error instanceof LogferryError) return -1;
    throw error;
  }
}

/** What the directories give back of a source file; empty where they do not know it. */
async function joined(outs: readonly string[], host: string, file: string): Promise<Buffer> {
  const source = joinSource(await readDirectories(outs), host, file);
  if (source === undefined || source.holes.length > 0) return Buffer.alloc(0);
  const parts: Uint8Array[] = [];
  for await (const part of readPieces(source.pieces)) parts.push(part);
  return Buffer.concat(parts);
}

/** Where two buffers differ, and what stands there. */
function difference(want: Buffer, got: Buffer): string {
  let at = 0;
  while (at < want.length && want[at] === got[at]) at += 1;
  const around = (data: Buffer): string =>
    JSON.stringify(data.subarray(Math.max(0, at - 60), at + 60).toString());
  return `they differ at ${at}\n written ${around(want)}\n found ${around(got)}`;
}

/**
 * Waits until the bytes of all directories add up to what was written, then joins every source file from all of them
 * and compares: nothing missing, nothing twice, in order.
 */
export async function assertShared(
  files: readonly Written[],
  outs: readonly string[],
  timeoutMs = WAIT_MS,
): Promise<void> {
  const written = files.reduce((sum, file) => sum + file.bytes, 0);
  let bytes = 0;
  // What is written but not committed is not listed yet.
  const isAllThere = async (): Promise<boolean> => {
    if ((await bytesListed(outs)) !== written) return false;
    bytes = await bytesIn(outs);
    return bytes === written;
  };
  await until(isAllThere, { timeoutMs, everyMs: 100 });
  for (const file of files) {
    const want = await file.truth();
    const got = await joined(outs, file.host, file.file);
    if (want.equals(got)) continue;
    assert.fail(
      `${file.host}: ${file.file}: ${want.length} bytes written in ${file.rotations + 1} generations, ` +
        `${got.length} joined; ${difference(want, got)}`,
    );
  }
  assert.equal(bytes, written, 'bytes of all data files, and what was written');
}

/** Hosts with one or two files each, and their shippers. */
export class Hosts {
  readonly files: Written[] = [];

  /** Resolves when the first line of each file has arrived. */
  static async start(world: World, outs: readonly string[], count: number, filesEach = 1): Promise<Hosts> {
    const hosts = new Hosts();
    for (let number = 1; number <= count; number += 1) {
      const host = `web${number}`;
      await mkdir(path.join(world.source, host));
      for (let file = 0; file < filesEach; file += 1)
        hosts.files.push(new Written(world, `${host}/${file}.log`, host));
      new InProcessShipper(world, host, path.join(world.source, host, '*.log'));
    }
    for (const file of hosts.files) file.line();
    await assertShared(hosts.files, outs);
    return hosts;
  }
}

/** The files of a destination, in the order of their bytes. */
export async function centralFiles(out: string, host: string, source: string): Promise<string[]> {
  const active = path.join(out, host, source);
  const base = path.basename(active);
  const names = (await readdir(path.dirname(active))).filter((name) => isSegmentOf(base, name));
  const files = names.toSorted(bySegmentTime).map((name) => path.join(path.dirname(active), name));
  for (const name of [active, `${active}.zst`])
    if ((await stat(name).catch(() => undefined)) !== undefined) files.push(name);
  return files;
}

/** What a central file holds; one may be called so and yet be plain, since its source is called so. */
async function contentOf(file: string): Promise<Buffer> {
  const data = await readFile(file);
  return file.endsWith('.zst') && data.subarray(0, 4).equals(ZSTD_MAGIC) ? unzstd(data) : data;
}

/** A receiver may rename files between the listing and the reading of them: the same is listed before and after. */
const READS = 20;
const READ_AGAIN_MS = 50;

export async function central(out: string, host: string, source: string): Promise<Buffer> {
  const list = async (): Promise<string[]> => await centralFiles(out, host, source).catch(() => []);
  for (let reads = 1; reads <= READS; reads += 1) {
    const names = await list();
    const data = await Promise.all(names.map(contentOf)).catch(() => undefined);
    if (data !== undefined && isDeepStrictEqual(names, await list())) return Buffer.concat(data);
    await sleep(READ_AGAIN_MS);
  }
  return Buffer.alloc(0);
}

/** What was written to a source file. */
export type Truth = Pick<Written, 'file' | 'bytes' | 'rotations' | 'truth'>;

/** Waits until all that was written is there, then compares every byte: nothing missing, nothing twice, in order, no other file. */
export async function assertIdentical(
  world: World,
  files: readonly Truth[],
  timeoutMs = WAIT_MS,
): Promise<void> {
  const size = async (file: Truth): Promise<number> => {
    let bytes = 0;
    const names = await centralFiles(world.out, world.host, file.file).catch(() => []);
    for (const name of names) bytes += await plainSize(name);
    return bytes;
  };
  await until(
    async () => {
      for (const file of files) if ((await size(file)) < file.bytes) return false;
      return true;
    },
    { timeoutMs, everyMs: 50 },
  );
  for (const file of files) {
    const want = await file.truth();
    let got = await central(world.out, world.host, file.file);
    // What is wrong on disk stays so.
    for (let reads = 1; reads < READS && !want.equals(got); reads += 1) {
      await sleep(READ_AGAIN_MS);
      got = await central(world.out, world.host, file.file);
    }
    if (want.equals(got)) continue;
    assert.fail(
      `${file.file}: ${want.length} bytes written in ${file.rotations + 1} generations, ${got.length} at the destination; ` +
        difference(want, got),
    );
  }
  let strange: string[] = [];
  const isNone = async (): Promise<boolean> => {
    const all = await readdir(world.out, { recursive: true, withFileTypes: true });
    const expected = new Set<string>();
    for (const file of files)
      for (const name of await centralFiles(world.out, world.host, file.file)) expected.add(name);
    strange = all
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
      .filter((name) => !name.includes('/.logferry/') && !expected.has(name));
    return strange.length === 0;
  };
  // A segment that is compressed in between has another name.
  for (let looks = 1; looks < READS && !(await isNone()); looks += 1) await sleep(READ_AGAIN_MS);
  assert.ok(await isNone(), `files that nobody wrote: ${strange.join(', ')}`);
}
