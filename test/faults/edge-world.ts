// A hub and its edges for the tests: real servers from the configurations in deploy/nats, each link through a proxy.

import assert from 'node:assert/strict';
import path from 'node:path';

import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';

import { freePort, isFree } from '../../cli/nats-server/port.ts';
import { type NatsServer, startNatsServer } from '../../cli/nats-server/nats-server.ts';
import { until } from '../../common/runtime/run.ts';
import { deployed } from '../support/deployed.ts';
import { ANSWER_MS, WAIT_MS } from '../support/timeouts.ts';
import { Proxy } from '../support/proxy.ts';
import { STORE, World } from '../support/world.ts';

/** Leaf nodes connect there. */
export interface HubWorld {
  readonly world: World;
  readonly leafPort: number;
}

/** Runs the test with a hub as the world's server. */
export async function withHub(name: string, test: (hub: HubWorld) => Promise<void>): Promise<void> {
  const leafPort = await freePort();
  const config = await deployed('hub.conf', {
    // Told of it, a leaf node would go around the proxy.
    '"0.0.0.0:7422"': `"127.0.0.1:${leafPort}"\n  no_advertise: true`,
    '"/var/lib/nats"': STORE,
  });
  await World.run(
    name,
    async (world) => {
      await test({ world, leafPort });
    },
    config,
  );
}

/** Runs a command to its end, which must be a good one. */
export async function run(world: World, args: readonly string[], server = world.server.url): Promise<string> {
  const daemon = world.start('run', [...args, '--server', server]);
  assert.equal(await daemon.exited, 0, daemon.stderr);
  return daemon.stdout;
}

/** An edge: a leaf node of the hub over a link that can be cut. */
export class Edge {
  readonly domain: string;
  readonly link: Proxy;
  readonly dir: string;
  server: NatsServer;
  readonly #config: string;

  private constructor(domain: string, link: Proxy, dir: string, server: NatsServer, config: string) {
    this.domain = domain;
    this.link = link;
    this.dir = dir;
    this.server = server;
    this.#config = config;
  }

  /** @param extra more of its configuration; then an admin has to be in it whom nobody has to name */
  static async start({ world, leafPort }: HubWorld, domain: string, extra = ''): Promise<Edge> {
    const link = await Proxy.start(leafPort);
    const dir = path.join(world.dir, domain);
    const committed = await deployed('edge.conf', {
      edge1: domain,
      'nats://hub.example:7422': link.url,
      '"/var/lib/nats"': JSON.stringify(dir),
    });
    const config = `${committed}\n${extra}`;
    const server = await startNatsServer({ dir, readyMs: WAIT_MS, say: () => {}, config });
    const edge = new Edge(domain, link, dir, server, config);
    world.atEnd(async () => {
      edge.link.end();
      await edge.server.kill();
    });
    await run(world, ['setup', '--edge'], server.url);
    // Tried for the first time while the link is down, a source is tried again after tens of seconds.
    await edge.with(async (_local, nc) => {
      const hubs = await jetstreamManager(nc, { domain: 'hub', checkAPI: false });
      const isUp = async (): Promise<boolean> =>
        (await hubs.getAccountInfo().catch(() => undefined)) !== undefined;
      assert.ok(await until(isUp, { timeoutMs: WAIT_MS }), 'the hub does not answer at the edge');
    });
    await run(world, ['setup', '--source', domain]);
    return edge;
  }

  /** On its port again, after a kill. */
  async restart(): Promise<void> {
    await until(async () => await isFree(this.server.port), { timeoutMs: WAIT_MS });
    this.server = await startNatsServer({
      ...{ dir: this.dir, port: this.server.port, config: this.#config },
      readyMs: WAIT_MS,
      say: () => {},
    });
  }

  /** Does something with its JetStream. */
  async with<T>(use: (jsm: JetStreamManager, nc: NatsConnection) => Promise<T>): Promise<T> {
    const nc = await connect({ servers: this.server.url });
    try {
      return await use(await jetstreamManager(nc, { timeout: ANSWER_MS }), nc);
    } finally {
      await nc.close();
    }
  }

  /** The last sequence of its stream. */
  async lastSeq(): Promise<number> {
    return await this.with(async (jsm) => (await jsm.streams.info('LOGS')).state.last_seq);
  }

  /** The flags of a shipper there. */
  get flags(): string[] {
    return ['--server', this.server.url, '--hub-domain', 'hub'];
  }
}
