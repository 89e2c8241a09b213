// A host over real disks and a real server: in a world of its own, or in one that several share, each with a way of its own to
// the server.

import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';

import { central, centralFiles } from '../../support/central-files.ts';
import { Proxy } from '../../support/proxy.ts';
import type { World } from '../../support/world.ts';
import type { Place, Places } from './file-systems.ts';
import type { History } from './history.ts';
import { play } from './play.ts';
import { RunningShipper } from './running-shipper.ts';
import type { Site } from './site.ts';

/** More than a quiet machine needs for anything, several hosts at once. */
const ARRIVES_MS = 60_000;

export class RealSite implements Site {
  readonly directory: string;
  readonly hasBirths: boolean;
  readonly shipper: RunningShipper;
  readonly #world: World;
  readonly #host: string;
  readonly #proxy: Proxy | undefined;

  private constructor(world: World, host: string, { directory, hasBirths }: Place, proxy: Proxy | undefined) {
    this.#world = world;
    this.#host = host;
    this.#proxy = proxy;
    this.directory = directory;
    this.hasBirths = hasBirths;
    const url = (): string => proxy?.url ?? world.server.url;
    this.shipper = new RunningShipper(world, host, path.join(directory, '*.log'), url);
  }

  /** @param place where there are others in the same world, with which it shares the server */
  static async at(world: World, host: string, place?: Place): Promise<RealSite> {
    const proxy = place === undefined ? undefined : await Proxy.start(world.server.port);
    const at = place ?? { directory: path.join(world.source, host), hasBirths: true };
    await mkdir(at.directory, { recursive: true });
    return new RealSite(world, host, at, proxy);
  }

  get isShared(): boolean {
    return this.#proxy !== undefined;
  }

  async arrived(log: string): Promise<Buffer> {
    return await central(this.#world.out, this.#host, log);
  }

  async strangers(logs: readonly string[]): Promise<readonly string[]> {
    const known = await Promise.all(
      logs.map(async (log) => await centralFiles(this.#world.out, this.#host, log)),
    );
    const root = path.join(this.#world.out, this.#host);
    const entries = await readdir(root, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    const names = files.map((entry) => path.join(entry.parentPath, entry.name));
    return names.filter((name) => !known.flat().includes(name));
  }

  async disconnect(isKilled: boolean): Promise<void> {
    if (this.#proxy !== undefined) this.#proxy.close();
    else await (isKilled ? this.#world.server.kill() : this.#world.server.stop());
  }

  async serve(): Promise<void> {
    if (this.#proxy !== undefined) this.#proxy.open();
    else await this.#world.restartServer();
  }

  end(): void {
    this.#proxy?.end();
  }
}

let hosts = 0;

/** Plays a history as a host of its own in a world that several share. Throws what is wrong with it. */
export async function playHistory(
  world: World,
  places: Places,
  { fileSystem, seed, styles, plan }: History,
  arrivesMs = ARRIVES_MS,
): Promise<void> {
  const name = `${fileSystem}-${seed}-${(hosts += 1)}`;
  const place = places.of(fileSystem, name, styles);
  await play(await RealSite.at(world, name, place), { name, styles, plan, arrivesMs });
}
