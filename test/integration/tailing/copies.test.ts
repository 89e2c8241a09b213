// Copies beside a log: made by hand, of which nothing comes again, and those of copytruncate, of which each comes once and
// in its place, also when the shipper looks away or is down between the copy and the truncation.

import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { Bundle, BUNDLE_HEADER } from '../../../common/wire/bundle.ts';
import { until } from '../../../common/runtime/run.ts';
import { TEST_MS, WAIT_MS } from '../../support/timeouts.ts';
import { World } from '../../support/world.ts';
import { CaseHost, Cases, type Log } from '../cases/tailing.ts';
import { begin } from './support.ts';

const cases = Cases.share('copies');

/** What somebody does with a log before a change, or a job each night; under names that rotations give, too. */
const BY_HAND: readonly (readonly [string, (log: Log) => void])[] = [
  [
    'cp app.log app.log.20261130',
    (log) => {
      copyFileSync(log.path, `${log.path}.20261130`);
    },
  ],
  [
    'cp app.log app-2026-11-30.log',
    (log) => {
      copyFileSync(log.path, log.path.replace('app.log', 'app-2026-11-30.log'));
    },
  ],
  [
    'gzip < app.log > app.log.20261130.gz',
    (log) => {
      writeFileSync(`${log.path}.20261130.gz`, gzipSync(readFileSync(log.path)));
    },
  ],
];

/** The glob names the live file alone: what else it named would be a log of its own. */
const GLOB = 'app.log';

for (const [number, [how, copy]] of BY_HAND.entries())
  describe(`a copy made by hand: ${how}`, { concurrency: 4, timeout: TEST_MS }, () => {
    test('while the shipper runs, then a rotation', async () => {
      await cases.on(`hand${number}-running`, async (host) => {
        const log = await begin(host, GLOB, GLOB);
        copy(log);
        log.lines(5);
        await host.arrives();
        log.rotate();
        log.lines(5);
        await host.arrives();
        // And the one after that.
        log.rotate();
        log.lines(5);
      });
    });

    test('while the shipper is down, then a rotation while it runs', async () => {
      await cases.on(`hand${number}-down`, async (host) => {
        const log = await begin(host, GLOB, GLOB);
        await host.stop();
        log.lines(5);
        copy(log);
        log.lines(5);
        host.ship(GLOB);
        await host.arrives();
        log.rotate();
        log.lines(5);
      });
    });

    test('and a rotation, both while the shipper is down', async () => {
      await cases.on(`hand${number}-both`, async (host) => {
        const log = await begin(host, GLOB, GLOB);
        await host.stop();
        log.lines(5);
        copy(log);
        log.lines(5);
        log.rotate();
        log.lines(5);
        host.ship(GLOB);
      });
    });

    test('of the whole file, nothing is written any more, and it is rotated', async () => {
      await cases.on(`hand${number}-whole`, async (host) => {
        const log = await begin(host, GLOB, GLOB);
        copy(log);
        log.rotate();
        log.lines(5);
      });
    });
  });

/** The first half of copytruncate: the copy is there, the file still whole. */
function copyOnly(log: Log): void {
  renameSync(`${log.path}.1`, `${log.path}.2`);
  copyFileSync(log.path, `${log.path}.1`);
}

function assertNothingLost(host: CaseHost): void {
  assert.doesNotMatch(readFileSync(host.logFile, 'utf8'), /"level":50| are lost/);
}

describe('copytruncate', { concurrency: 4, timeout: TEST_MS }, () => {
  for (const [name, isBehind] of [
    ['one passes while it is down; it starts between the copy and the truncation of the next', false],
    ['the same with what was not shipped before, which it cannot publish until the truncation', true],
  ] as const)
    test(name, async () => {
      await cases.on(isBehind ? 'behind' : 'between', async (host) => {
        const proxy = await host.proxy();
        const log = await begin(host);
        await host.stop();
        if (isBehind) log.lines(5);
        log.copyTruncate();
        log.lines(7);
        copyOnly(log);
        proxy.drop = (data, way) => isBehind && way === 'up' && data.includes('HPUB logs.');
        host.ship();
        await host.says(/"shipping /, 2);
        if (!isBehind) await host.arrives();
        truncateSync(log.path, 0);
        if (!isBehind) await host.says(/truncated/);
        proxy.drop = () => false;
        log.lines(3);
        await host.arrives();
        await host.stop();
        assertNothingLost(host);
      });
    });

  test('it starts between the copy and the truncation, and stops before that', async () => {
    await cases.on('stops', async (host) => {
      const log = await begin(host);
      log.copyTruncate();
      log.lines(5);
      await host.arrives();
      await host.stop();
      log.lines(5);
      copyOnly(log);
      host.ship();
      await host.arrives();
      await host.stop();
      truncateSync(log.path, 0);
      log.lines(3);
      host.ship();
      await host.arrives();
      await host.stop();
      assertNothingLost(host);
    });
  });
});

test('found empty, then written, copied and truncated: in order also when the stream loses the copy', async () => {
  await World.run('copies-lost', async (world) => {
    let receiver = world.receive();
    const host = new CaseHost(world, 'away');
    await mkdir(host.dir);
    try {
      const log = await begin(host);
      log.copyTruncate();
      // It has its generation, which begins after what was shipped.
      const state = `${host.state}/state.json`;
      const hasBegun = (): boolean => /"size":0\b/.test(readFileSync(state, 'utf8'));
      assert.ok(await until(hasBegun, { timeoutMs: WAIT_MS }), `see ${state}`);
      await host.arrives();
      await receiver.stop();
      const before = await host.lastSeq();
      log.lines(5);
      log.copyTruncate();
      log.lines(5);
      const jsm = await world.jsm();
      /** One generation each: the next begins when the one before has ended. */
      const filesOf = async (): Promise<Map<number, string | undefined>> => {
        const found = new Map<number, string | undefined>();
        for (let seq = before + 1; seq <= (await host.lastSeq()); seq += 1) {
          const message = await jsm.streams.getMessage('LOGS', { seq });
          if (message === null) continue;
          const { listed } = new Bundle(message.header.get(BUNDLE_HEADER), message.data);
          found.set(seq, listed[0]?.file);
        }
        return found;
      };
      const areBoth = async (): Promise<boolean> => new Set((await filesOf()).values()).size >= 2;
      assert.ok(await until(areBoth, { timeoutMs: WAIT_MS }), 'the copy and what came after it');
      const published = await filesOf();
      const [copied] = published.values();
      for (const [seq, file] of published) if (file === copied) await jsm.streams.deleteMessage('LOGS', seq);
      receiver = world.receive();
      await host.arrives();
      await host.stop();
    } finally {
      await host.end();
    }
    await receiver.stop();
  });
});
