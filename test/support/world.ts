// A directory, a real nats-server and the logferry processes of one test: a failed one is kept, and says where.

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';

import { silentLogger } from '../../common/runtime/log.ts';
import { isFree } from '../../cli/nats-server/port.ts';
import { type NatsServer, startNatsServer } from '../../cli/nats-server/nats-server.ts';
import { openLink } from '../../common/nats/connection.ts';
import { RecordStore } from '../../common/record/store.ts';
import { until } from '../../common/runtime/run.ts';
import { partitionOf } from '../../common/wire/subjects.ts';
import { ANSWER_MS, WAIT_MS } from './timeouts.ts';
import { Daemon, type Identity } from './daemon.ts';
import { stopWriters } from './log-files.ts';
import { PARTITIONS } from './tuned.ts';

/** Stands in a server's configuration for where it stores, in quotes. */
export const STORE = '"<store>"';

/** A directory, a server, and what runs on it. */
export class World {
  readonly dir: string;
  readonly host = 'web1';
  server: NatsServer;
  /** How many the stream has. */
  partitions = PARTITIONS;
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

  /** Creates the stream with so many partitions, where the number of tests will not do. */
  async setUp(partitions: number, login: readonly string[] = []): Promise<void> {
    const setup = ['setup', '--partitions', String(partitions), '--server', this.url, ...login];
    assert.equal(await this.start('setup', setup).exited, 0);
    this.partitions = partitions;
  }

  /** On its port again; `config` in place of the one it had. */
  async restartServer(config = this.#config): Promise<void> {
    // The one that there is waits before it connects again.
    this.#records = undefined;
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
      const last = await jsm.streams.getMessage('LOGS', { last_by_subj: `logs.${partition}.*.*` });
      const { record } = await (await this.records()).read(partition);
      return (last?.seq ?? 0) - (record?.stream.seq ?? 0);
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
    await stopWriters(this.source);
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
