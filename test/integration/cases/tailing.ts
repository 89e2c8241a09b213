// What the cases of tailing stand on: one nats-server and one receiver for each test file; for each case a host, a
// directory and a shipper of its own, and everything that was written, to be compared byte by byte.

import assert from 'node:assert/strict';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  readFileSync,
  renameSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { after, before, type TestContext } from 'node:test';

import { createLog } from '../../../common/runtime/log.ts';
import { until } from '../../../common/runtime/run.ts';
import { partitionOf } from '../../../common/wire/subjects.ts';
import type { ShipOptions } from '../../../shipper/options.ts';
import { ship } from '../../../shipper/ship.ts';
import { WAIT_MS } from '../../support/timeouts.ts';
import { Proxy } from '../../support/proxy.ts';
import { central, centralFiles } from '../../support/central-files.ts';
import type { Daemon } from '../../support/daemon.ts';
import { shipOptions } from '../../support/in-process.ts';
import { World } from '../../support/world.ts';
import { PARTITIONS } from '../../support/tuned.ts';
import { moveOn, Remembered } from '../../support/log-files.ts';

const LEASE_MS = 2_000;
/** Longer than a step of a file system's clock, 10 ms at the most. */
const TICK_MS = 12;

/** The world that the cases of one test file share, made before the first and removed after the last. */
export class Cases {
  readonly #name: string;
  #world: World | undefined;
  #failed = false;

  private constructor(name: string) {
    this.#name = name;
  }

  /** To be called once, at the top of a test file. */
  static share(name: string): Cases {
    const cases = new Cases(name);
    before(async () => {
      const world = await World.create(name);
      cases.#world = world;
      world.receive();
      // One connection for all cases, before they begin at once.
      await world.jsm();
      await world.records();
    });
    after(async () => {
      const world = cases.#world;
      if (world === undefined) return;
      await world.end();
      if (cases.#failed) console.error(`# kept for inspection: ${world.dir}`);
      else await rm(world.dir, { recursive: true });
    });
    return cases;
  }

  get world(): World {
    assert.ok(this.#world !== undefined, `BUG: no world for ${this.#name}`);
    return this.#world;
  }

  /** Runs a case on a host that is named after its number. */
  async run(t: TestContext, test: (host: CaseHost) => Promise<void>): Promise<void> {
    const number = /^case (\d\d): /.exec(t.name)?.[1] ?? assert.fail(`${t.name} has no number`);
    await this.on(`case${number}`, test);
  }

  /**
   * Runs something on a host of its own; then compares, stops the shipper, and compares once more: what would come twice
   * has had its time.
   */
  async on(name: string, test: (host: CaseHost) => Promise<void>): Promise<void> {
    const host = new CaseHost(this.world, name);
    try {
      await mkdir(host.dir);
      await test(host);
      await host.arrives();
      await host.stop();
      await host.arrives();
    } catch (error) {
      this.#failed = true;
      throw error;
    } finally {
      await host.end();
    }
  }
}

/** A path that is shipped, and all that its destination must hold, in order. */
export class Log {
  readonly path: string;
  readonly #remembered: Remembered;

  constructor(file: string) {
    this.path = file;
    this.#remembered = new Remembered(path.basename(file));
  }

  /** Appends to the file at the path, which is created where it is missing. */
  append(data: string | Uint8Array, file = this.path): void {
    this.wrote(data);
    appendFileSync(file, data);
  }

  /** Appends lines of which no two are equal; to another file where the writer goes on in one that was renamed. */
  lines(count: number, file = this.path): void {
    this.append(this.#remembered.newLines(count), file);
  }

  /** Was written, or put there, by other means. */
  wrote(data: string | Uint8Array): void {
    this.#remembered.wrote(data);
  }

  get written(): Buffer {
    return this.#remembered.written;
  }

  /** As logrotate does it with `create`; the older ones move on by one. */
  rotate(): void {
    this.#moveOn();
    renameSync(this.path, `${this.path}.1`);
    writeFileSync(this.path, '');
  }

  /** As logrotate does it with `copytruncate`, with nothing written in between. */
  copyTruncate(): void {
    this.#moveOn();
    copyFileSync(this.path, `${this.path}.1`);
    truncateSync(this.path, 0);
  }

  #moveOn(): void {
    tick();
    moveOn(this.path);
  }
}

/** A shipper in this process: what is done without `await` is done between two of its looks. */
export interface Shipper {
  stop(): Promise<void>;
}

export class CaseHost {
  readonly name: string;
  readonly dir: string;
  readonly world: World;
  readonly #logs = new Map<string, Log>();
  readonly #shippers = new Set<Shipper>();
  readonly #daemons = new Set<Daemon>();
  #proxy: Proxy | undefined;

  constructor(world: World, name: string) {
    this.world = world;
    this.name = name;
    this.dir = path.join(world.source, name);
  }

  file(name: string): string {
    return path.join(this.dir, name);
  }

  log(name: string): Log {
    const log = this.#logs.get(name) ?? new Log(this.file(name));
    this.#logs.set(name, log);
    return log;
  }

  get state(): string {
    return path.join(this.world.dir, `state-${this.name}`);
  }

  get logFile(): string {
    return path.join(this.world.dir, `ship-${this.name}.log`);
  }

  /** A way to the server that can be closed, or made to lose messages; shippers that start later take it. */
  async proxy(): Promise<Proxy> {
    return (this.#proxy ??= await Proxy.start(this.world.server.port));
  }

  get #server(): string {
    return this.#proxy?.url ?? this.world.server.url;
  }

  /** Ships from this process. */
  ship(glob = '*.log', options: Partial<ShipOptions> = {}): Shipper {
    const stop = new AbortController();
    const running = ship(
      {
        ...shipOptions(this.world, this.name, this.file(glob)),
        server: { server: this.#server },
        log: createLog({ level: 'debug', file: { file: this.logFile, maxBytes: 1e9, keep: 1 } }).log,
        ...options,
      },
      stop.signal,
    );
    // Whoever stops it gets the error.
    running.catch(() => {});
    const shipper: Shipper = {
      stop: async () => {
        this.#shippers.delete(shipper);
        stop.abort();
        await running;
      },
    };
    this.#shippers.add(shipper);
    return shipper;
  }

  /** Ships in a process, which can be killed. */
  shipProcess(glob = '*.log', through: readonly string[] = []): Daemon {
    const args = ['ship', this.file(glob), '--host', this.name, '--state', this.state];
    const more = ['--server', this.#server, '--lease', `${LEASE_MS}ms`, '--log-level', 'debug'];
    const daemon = this.world.start(`ship-${this.name}`, [...args, ...more], through);
    this.#daemons.add(daemon);
    return daemon;
  }

  /** Waits until the shipper has said this; counted from the beginning of its log. */
  async says(pattern: RegExp, times = 1): Promise<void> {
    const count = (): number =>
      existsSync(this.logFile)
        ? readFileSync(this.logFile, 'utf8')
            .split('\n')
            .filter((line) => pattern.test(line)).length
        : 0;
    const said = await until(() => count() >= times, { timeoutMs: WAIT_MS });
    assert.ok(said, `${String(pattern)} was not said ${times} times, see ${this.logFile}`);
  }

  /**
   * Waits until all that was written is at the destination and all that was published is committed, then compares:
   * every byte once, in order, and no other file of this host.
   */
  async arrives(): Promise<void> {
    const logs = [...this.#logs.values()];
    const { out } = this.world;
    const size = async (log: Log): Promise<number> => {
      const files = await centralFiles(out, this.name, log.path).catch(() => []);
      return files.reduce((sum, file) => sum + statSync(file).size, 0);
    };
    const isThere = async (): Promise<boolean> => {
      for (const log of logs) if ((await size(log)) < log.written.length) return false;
      return await this.#isProcessed();
    };
    await until(isThere, { timeoutMs: WAIT_MS, everyMs: 30 });
    const expected = new Set<string>();
    for (const log of logs) {
      const want = log.written;
      const got = await central(out, this.name, log.path);
      if (!want.equals(got)) assert.fail(`${log.path} ${difference(want, got)}\n see ${this.logFile}`);
      if (want.length > 0)
        for (const file of await centralFiles(out, this.name, log.path)) expected.add(file);
    }
    assert.deepEqual(await this.centralNames(), [...expected].toSorted(), 'files at the destination');
  }

  /** Every file of this host at the destination. */
  async centralNames(): Promise<string[]> {
    const root = path.join(this.world.out, this.name);
    const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
    return entries
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
      .toSorted();
  }

  /** The newest message of this host, 0 for none. */
  async lastSeq(): Promise<number> {
    const jsm = await this.world.jsm();
    const partition = partitionOf(this.name, PARTITIONS);
    const subject = `logs.${partition}.${this.name}.*`;
    return (await jsm.streams.getMessage('LOGS', { last_by_subj: subject }))?.seq ?? 0;
  }

  async #isProcessed(): Promise<boolean> {
    const { record } = await (await this.world.records()).read(partitionOf(this.name, PARTITIONS));
    return (record?.stream.seq ?? 0) >= (await this.lastSeq());
  }

  /** Ends every shipper, cleanly. */
  async stop(): Promise<void> {
    await Promise.all([...this.#shippers].map(async (shipper) => await shipper.stop()));
    for (const daemon of this.#daemons) await daemon.stop();
    this.#daemons.clear();
  }

  /** Ends whatever is left of a case. */
  async end(): Promise<void> {
    await Promise.allSettled([...this.#shippers].map(async (shipper) => await shipper.stop()));
    for (const daemon of this.#daemons) await daemon.kill();
    this.#proxy?.end();
  }
}

/** The clock of a file system goes in steps of a few milliseconds: what was created in one step has no order. */
function tick(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, TICK_MS);
}

function difference(want: Buffer, got: Buffer): string {
  let at = 0;
  while (at < want.length && want[at] === got[at]) at += 1;
  const around = (data: Buffer): string =>
    JSON.stringify(data.subarray(Math.max(0, at - 60), at + 60).toString());
  return (
    `has ${want.length} bytes, its destination ${got.length}; they differ at ${at}\n` +
    ` written ${around(want)}\n found ${around(got)}`
  );
}
