// A connection that is used for days: what it keeps of its requests.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { silentLogger } from '../../common/runtime/log.ts';
import { openLink } from '../../common/nats/connection.ts';
import { World } from '../support/world.ts';

const REQUESTS = 100_000;
/** Each reaction that a promise keeps is about 300 bytes: 30 MB. Garbage that is not collected yet was up to 7 MB. */
const MOST_BYTES = 15_000_000;

void test('a connection keeps nothing of the requests that were answered', async () => {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  assert.ok(typeof collect === 'function');
  const heap = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  await World.run('link', async (world) => {
    const link = await openLink({ server: world.server.url }, { name: 'test', log: silentLogger() });
    try {
      const answer = async (): Promise<number> => await Promise.resolve(1);
      for (let request = 0; request < 1_000; request += 1) await link.ask(answer);
      const before = heap();
      for (let request = 0; request < REQUESTS; request += 1) await link.ask(answer);
      const grown = heap() - before;
      assert.ok(grown < MOST_BYTES, `grown by ${grown} bytes`);
      const unanswered = link.ask(async () => await new Promise<never>(() => {}));
      const lost = assert.rejects(unanswered, { code: 'unreachable' });
      await world.server.kill();
      await lost;
    } finally {
      await link.close();
    }
  });
});
