// What an operator of an edge sees: setup, least permissions, status, and what is wrong said in one line.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';

import type { HostRow, Status } from '../../cli/status/types.ts';
import { until } from '../../common/runtime/run.ts';
import { Edge, run, withHub } from './edge-world.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { fails, stops, warns } from '../support/said.ts';
import { assertIdentical } from '../support/compare.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';

/** Looks with status at the hub until web1 answers there, and is like this. */
async function showsWeb1(world: World, isIt: (row: HostRow) => boolean = () => true): Promise<void> {
  const isShown = async (): Promise<boolean> => {
    const { hosts } = JSON.parse(await run(world, ['status', '--json'])) as Status;
    return hosts.some((row) => row.host === 'web1' && row.state === 'answers' && isIt(row));
  };
  assert.ok(await until(isShown, { timeoutMs: WAIT_MS, everyMs: 500 }), 'status does not show web1');
}

describe('an edge as its operator sees it', { concurrency: 2 }, () => {
  test(
    'setup says what it did on both sides, once; status at the hub shows the host',
    {
      timeout: TEST_MS,
    },
    async () => {
      await withHub('edge-setup', async (hub) => {
        const { world } = hub;
        const edge = await Edge.start(hub, 'edge1');
        assert.match(await run(world, ['setup', '--edge'], edge.server.url), /^nothing to do/);
        assert.match(await run(world, ['setup', '--source', 'edge1']), /^nothing to do/);
        assert.match(
          await run(world, ['setup', '--source', 'edge1', '--source', 'edge2']),
          /^created source \$JS\.edge2\.API of stream LOGS\n/,
        );
        await edge.with(async (jsm) => {
          const names = (await jsm.streams.list().next()).map(({ config }) => config.name);
          assert.deepEqual(names.toSorted(), ['KV_LOGS_members', 'LOGS']);
        });
        const file = new Written(world, 'a.log');
        file.line();
        world.receive();
        world.ship(edge.flags);
        await assertIdentical(world, [file]);
        // The shipper hears of the commit a moment later.
        await showsWeb1(world, ({ committedBytes }) => committedBytes === file.bytes);
      });
    },
  );

  test(
    'hosts of an edge are waited for over a slow link, though nobody is registered for them at the hub',
    {
      timeout: TEST_MS,
    },
    async () => {
      await withHub('edge-slow', async (hub) => {
        const { world } = hub;
        const edge = await Edge.start(hub, 'edge1');
        const file = new Written(world, 'a.log');
        file.line();
        const receiver = world.receive();
        world.ship(edge.flags);
        await assertIdentical(world, [file]);
        edge.link.delayMs = 100;
        await showsWeb1(world);
        await stops(receiver);
        const changing = ['repartition', '--partitions', '8', '--server', world.server.url];
        await fails(world.start('repartition', changing), /^logferry: shipper "web1" is running: stop all /);
      });
    },
  );

  test(
    'with no more than the least permissions, also after the stream at the leaf was deleted',
    {
      timeout: TEST_MS,
    },
    async () => {
      await withHub('edge-permissions', async (hub) => {
        const { world } = hub;
        const printed = world.start('print', ['permissions', '--host', 'web1', '--hub-domain', 'hub']);
        assert.equal(await printed.exited, 0);
        const edge = await Edge.start(
          hub,
          'edge1',
          `authorization { users: [{ user: admin, password: admin }, { user: web1, password: web1, ${printed.stdout} }] }
        no_auth_user: admin`,
        );
        const file = new Written(world, 'a.log');
        file.line();
        world.receive();
        const shipper = world.ship([...edge.flags, '--user', 'web1', '--password', 'web1']);
        await assertIdentical(world, [file]);
        await edge.with(async (jsm) => {
          assert.equal(await jsm.streams.delete('LOGS'), true);
        });
        file.rotate();
        file.line();
        await warns(shipper, /stream LOGS is not there, and this user may not create it/);
        await run(world, ['setup', '--edge'], edge.server.url);
        await assertIdentical(world, [file]);
        const log = await readFile(path.join(edge.dir, 'nats-server.log'), 'utf8');
        const refused = log.split('\n').filter((line) => line.includes('Violation'));
        // What it tries when it is not there.
        assert.deepEqual(
          refused.filter((line) => !line.includes('$JS.API.STREAM.CREATE.LOGS')),
          [],
        );
      });
    },
  );

  test(
    'a server that is no edge, other partitions and a missing source are said',
    {
      timeout: TEST_MS,
    },
    async () => {
      await World.run('edge-none', async (world) => {
        const shipper = world.ship(['--hub-domain', 'hub']);
        await fails(
          shipper,
          /the JetStream of this server has no domain, and --hub-domain hub is for a leaf node/,
        );
      });
      await withHub('edge-wrong', async (hub) => {
        const { world } = hub;
        const atHub = world.ship(['--hub-domain', 'hub']);
        await fails(atHub, /the server has the JetStream domain hub itself/);
        await run(world, ['setup', '--partitions', '8']);
        const edge = await Edge.start(hub, 'edge1');
        await fails(
          world.ship(edge.flags),
          new RegExp(`stream LOGS has ${PARTITIONS} partitions here and 8 in domain hub`),
        );
        await edge.with(async (jsm) => {
          await jsm.streams.delete('LOGS');
        });
        await run(world, ['setup', '--edge', '--partitions', '8'], edge.server.url);
        const jsm = await world.jsm();
        const { config } = await jsm.streams.info('LOGS');
        await jsm.streams.update('LOGS', { ...config, sources: [] });
        await warns(world.ship(edge.flags), /does not have the one in domain edge1 as a source/);
      });
    },
  );
});
