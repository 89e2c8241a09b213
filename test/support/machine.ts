// A host of its own in a world that several tests share: its files, its shippers, and everything that arrived from it.

import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { WAIT_MS } from './timeouts.ts';
import { assertClear, ended, stops } from './said.ts';
import { central } from './central-files.ts';
import type { Daemon } from './daemon.ts';
import { World } from './world.ts';

/** A world with a receiver that the tests of a file share, one after the other; kept when one of them fails. */
export class Shared {
  #world: World | undefined;
  #receiver: Daemon | undefined;
  #failed = 0;

  constructor(name: string) {
    before(async () => {
      this.#world = await World.create(name);
      this.#receiver = this.#world.receive();
    });
    after(async () => {
      await this.stopReceiving();
      await this.world.end();
      if (this.#failed > 0) console.error(`# kept for inspection: ${this.world.dir}`);
      else await rm(this.world.dir, { recursive: true });
    });
  }

  get world(): World {
    assert.ok(this.#world !== undefined);
    return this.#world;
  }

  check(name: string, run: (machine: (host: string) => Machine) => Promise<void>): void {
    test(name, async () => {
      this.#failed += 1;
      await run((host) => new Machine(this.world, host));
      this.#failed -= 1;
    });
  }

  async stopReceiving(): Promise<void> {
    if (this.#receiver !== undefined) await stops(this.#receiver);
    this.#receiver = undefined;
  }

  receive(): void {
    this.#receiver = this.world.receive();
  }
}

/** Files of a host of its own, beside others in the same world. */
export class Machine {
  readonly world: World;
  readonly host: string;

  constructor(world: World, host: string) {
    this.world = world;
    this.host = host;
  }

  get dir(): string {
    return path.join(this.world.source, this.host);
  }

  get state(): string {
    return path.join(this.world.dir, `state-${this.host}`);
  }

  path(name: string): string {
    return path.join(this.dir, name);
  }

  async write(name: string, data: string): Promise<void> {
    await mkdir(path.dirname(this.path(name)), { recursive: true });
    appendFileSync(this.path(name), data);
  }

  /** The paths among `args` that are relative become ones below the directory. */
  ship(args: readonly string[], stdin: 'ignore' | 'pipe' | number = 'ignore'): Daemon {
    const absolute = args.map((arg) => (/^[^/:-]+\//.test(arg) ? this.path(arg) : arg));
    const common = ['--host', this.host, '--lease', '2s'];
    const unless = (flag: string, value: string): string[] => (absolute.includes(flag) ? [] : [flag, value]);
    const server = [...unless('--server', this.world.server.url), ...unless('--state', this.state)];
    return this.world.start(`ship-${this.host}`, ['ship', ...absolute, ...common, ...server], [], stdin);
  }

  /** Ships what is there, until all of it is committed. */
  async once(args: readonly string[]): Promise<Daemon> {
    const shipper = this.ship([...args, '--once', '--timeout', '2m']);
    assert.equal(await ended(shipper), 0, shipper.stderr);
    assertClear(shipper);
    return shipper;
  }

  /** Everything that arrived from this host, by its path below the directory, or its own where it is elsewhere. */
  async arrived(): Promise<Record<string, string>> {
    const root = path.join(this.world.out, this.host);
    const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
    const all: Record<string, string> = {};
    for (const entry of entries.filter((one) => one.isFile())) {
      const source = path.join(entry.parentPath, entry.name).slice(root.length);
      const name = source.startsWith(`${this.dir}/`) ? path.relative(this.dir, source) : source;
      all[name] = (await central(this.world.out, this.host, source)).toString();
    }
    return all;
  }

  /** Waits until just this has arrived. */
  async has(expected: Record<string, string>): Promise<void> {
    const isThere = async (): Promise<boolean> =>
      JSON.stringify(sorted(await this.arrived())) === JSON.stringify(sorted(expected));
    await until(isThere, { timeoutMs: WAIT_MS });
    const arrived = await this.arrived();
    // Of hundreds of files those that differ.
    const off = (mine: Record<string, string>, other: Record<string, string>): [string, string][] =>
      sorted(mine).filter(([name, bytes]) => other[name] !== bytes);
    assert.deepEqual(off(arrived, expected), off(expected, arrived));
  }
}

function sorted(all: Record<string, string>): [string, string][] {
  return Object.entries(all).toSorted(([a], [b]) => (a < b ? -1 : 1));
}
