// What both modes run on: a nats-server of their own, and a receiver that owns the host's partition.

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { type NatsServer, startNatsServer } from '../cli/nats-server/nats-server.ts';
import { type Segment, segmentsOf } from '../receiver/disk/segments.ts';
import { destinationOf, type Format } from '../receiver/ledger/names.ts';
import { joinSource, readContents, readPieces } from '../receiver/read/reader.ts';
import { LogferryProcess } from './logferry-process.ts';
import { CLUSTER_READY_MS, clusterConfigs } from './nats-cluster.ts';
import { type Usage, usageOf } from './process-usage.ts';

export const HOST = 'bench';

export interface WorldOptions {
  readonly dir: string;
  /** The nats-server binary. */
  readonly binary: string;
  /** How the receiver writes; undefined for plain. */
  readonly format?: Format;
  /** Where the shipper and the receiver leave V8 CPU profiles; undefined for none. */
  readonly profile: string | undefined;
  /** Flags beside the usual ones. */
  readonly shipFlags?: readonly string[];
  /** 3 for a cluster that keeps as many copies. */
  readonly servers?: number;
  readonly signal: AbortSignal;
}

export class World {
  readonly dir: string;
  readonly receiver: LogferryProcess;
  readonly #servers: readonly NatsServer[];
  readonly #options: WorldOptions;
  #ships = 0;

  private constructor(options: WorldOptions, servers: readonly NatsServer[], receiver: LogferryProcess) {
    this.#options = options;
    this.dir = options.dir;
    this.#servers = servers;
    this.receiver = receiver;
  }

  /** Resolves when a first line has been committed: the stream is there, and the receiver owns the partition. */
  static async start(options: WorldOptions): Promise<World> {
    const { dir, signal, servers: count = 1, format = 'plain' } = options;
    await mkdir(dir);
    const servers = await startServers(options, count);
    const server = ['--server', servers.map(({ url }) => url).join(',')];
    if (count > 1)
      await new LogferryProcess(
        ['setup', '--replicas', String(count), ...server],
        path.join(dir, 'setup.log'),
        [],
      ).done(signal);
    const args = ['receive', '--out', path.join(dir, 'out'), '--format', format, ...server];
    const receiver = new LogferryProcess(args, path.join(dir, 'receive.log'), profiler(options, 'receiver'));
    const world = new World(options, servers, receiver);
    try {
      await writeFile(world.first, 'a first line\n');
      await world.ship(world.first, ['--once']).done(signal);
    } catch (error) {
      await world.stop();
      throw error;
    }
    return world;
  }

  /** A shipper with a state directory of its own. */
  ship(file: string, extra: readonly string[], profile = false): LogferryProcess {
    this.#ships += 1;
    const state = path.join(this.dir, `state-${this.#ships}`);
    const usual = ['--host', HOST, '--state', state, '--server', this.urls];
    const args = ['ship', file, ...usual, ...(this.#options.shipFlags ?? []), ...extra];
    const flags = profile ? profiler(this.#options, 'shipper') : [];
    return new LogferryProcess(args, path.join(this.dir, 'ship.log'), flags);
  }

  /** Prints to nowhere. */
  tail(extra: readonly string[]): LogferryProcess {
    const flags = profiler(this.#options, 'tail');
    const args = ['tail', '--server', this.urls, ...extra];
    return new LogferryProcess(args, path.join(this.dir, 'tail.log'), flags, undefined, 'nowhere');
  }

  get serverPids(): readonly number[] {
    return this.#servers.map(({ pid }) => pid);
  }

  get urls(): string {
    return this.#servers.map(({ url }) => url).join(',');
  }

  /** The one central file of a source that is not rotated there. */
  destination(file: string): string {
    return path.join(this.dir, 'out', destinationOf(HOST, file));
  }

  /** A file of one line that was shipped before anything else. */
  get first(): string {
    return path.join(this.dir, 'first.log');
  }

  /** Flags of Node for one more process that is to be profiled. */
  profiler(name: string): string[] {
    return profiler(this.#options, name);
  }

  get format(): Format {
    return this.#options.format ?? 'plain';
  }

  /** A file with the bytes that `cat` gives of a source. */
  async unpack(file: string): Promise<string> {
    const { runs, known } = await readContents([path.join(this.dir, 'out')]);
    const name = path.join(this.dir, 'unpacked');
    await writeFile(name, readPieces(joinSource(runs, HOST, file, known)?.pieces ?? []));
    return name;
  }

  /** The files that hold a source's bytes, in their order; names are absolute. */
  async central(file: string): Promise<Segment[]> {
    const out = path.join(this.dir, 'out');
    const segments = await segmentsOf(out, destinationOf(HOST, file));
    return segments.map((segment) => ({ ...segment, name: path.join(out, segment.name) }));
  }

  usage(): { server: Usage; receiver: Usage } {
    const servers = this.#servers.map(({ pid }) => needUsage(pid));
    const sum = (of: (usage: Usage) => number): number => servers.reduce((total, one) => total + of(one), 0);
    const server = { cpuMs: sum(({ cpuMs }) => cpuMs), peakBytes: sum(({ peakBytes }) => peakBytes) };
    return { server, receiver: needUsage(this.receiver.pid) };
  }

  async stop(): Promise<void> {
    await this.receiver.stop();
    await Promise.all(this.#servers.map(async (server) => await server.stop()));
  }
}

/** One alone, or as many that know each other. */
async function startServers({ dir, binary, signal }: WorldOptions, count: number): Promise<NatsServer[]> {
  if (count === 1) return [await startNatsServer({ dir: path.join(dir, 'nats'), binary, signal })];
  const configs = await clusterConfigs(count);
  return await Promise.all(
    configs.map(
      async (config, index) =>
        await startNatsServer({
          dir: path.join(dir, `nats-${index}`),
          readyMs: CLUSTER_READY_MS,
          ...{ binary, signal, config },
        }),
    ),
  );
}

function needUsage(pid: number): Usage {
  const usage = usageOf(pid);
  if (usage === undefined) throw new Error(`process ${pid} is gone`);
  return usage;
}

function profiler({ profile }: WorldOptions, name: string): string[] {
  return profile === undefined
    ? []
    : ['--cpu-prof', `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${name}.cpuprofile`];
}
