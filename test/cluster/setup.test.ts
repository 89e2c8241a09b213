// `logferry setup` in a cluster: servers with little storage, and copies of what was made with fewer.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { Cluster } from './servers.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { World } from '../support/world.ts';

const STREAMS = ['LOGS', 'KV_LOGS_partitions', 'KV_LOGS_members'];

test(
  'setup in a cluster of small servers, then more replicas: of the buckets too',
  { timeout: TEST_MS },
  async () => {
    await World.run('cluster-setup', async (world) => {
      const config = (store: string): string =>
        `jetstream { store_dir: ${JSON.stringify(store)}, max_file_store: 2GB }`;
      const cluster = await Cluster.start(world.dir, config);
      world.atEnd(async () => {
        await cluster.end();
      });
      const setup = async (
        ...flags: string[]
      ): Promise<{ code: number | null; said: string; printed: string }> => {
        const daemon = world.start('setup', ['setup', '--server', cluster.urls, ...flags]);
        const code = await daemon.exited;
        return { code, said: daemon.stderr, printed: daemon.stdout };
      };
      const first = await setup('--json');
      assert.equal(first.code, 0, first.said);
      const { maxBytes } = JSON.parse(first.printed) as { maxBytes: number };
      assert.ok(maxBytes > 64 * 1024 ** 2 && maxBytes <= 2e9, `${maxBytes} bytes in servers of 2 GB`);

      const refused = await setup('--replicas', '3');
      assert.equal(refused.code, 1);
      assert.match(refused.said, /num_replicas is 1, asked for 3/);
      const altered = await setup('--replicas', '3', '--alter');
      assert.equal(altered.code, 0, altered.said);
      assert.match(altered.printed, /num_replicas of bucket LOGS_partitions is 1, asked for 3/);
      const isCopied = async (): Promise<boolean> => {
        const copies = STREAMS.flatMap((name) => cluster.up.map((number) => cluster.copy(number, name)));
        return (await Promise.all(copies)).every((copy) => copy !== undefined);
      };
      assert.ok(await until(isCopied, { timeoutMs: WAIT_MS }), 'not every server has a copy of everything');
      const again = await setup('--replicas', '3');
      assert.equal(again.code, 0, again.said);
      assert.match(again.printed, /nothing to do/);
    });
  },
);
