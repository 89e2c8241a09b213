// A host in memory: its disk, its shipper, the stream and the receiver. The shipper is the real one.

import { once } from 'node:events';

import { Pulse } from '../../../common/health/pulse.ts';
import type { Logger } from '../../../common/runtime/log.ts';
import type { Registration } from '../../../common/fleet/members.ts';
import { type FileStamp, isSameFile } from '../../../shipper/files/identity.ts';
import { State } from '../../../shipper/files/state.ts';
import type { ShipOptions } from '../../../shipper/options.ts';
import { noShipperCounts } from '../../../shipper/report/counts.ts';
import { Session } from '../../../shipper/session.ts';
import type { Said } from '../../faults/tailing/oracle.ts';
import type { HostShipper, Site } from '../../faults/tailing/site.ts';
import { staysOpen } from '../../faults/tailing/stays-open.ts';
import { Broker } from './broker.ts';
import { clock, type Life } from './clock.ts';
import { FileSystem, type FileSystemOptions, mount } from './file-system.ts';
import { trace } from './trace.ts';
import { tellChanges } from './watch.ts';

const STATE = '/state';
const LOGS = '/logs';
const ROTATE_WAIT_MS = 300_000;
const WARNING = 40;

/** What a simulated host is like. */
export interface HostOptions extends FileSystemOptions {
  /** Whether changes are told: else the shipper looks every few seconds. */
  readonly isWatched: boolean;
}

export class SimulatedSite implements Site {
  readonly directory = LOGS;
  readonly hasBirths: boolean;
  readonly isShared = true;
  readonly shipper: SimulatedShipper;
  readonly #broker: Broker;

  constructor(options: HostOptions) {
    this.hasBirths = options.hasBirths;
    const disk = new FileSystem(options);
    mount(disk);
    disk.make(LOGS, 'directory');
    tellChanges(options.isWatched);
    this.#broker = new Broker(options.random);
    this.shipper = new SimulatedShipper(disk, this.#broker);
  }

  async arrived(log: string): Promise<Buffer> {
    return await Promise.resolve(this.#broker.arrived(log));
  }

  async strangers(logs: readonly string[]): Promise<readonly string[]> {
    return await Promise.resolve(this.#broker.paths.filter((path) => !logs.includes(path)));
  }

  async disconnect(): Promise<void> {
    this.#broker.down();
    await Promise.resolve();
  }

  async serve(): Promise<void> {
    this.#broker.up();
    await Promise.resolve();
  }

  end(): void {}
}

class SimulatedShipper implements HostShipper {
  readonly #disk: FileSystem;
  readonly #broker: Broker;
  readonly #said = new Map<string, Said>();
  #life: Life | undefined;
  #stop = new AbortController();
  #done: Promise<void> = Promise.resolve();
  #kept: Buffer | undefined;

  constructor(disk: FileSystem, broker: Broker) {
    this.#disk = disk;
    this.#broker = broker;
  }

  get runs(): boolean {
    return this.#life !== undefined;
  }

  startInside(): void {
    this.startProcess();
  }

  startProcess(): void {
    const life = { isOver: false };
    this.#life = life;
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#done = clock.live(life, async () => {
      await this.#ship(signal);
    });
    // Whoever waits for it gets the error.
    this.#done.catch(() => {});
  }

  async #ship(signal: AbortSignal): Promise<void> {
    const options = optionsFor(this.#log());
    const state = await State.open(STATE, options.host, options.log);
    const run = { started: '', counts: noShipperCounts(false), pulse: new Pulse() };
    const registration = { beatWhenDue: async () => {} } as unknown as Registration;
    const nothing = async (): Promise<void> => {};
    const session = new Session(options, state, this.#broker.host(), nothing, registration, undefined, run);
    try {
      await session.run(signal);
    } finally {
      await session.stop();
      await state.close();
    }
    if (!signal.aborted) await once(signal, 'abort');
  }

  #log(): Logger {
    const note =
      (level: number) =>
      (...all: readonly unknown[]): void => {
        const [about, msg] = all.length > 1 ? all : [{}, all[0]];
        const one = { level, msg: String(msg), ...(about as object) } as Said;
        trace(`${level} ${one.msg} ${one.path ?? ''} ${one.file ?? ''}`);
        if (level >= WARNING) this.#said.set(`${one.msg} ${one.file}`, one);
      };
    const [debug, info, warn, error] = [20, 30, 40, 50].map(note);
    return { debug, info, warn, error } as unknown as Logger;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
    this.#life = undefined;
  }

  async kill(): Promise<void> {
    const life = this.#life;
    if (life === undefined) return;
    this.#life = undefined;
    clock.kill(life);
    this.#disk.closeAllOf(life);
    await Promise.resolve();
  }

  async keepState(): Promise<void> {
    this.#kept = Buffer.from(this.#stateFile() ?? '');
    await Promise.resolve();
  }

  async putBackState(): Promise<boolean> {
    if (this.#kept === undefined) return false;
    await this.loseState();
    this.#disk.make(STATE_FILE, 'file').write(this.#kept, 0);
    return true;
  }

  async loseState(): Promise<void> {
    for (const file of this.#disk.below(STATE)) this.#disk.unlink(file);
    await Promise.resolve();
  }

  async holds(name: string): Promise<boolean> {
    return await staysOpen(() => this.#hasOpen(name));
  }

  #hasOpen(name: string): boolean {
    const inode = this.#disk.find(name, true);
    const life = this.#life;
    const held = [...this.#disk.descriptors.values()];
    return life !== undefined && held.some((each) => each.life === life && each.inode === inode);
  }

  async knownSize(source: string, stamp: FileStamp): Promise<number | undefined> {
    const text = this.#stateFile();
    if (text === undefined) return undefined;
    const state = JSON.parse(text.toString()) as {
      sources: Record<string, (FileStamp & { size: number })[]>;
    };
    const known = state.sources[source]?.find((entry) => isSameFile(entry, stamp))?.size;
    return await Promise.resolve(known);
  }

  #stateFile(): Buffer | undefined {
    return this.#disk.find(STATE_FILE, true)?.bytes;
  }

  said(): Said[] {
    return [...this.#said.values()];
  }
}

const STATE_FILE = `${STATE}/state.json`;

function optionsFor(log: Logger): ShipOptions {
  return {
    server: { server: '' },
    stream: 'LOGS',
    prefix: 'logs',
    hubDomain: undefined,
    sources: [
      {
        globs: [`${LOGS}/*.log`],
        exclude: [],
        defaultExcludes: true,
        from: 'beginning',
        ignoreOlderMs: undefined,
        rotateWaitMs: ROTATE_WAIT_MS,
        followSymlinks: true,
        pathPrefix: undefined,
      },
    ],
    stdin: undefined,
    ownLogs: [],
    host: 'web1',
    state: STATE,
    compression: 'none',
    maxRate: undefined,
    once: false,
    timeoutMs: undefined,
    leaseMs: 10_000,
    log,
  };
}
