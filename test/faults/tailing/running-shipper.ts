// The shipper of a model's host: in this process, or in one of its own that can be killed. Tells which files it holds
// open, what its state says of a size, and what it has reported as lost.

import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { cp, readFile, rm } from 'node:fs/promises';
import path from 'node:path';

import { systemCode } from '../../../common/runtime/errors.ts';
import { createLog } from '../../../common/runtime/log.ts';
import { type FileStamp, isSameFile } from '../../../shipper/files/identity.ts';
import type { Daemon } from '../../support/daemon.ts';
import { InProcessShipper } from '../../support/in-process.ts';
import type { World } from '../../support/world.ts';
import { type Said, saidIn } from './oracle.ts';
import { staysOpen } from './stays-open.ts';
import type { HostShipper } from './site.ts';

export class RunningShipper implements HostShipper {
  readonly #world: World;
  readonly #host: string;
  readonly #glob: string;
  readonly #url: () => string;
  #stop: (() => Promise<void>) | undefined;
  #daemon: Daemon | undefined;

  /** @param url of the server, as it is when it starts */
  constructor(world: World, host: string, glob: string, url: () => string = () => world.server.url) {
    this.#url = url;
    this.#world = world;
    this.#host = host;
    this.#glob = glob;
    world.atEnd(async () => {
      await this.stop();
    });
  }

  get runs(): boolean {
    return this.#stop !== undefined;
  }

  get #state(): string {
    return path.join(this.#world.dir, `state-${this.#host}`);
  }

  said(): Said[] {
    return saidIn(this.#logFile);
  }

  /** Where {@link World.start} writes it. */
  get #logFile(): string {
    return path.join(this.#world.dir, `ship-${this.#host}.log`);
  }

  /** In this process. */
  startInside(): void {
    const log = createLog({ level: 'debug', file: { file: this.#logFile, maxBytes: 1e9, keep: 1 } }).log;
    const shipper = new InProcessShipper(this.#world, this.#host, this.#glob, log, this.#url());
    this.#stop = async () => {
      await shipper.stop();
    };
  }

  startProcess(): void {
    const daemon = this.#world.start(`ship-${this.#host}`, [
      ...['ship', this.#glob, '--host', this.#host, '--state', this.#state],
      ...['--server', this.#url(), '--lease', '2s', '--log-level', 'debug'],
    ]);
    this.#daemon = daemon;
    this.#stop = async () => {
      await daemon.stop();
    };
  }

  /** A clean stop. */
  async stop(): Promise<void> {
    const stop = this.#stop;
    this.#stop = undefined;
    this.#daemon = undefined;
    await stop?.();
  }

  /** SIGKILL where it has a process of its own, else a clean stop. */
  async kill(): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === undefined) return await this.stop();
    this.#stop = undefined;
    this.#daemon = undefined;
    await daemon.kill();
  }

  /** What is kept of the state, to be put back when it is an older one. */
  async keepState(): Promise<void> {
    await rm(this.#kept, { recursive: true, force: true });
    if (existsSync(this.#state)) await cp(this.#state, this.#kept, { recursive: true });
  }

  get #kept(): string {
    return `${this.#state}.kept`;
  }

  /** Whether there is an older one. */
  async putBackState(): Promise<boolean> {
    if (!existsSync(this.#kept)) return false;
    await this.loseState();
    await cp(this.#kept, this.#state, { recursive: true });
    return true;
  }

  async loseState(): Promise<void> {
    await rm(this.#state, { recursive: true, force: true });
  }

  /** Whether it keeps the file of this name open. */
  async holds(name: string): Promise<boolean> {
    const { ino, dev } = statSync(name, { bigint: true });
    return await staysOpen(() => this.#hasOpen(ino, dev));
  }

  #hasOpen(ino: bigint, dev: bigint): boolean {
    if (!this.runs) return false;
    const proc = `/proc/${this.#daemon?.child.pid ?? 'self'}`;
    try {
      return readdirSync(`${proc}/fd`).some((fd) => isReading(proc, fd, ino, dev));
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return false;
      throw error;
    }
  }

  /** The size of a file's only generation, as the state says that was saved last. */
  async knownSize(source: string, stamp: FileStamp): Promise<number | undefined> {
    try {
      const state = JSON.parse(await readFile(path.join(this.#state, 'state.json'), 'utf8')) as {
        sources: Record<string, (FileStamp & { size: number })[]>;
      };
      return state.sources[source]?.find((entry) => isSameFile(entry, stamp))?.size;
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }
}

/** The writers of this process hold the same files, but not for reading. */
function isReading(proc: string, fd: string, ino: bigint, dev: bigint): boolean {
  try {
    if (!readlinkSync(`${proc}/fd/${fd}`).startsWith('/')) return false;
    const is = statSync(`${proc}/fd/${fd}`, { bigint: true });
    if (is.ino !== ino || is.dev !== dev) return false;
    const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`${proc}/fdinfo/${fd}`, 'utf8'))?.[1] ?? '1';
    return (Number.parseInt(flags, 8) & 3) === 0;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'EBADF') return false;
    throw error;
  }
}
