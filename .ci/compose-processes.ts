// The services of a compose file as plain processes on this machine: their own commands, environments and
// configuration files, with a directory for each volume and a free port for each that a nats-server listens on. Never
// needs a container engine; networks, base images and limits are not in it.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { freePort } from '../cli/nats-server/port.ts';
import { until as comesTrue } from '../common/runtime/run.ts';
import { ANSWER_MS, WAIT_MS } from '../test/support/timeouts.ts';
import type { Service } from './docker-compose.ts';
import type { Image } from './image.ts';

/** What the nats-servers of the compose file listen on, each in its own container. */
const NATS_PORTS = ['4222', '6222', '8222'];
/** What logferry serves its metrics on: here any free port, which its log names. */
const METRICS = /0\.0\.0\.0:960[12]/g;

export interface Start {
  /** In place of the service's own, added to it. */
  readonly env?: Readonly<Record<string, string>>;
  /** In place of the service's command. */
  readonly command?: readonly string[];
}

export class ComposeProcesses {
  readonly #image: Image;
  readonly #services: Readonly<Record<string, Service>>;
  readonly #natsServer: string;
  readonly #directory: string;
  /** What a text that stands for a container's port means here, as in `nats-1:4222`. */
  readonly #ports = new Map<string, number>();
  readonly #running: ChildProcess[] = [];
  /** Services whose mounted directories are there: once written they stay as they are, since others read them. */
  readonly #copied = new Set<string>();

  private constructor(
    image: Image,
    services: Readonly<Record<string, Service>>,
    natsServer: string,
    directory: string,
  ) {
    this.#image = image;
    this.#services = services;
    this.#natsServer = natsServer;
    this.#directory = directory;
  }

  /** @param directory new, and one that the image's user may enter */
  static async make(
    image: Image,
    services: Readonly<Record<string, Service>>,
    natsServer: string,
    directory: string,
  ): Promise<ComposeProcesses> {
    mkdirSync(directory, { recursive: true });
    const made = new ComposeProcesses(image, services, natsServer, directory);
    for (const name of made.natsServers)
      for (const port of NATS_PORTS) made.#ports.set(`${name}:${port}`, await freePort());
    for (const { volumes = [] } of Object.values(services))
      for (const { source, target, type } of volumes) if (type === 'volume') made.#makeVolume(source, target);
    return made;
  }

  get natsServers(): string[] {
    return Object.keys(this.#services).filter(
      (name) => this.service(name).image?.startsWith('nats:') === true,
    );
  }

  service(name: string): Service {
    return this.#services[name] ?? assert.fail(`no service ${name}`);
  }

  /** The directory that stands for a volume. */
  volume(name: string, target: string): string {
    return path.join(this.#directory, 'volumes', name, target);
  }

  /** What a path, a command or a variable of a service is here. */
  here(name: string, text: string): string {
    for (const { source, target, type } of this.service(name).volumes ?? [])
      text = text.replaceAll(
        target,
        type === 'volume' ? this.volume(source, target) : this.#bound(name, target),
      );
    text = text.replaceAll(METRICS, '127.0.0.1:0');
    for (const [address, port] of this.#ports) text = text.replaceAll(address, `127.0.0.1:${port}`);
    for (const port of NATS_PORTS)
      text = text.replaceAll(
        new RegExp(`(?:0\\.0\\.0\\.0|127\\.0\\.0\\.1):${port}`, 'g'),
        `127.0.0.1:${this.#ports.get(`${name}:${port}`)}`,
      );
    return text;
  }

  /** A service of the image, or of a public one whose command this machine has. */
  start(name: string, { env = {}, command }: Start = {}): ChildProcess {
    const isOwn = this.service(name).build !== undefined;
    const log = openSync(path.join(this.#directory, `${name}.log`), 'a');
    const [file = '', ...args] = this.#commandOf(name, command);
    const child = spawn(file, args, {
      cwd: '/',
      env: { ...this.#environmentOf(name), ...env },
      stdio: ['ignore', log, log],
      ...(isOwn ? this.#image.user : {}),
    });
    this.#running.push(child);
    return child;
  }

  /** Runs a service of the image to its end; throws what it says when it fails. Returns its stdout. */
  run(name: string, { env = {}, command }: Start = {}): string {
    const { code, stdout, stderr } = this.tryRun(name, { env, ...(command && { command }) });
    assert.equal(code, 0, `${name}: ${stderr}`);
    return stdout;
  }

  /** Runs a service of the image to its end. */
  tryRun(
    name: string,
    { env = {}, command }: Start = {},
  ): { code: number | null; stdout: string; stderr: string } {
    const [file = '', ...args] = this.#commandOf(name, command);
    const { status, stdout, stderr, error } = spawnSync(file, args, {
      cwd: '/',
      env: { ...this.#environmentOf(name), ...env },
      encoding: 'utf8',
      maxBuffer: 100_000_000,
      timeout: WAIT_MS,
      killSignal: 'SIGKILL',
      ...this.#image.user,
    });
    if (error !== undefined) throw error;
    return { code: status, stdout, stderr };
  }

  /** Whether the health check of a service would succeed now. */
  async isHealthy(name: string): Promise<boolean> {
    try {
      const url = this.here(name, this.service(name).healthcheck?.test.at(-1) ?? '');
      return (await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) })).ok;
    } catch {
      // Not up yet.
      return false;
    }
  }

  logOf(name: string): string {
    return readFileSync(path.join(this.#directory, `${name}.log`), 'utf8');
  }

  /** Throws, with the ends of all logs, when it does not come true in time. */
  async until(condition: () => boolean | Promise<boolean>, timeoutMs: number, what: string): Promise<void> {
    if (await comesTrue(condition, { timeoutMs })) return;
    for (const name of readdirSync(this.#directory).filter((entry) => entry.endsWith('.log')))
      console.log(`${name}: ${readFileSync(path.join(this.#directory, name), 'utf8').slice(-2_000)}`);
    assert.fail(`not within ${timeoutMs / 1_000} s: ${what}`);
  }

  /** SIGTERM; returns the exit code. */
  async stop(child: ChildProcess): Promise<number | null> {
    return await this.#end(child, 'SIGTERM');
  }

  async kill(child: ChildProcess): Promise<void> {
    await this.#end(child, 'SIGKILL');
  }

  /** Throws, with the ends of all logs, when the process is gone already, and when it does not go. */
  async #end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
    const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
    const command = child.spawnargs.join(' ');
    await this.until(() => !hasEnded(), 0, `still running, to be stopped: ${command}`);
    child.kill(signal);
    await this.until(hasEnded, WAIT_MS, `ended by ${signal}: ${command}`);
    return child.exitCode;
  }

  /** Ends what still runs. */
  end(): void {
    for (const child of this.#running) child.kill('SIGKILL');
  }

  /** A new volume takes the owner of what the image has at its place. */
  #makeVolume(name: string, target: string): void {
    const directory = this.volume(name, target);
    mkdirSync(directory, { recursive: true });
    const { uid, gid } = statSync(path.join(this.#image.root, target), { throwIfNoEntry: false }) ?? {};
    if (process.getuid?.() === 0 && uid !== undefined && gid !== undefined) chownSync(directory, uid, gid);
  }

  /** A mounted directory of the checkout, with this machine's ports and directories in its files. */
  #bound(name: string, target: string): string {
    return path.join(this.#directory, name, target);
  }

  #copyBound(name: string): void {
    if (this.#copied.has(name)) return;
    this.#copied.add(name);
    for (const { source, target, type } of this.service(name).volumes ?? []) {
      if (type !== 'bind') continue;
      const directory = this.#bound(name, target);
      mkdirSync(directory, { recursive: true });
      for (const file of readdirSync(source))
        writeFileSync(
          path.join(directory, file),
          this.here(name, readFileSync(path.join(source, file), 'utf8')),
        );
    }
  }

  #commandOf(name: string, other: readonly string[] | undefined): string[] {
    this.#copyBound(name);
    const { image = '', entrypoint, command } = this.service(name);
    const own = image.startsWith('nats:')
      ? [this.#natsServer]
      : image.startsWith('busybox:')
        ? []
        : this.#image.entrypoint;
    return [...(entrypoint ?? own), ...(other ?? command ?? [])].map((text) => this.here(name, text));
  }

  #environmentOf(name: string): Record<string, string> {
    const { root, env } = this.#image;
    const entries = Object.entries(this.service(name).environment ?? {});
    return {
      PATH: `${root}/usr/local/bin:${path.dirname(process.execPath)}:/usr/bin:/bin`,
      HOSTNAME: 'container',
      ...Object.fromEntries(Object.entries(env).map(([key, value]) => [key, this.#mounted(name, value)])),
      ...Object.fromEntries(entries.map(([key, value]) => [key, this.here(name, value)])),
    };
  }

  /** A directory of the image, or the one that stands for it where a volume is mounted below. */
  #mounted(name: string, directory: string): string {
    const { root } = this.#image;
    if (!directory.startsWith(root)) return directory;
    const inside = directory.slice(root.length);
    const mount = this.service(name).volumes?.find(({ target }) => target.startsWith(`${inside}/`));
    return mount === undefined ? directory : this.volume(mount.source, inside);
  }
}
