// A super-cluster of two, from the configurations in deploy/nats: the shipper is at one of them, the receiver at the
// other, and the stream lies where it was created.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { freePort } from '../../cli/nats-server/port.ts';
import { startNatsServer } from '../../cli/nats-server/nats-server.ts';
import { sleep } from '../../common/runtime/run.ts';
import { deployed } from '../support/deployed.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { assertIdentical } from '../support/compare.ts';
import { baseSeed, random } from '../support/seed.ts';
import { STORE, World } from '../support/world.ts';
import { Writer, Written } from '../support/log-files.ts';

const CLUSTERS = ['west', 'east'] as const;

type Ports = Readonly<
  Record<(typeof CLUSTERS)[number], { readonly routes: number; readonly gateway: number }>
>;

/** The first server of a cluster, which is its only one here. */
async function firstOf(cluster: (typeof CLUSTERS)[number], ports: Ports, store: string): Promise<string> {
  const { routes, gateway } = ports[cluster];
  let config = await deployed(`super-${cluster}.conf`, {
    '"/var/lib/nats"': store,
    '0.0.0.0:6222': `127.0.0.1:${routes}`,
    '0.0.0.0:7222': `127.0.0.1:${gateway}`,
  });
  config = config
    .replaceAll(/^.*-[23]\.example:6222"\n/gm, '')
    .replaceAll(/, "[^"]*-[23]\.example:7222"/g, '');
  config = config.replaceAll(`${cluster}-1.example:6222`, `127.0.0.1:${routes}`);
  for (const each of CLUSTERS)
    config = config.replaceAll(`${each}-1.example:7222`, `127.0.0.1:${ports[each].gateway}`);
  return config;
}

test('through a gateway: identical', { timeout: TEST_MS }, async () => {
  const ports = {
    west: { routes: await freePort(), gateway: await freePort() },
    east: { routes: await freePort(), gateway: await freePort() },
  };
  const dir = await mkdtemp(path.join(tmpdir(), 'logferry-east-'));
  // None of them is ready before both are there.
  const config = await firstOf('east', ports, JSON.stringify(dir));
  const starting = startNatsServer({ dir, readyMs: WAIT_MS, say: () => {}, config });
  // Whoever waits for it hears of a failure.
  starting.catch(() => {});
  try {
    await World.run(
      'super',
      async (world) => {
        const east = await starting;
        const files = ['a.log', 'b.log'].map((name) => new Written(world, name));
        for (const file of files) file.line();
        world.receive(['--server', world.server.url, '--rotate-size', '200KiB']);
        world.ship(['--server', east.url]);
        await assertIdentical(world, files);
        const writer = new Writer(files, random(baseSeed() * 100 + 47), { rotate: 'rename' });
        await sleep(2_000);
        await writer.stop();
        await assertIdentical(world, files);
      },
      await firstOf('west', ports, STORE),
    );
  } finally {
    await (await starting.catch(() => undefined))?.kill();
    await rm(dir, { recursive: true, force: true });
  }
});
