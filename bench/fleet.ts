// A nats-server and receivers that share one stream, each with a directory of its own.

import { mkdir } from 'node:fs/promises';
import path from 'node:path';

import { LogferryError } from '../common/runtime/errors.ts';
import { silentLogger } from '../common/runtime/log.ts';
import { type Link, openLink } from '../common/nats/connection.ts';
import { type NatsServer, startNatsServer } from '../cli/nats-server/nats-server.ts';
import { RecordStore } from '../common/record/store.ts';
import { inParallel, until } from '../common/runtime/run.ts';
import { ensureStream } from '../common/stream/stream.ts';
import { partitionOf } from '../common/wire/subjects.ts';
import { DEFAULT_STREAM } from '../common/wire/topology.ts';
import { LogferryProcess } from './logferry-process.ts';
import { type Usage, usageOf } from './process-usage.ts';
import { RecordWatch } from './record-watch.ts';
import type { SimulatedFile } from './simulated-hosts.ts';
import type { WorldOptions } from './world.ts';
import { tuning } from '../common/runtime/tuning.ts';

export const PREFIX = 'logs';
export const PARTITIONS = tuning.partitions;

const SETTLE_TIMEOUT_MS = 60_000;
const READS_AT_ONCE = 16;

export interface FleetOptions extends WorldOptions {
  readonly lease?: string;
  /** `ulimit -n` for the receivers. */
  readonly mostDescriptors?: number;
}

/** One of several worlds, with directories of its own. */
export function partOf(world: WorldOptions, name: string): WorldOptions {
  const { dir, profile } = world;
  return {
    ...world,
    dir: path.join(dir, name),
    profile: profile === undefined ? undefined : path.join(profile, name),
  };
}

export class Fleet {
  readonly server: NatsServer;
  readonly link: Link;
  readonly store: RecordStore;
  readonly watch: RecordWatch;
  readonly signal: AbortSignal;
  readonly #options: FleetOptions;
  readonly #receivers = new Map<string, LogferryProcess>();
  /** Every name that a receiver ever had. */
  readonly #ids = new Set<string>();
  #starts = 0;

  private constructor(options: FleetOptions, server: NatsServer, link: Link) {
    this.#options = options;
    this.signal = options.signal;
    this.server = server;
    this.link = link;
    this.store = new RecordStore(link, DEFAULT_STREAM, silentLogger());
    this.watch = new RecordWatch(link, DEFAULT_STREAM);
  }

  /** The server, the stream and the buckets; no receivers yet. */
  static async start(options: FleetOptions): Promise<Fleet> {
    const { dir, binary, signal } = options;
    await mkdir(dir, { recursive: true });
    const server = await startNatsServer({ dir: path.join(dir, 'nats'), binary, signal });
    try {
      const link = await openLink({ server: server.url }, { name: 'bench', log: silentLogger(), signal });
      const names = { stream: DEFAULT_STREAM, prefix: PREFIX };
      await ensureStream(link, names, { defaultPartitions: PARTITIONS });
      return new Fleet(options, server, link);
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** Starts a receiver, on the directory that it had before if there was one of that name. */
  receive(id: string): LogferryProcess {
    const { dir, lease = '6s', profile, mostDescriptors } = this.#options;
    this.#starts += 1;
    const name = `${id}-${this.#starts}.cpuprofile`;
    const flags =
      profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${name}`];
    const args = ['receive', '--out', this.#out(id), '--id', id, '--lease', lease];
    const receiver = new LogferryProcess(
      [...args, '--server', this.server.url],
      path.join(dir, `${id}.log`),
      flags,
      mostDescriptors,
    );
    this.#receivers.set(id, receiver);
    this.#ids.add(id);
    return receiver;
  }

  #out(id: string): string {
    return path.join(this.#options.dir, id);
  }

  /** The output directories of all receivers there ever were. */
  get outs(): string[] {
    return [...this.#ids].map((id) => this.#out(id));
  }

  usage(id: string): Usage {
    return needUsage(this.#receivers.get(id)?.pid ?? 0);
  }

  serverCpuMs(): number {
    return needUsage(this.server.pid).cpuMs;
  }

  /** Of all receivers that run, together. */
  receiversCpuMs(): number {
    return [...this.#receivers.keys()].reduce((sum, id) => sum + this.usage(id).cpuMs, 0);
  }

  /** The owner of each partition by its record, null for nobody. */
  async owners(): Promise<(string | null)[]> {
    const owners = Array.from({ length: PARTITIONS }, (): string | null => null);
    await inParallel(owners.keys(), READS_AT_ONCE, async (partition) => {
      owners[partition] = (await this.store.read(partition)).record?.owner ?? null;
    });
    return owners;
  }

  /** Waits until the receivers share the partitions evenly. Throws `failed` when they do not in a minute. */
  async settle(): Promise<void> {
    const ids = [...this.#receivers.keys()];
    const least = Math.floor(PARTITIONS / ids.length);
    const isEven = async (): Promise<boolean> => {
      const owners = await this.owners();
      const shares = ids.map((id) => owners.filter((owner) => owner === id).length);
      return (
        shares.every((share) => share === least || share === least + 1) &&
        shares.reduce((sum, share) => sum + share, 0) === PARTITIONS
      );
    };
    await this.wait(isEven, SETTLE_TIMEOUT_MS, 'the receivers do not share the partitions evenly');
  }

  /** Waits until all that was published of the files is committed. */
  async committed(files: readonly SimulatedFile[], timeoutMs: number, everyMs = 20): Promise<void> {
    const last = new Map<number, number>();
    for (const { host, seq } of files) {
      const partition = partitionOf(host, PARTITIONS);
      last.set(partition, Math.max(last.get(partition) ?? 0, seq));
    }
    const isCommitted = (): boolean =>
      [...last].every(([partition, seq]) => this.watch.committed(partition) >= seq);
    await this.wait(isCommitted, timeoutMs, 'not everything was committed', everyMs);
  }

  /** Throws `failed` with this reason when the condition does not come true in time. */
  async wait(
    condition: () => boolean | Promise<boolean>,
    timeoutMs: number,
    otherwise: string,
    everyMs = 50,
  ): Promise<void> {
    const { signal } = this;
    const came = await until(condition, { timeoutMs, everyMs, signal });
    signal.throwIfAborted();
    if (!came)
      throw new LogferryError('failed', `${otherwise} after ${timeoutMs / 1_000} s`, 'run again with --keep');
  }

  /** A clean stop of one receiver. */
  async stopReceiver(id: string): Promise<void> {
    const receiver = this.#receivers.get(id);
    await receiver?.stop();
    this.#receivers.delete(id);
  }

  async killReceiver(id: string): Promise<void> {
    const receiver = this.#receivers.get(id);
    this.#receivers.delete(id);
    await receiver?.kill();
  }

  /** All receivers at once. */
  async stopReceivers(): Promise<void> {
    await Promise.all([...this.#receivers.keys()].map(async (id) => await this.stopReceiver(id)));
  }

  async stop(): Promise<void> {
    await this.stopReceivers();
    this.watch.close();
    await this.link.close();
    await this.server.stop();
  }
}

function needUsage(pid: number): Usage {
  const usage = usageOf(pid);
  if (usage === undefined)
    throw new LogferryError('failed', `process ${pid} is gone`, 'run again with --keep');
  return usage;
}
