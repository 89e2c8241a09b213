// Many clients that lose their server at once: their tries to come back are spread, and every one comes back.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { silentLogger } from '../../common/runtime/log.ts';
import { type Link, openLink } from '../../common/nats/connection.ts';
import { FEW_WAIT_MS, MANY_WAIT_MS, ReconnectPace, reconnectWaitMs } from '../../common/nats/reconnect.ts';
import { inParallel, until } from '../../common/runtime/run.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { assertIdentical } from '../support/compare.ts';
import { random } from '../support/seed.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

const chance = fc.double({ min: 0, max: 1, noNaN: true });

/** nats.js: it tries when so much has passed since the last try, else it sleeps for the rest and asks again. */
function triesOf(
  pace: ReconnectPace,
  lostAt: number,
  connectedAt: number,
  count: number,
  rand: () => number,
): number[] {
  pace.sinceLastTryMs(connectedAt, rand());
  pace.connected();
  const tries: number[] = [];
  let last = connectedAt;
  for (let now = lostAt; tries.length < count;) {
    const wait = pace.sinceLastTryMs(now, rand());
    if (last + wait <= now) {
      tries.push(now);
      last = now;
    } else now += Math.min(wait, last + wait - now);
  }
  return tries;
}

test('a wait grows with failures, and never beyond the most', () => {
  fc.assert(
    fc.property(fc.nat(40), chance, fc.constantFrom(FEW_WAIT_MS, MANY_WAIT_MS), (failures, part, most) => {
      const wait = reconnectWaitMs(failures, most, part);
      assert.ok(wait >= 0 && wait <= most);
      assert.ok(reconnectWaitMs(failures + 1, most, part) >= wait);
    }),
  );
});

test('whenever they had connected, clients that lose their server come one after the other', () => {
  const rand = random(1);
  const first: number[] = [];
  const tenth: number[] = [];
  for (let client = 0; client < 1_000; client += 1) {
    const tries = triesOf(new ReconnectPace(MANY_WAIT_MS), 1e12, 1e12 - rand() * 1e9, 10, rand);
    first.push((tries[0] ?? 0) - 1e12);
    tenth.push((tries[9] ?? 0) - (tries[8] ?? 0));
  }
  for (const [waits, most] of [
    [first, 1_000],
    [tenth, MANY_WAIT_MS],
  ] as const)
    for (let tenthPart = 0; tenthPart < 10; tenthPart += 1) {
      const inPart = waits.filter((wait) => Math.floor((wait / most) * 10) === tenthPart).length;
      assert.ok(inPart > 50 && inPart < 200, `${inPart} of 1000 in part ${tenthPart} of ${most} ms`);
    }
});

test(
  '300 clients and a shipper lose their server: all are back and answered, bytes are identical',
  { timeout: TEST_MS },
  async () => {
    await World.run('reconnect', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      world.receive();
      world.ship();
      await assertIdentical(world, [file]);
      const links: Link[] = [];
      let back = 0;
      await inParallel(Array(300).keys(), 20, async (number) => {
        const link = await openLink(
          { server: world.server.url },
          {
            name: `light ${number}`,
            log: silentLogger(),
            mostWaitMs: MANY_WAIT_MS,
            onReconnect: () => (back += 1),
          },
        );
        links.push(link);
      });
      world.atEnd(async () => {
        await Promise.all(links.map(async (link) => await link.close()));
      });
      for (const outage of ['short', 'long']) {
        back = 0;
        const epochs = links.map((link) => link.epoch());
        await world.server.kill();
        await until(() => links.every((link, index) => link.epoch() > (epochs[index] ?? 0)), {
          timeoutMs: WAIT_MS,
        });
        for (let lines = 0; lines < 100; lines += 1) file.line();
        if (outage === 'long') await until(() => false, { timeoutMs: 3_000 });
        await world.restartServer();
        assert.ok(
          await until(() => back === links.length, { timeoutMs: WAIT_MS }),
          `${back} of 300 are back`,
        );
        await inParallel(links, 300, async (link) => {
          await link.ask(async () => await link.jsm.streams.info('LOGS'));
        });
        await assertIdentical(world, [file]);
      }
    });
  },
);
