// Shippers in the test's own process, for tests that kill nobody: twenty processes would only load the machine.

import { mkdir } from 'node:fs/promises';
import path from 'node:path';

import { LogferryError } from '../../common/runtime/errors.ts';
import { silentLogger } from '../../common/runtime/log.ts';
import type { ShipOptions, SourceOptions } from '../../shipper/options.ts';
import { ship } from '../../shipper/ship.ts';
import { World } from './world.ts';
import { Written } from './log-files.ts';
import { assertShared } from './compare.ts';

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

  constructor(world: World, host: string, glob: string, log = silentLogger(), server = world.url) {
    this.#done = ship({ ...shipOptions(world, host, glob), server: { server }, log }, this.#stop.signal);
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
