// A backlog beside a file that is being written to: it runs only so far ahead of the receiver, and never waits for one
// that is not there.

import assert from 'node:assert/strict';
import { statSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { Passing } from '../../receiver/term/passing.ts';
import { Backlog } from '../../shipper/lane/backlog.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { central, centralFiles } from '../support/central-files.ts';
import { storedFrom } from '../support/chunks.ts';
import { random } from '../support/seed.ts';
import { World } from '../support/world.ts';
import { Writer, Written } from '../support/log-files.ts';

const MIB = 1024 * 1024;

describe('how far a backlog may run ahead', () => {
  /** A backlog with so many chunks of 1 MiB in the stream, sequences from 1, and a live file at 0 ms. */
  const ahead = (chunks: number): Backlog => {
    const backlog = new Backlog();
    backlog.livePublished(0);
    for (let seq = 1; seq <= chunks; seq += 1) backlog.backlogPublished('s', seq, MIB);
    return backlog;
  };

  test('as long as a receiver answers and another file is written to, not at all beyond a chunk', () => {
    const backlog = ahead(3);
    backlog.received('s', 1, 100);
    assert.ok(backlog.waitMs(100) > 0, 'two chunks are on their way');
    backlog.received('s', 2, 100);
    assert.ok(backlog.waitMs(100) > 0, 'one chunk is on its way');
    backlog.received('s', 3, 100);
    assert.equal(backlog.waitMs(100), 0, 'all has arrived');
  });

  test('as far as it gets when no receiver has ever said anything, or has fallen silent', () => {
    const backlog = ahead(3);
    assert.equal(backlog.waitMs(0), 0);
    backlog.received('s', 1, 100);
    backlog.livePublished(60_000);
    assert.equal(backlog.waitMs(60_000), 0);
  });

  test('as far as it gets when nothing else is written to', () => {
    const backlog = ahead(3);
    backlog.received('s', 1, 60_000);
    assert.equal(backlog.waitMs(60_000), 0);
  });

  test('what was in a stream that is gone counts no more', () => {
    const backlog = ahead(100);
    backlog.received('s', 1, 0);
    backlog.backlogPublished('t', 1, 1);
    backlog.received('s', 90, 0);
    assert.equal(backlog.waitMs(0), 0);
  });

  test('it remembers no more than it needs, however much is in the stream', () => {
    const backlog = ahead(50_000);
    backlog.received('s', 1, 0);
    assert.ok(backlog.waitMs(0) > 0);
    backlog.received('s', 49_999, 0);
    assert.ok(backlog.waitMs(0) > 0);
    backlog.received('s', 50_000, 0);
    assert.equal(backlog.waitMs(0), 0);
  });
});

test('hosts are told after half a mebibyte of source bytes, each for itself', () => {
  const passing = new Passing();
  assert.equal(passing.add('a', 300_000), false);
  assert.equal(passing.add('b', 600_000), true);
  assert.equal(passing.add('b', 100_000), false);
  assert.equal(passing.add('a', 300_000), true);
  assert.equal(passing.add('a', 0), false);
  // Anybody may publish as a host: so many are not remembered.
  for (let number = 0; number < 20_000; number += 1) assert.equal(passing.add(`evil${number}`, 1), false);
  assert.equal(passing.add('b', 450_000), false);
});

/** A shipper that hears nothing of its receiver goes on with the backlog later (design 4.10). */
const HELD_MS = 1_500;

/**
 * How many of the chunks behind `last_seq` are of that file, the first so many only, and meanwhile of any other while the
 * backlog has to stand still.
 */
async function countBehind(
  world: World,
  from: { readonly last_seq: number; readonly last_ts: string },
  file: string,
  most: number,
): Promise<{ of: number; others: number }> {
  let [of, others] = [0, 0];
  const end = Date.parse(from.last_ts) + HELD_MS;
  for await (const { at, listed } of storedFrom(world, from.last_seq + 1))
    for (const { path: name } of listed) {
      if (of >= most) return { of, others };
      if (name === file) of += 1;
      else if (at < end) others += 1;
    }
  return { of, others };
}

test('a receiver that stands still for a moment: lines go on, the backlog does not; then all is identical', async () => {
  await World.run('backlog', async (world) => {
    const old = new Written(world, 'old.log');
    old.append('the same line again and again, as logs are\n'.repeat(24_000));
    const live = new Written(world, 'live.log');
    live.line();
    const receiver = world.receive();
    const shipper = world.ship();
    assert.ok(
      await until(async () => (await world.uncommitted()) === 0 && shipper.stderr.includes('shipping'), {
        timeoutMs: WAIT_MS,
      }),
    );
    const writer = new Writer([live], random(1), { rotate: 'none', perTick: 4 });
    // A file of 2 GiB that takes no room: all of it is a backlog, and zeros are lines that never end.
    const big = path.join(world.source, 'big.log');
    writeFileSync(big, '');
    truncateSync(big, 2048 * MIB);
    const jsm = await world.jsm();
    const written = async (): Promise<boolean> => {
      const names = await centralFiles(world.out, world.host, big).catch(() => []);
      return names.some((name) => statSync(name).size > 8 * MIB);
    };
    assert.ok(await until(written, { timeoutMs: WAIT_MS, everyMs: 5 }), 'the backlog never arrived');
    receiver.child.kill('SIGSTOP');
    const { state } = await jsm.streams.info('LOGS');
    const enough = async (): Promise<boolean> => (await countBehind(world, state, live.file, 20)).of === 20;
    assert.ok(await until(enough, { timeoutMs: WAIT_MS }), 'no line came any more');
    const { others } = await countBehind(world, state, live.file, 20);
    receiver.child.kill('SIGCONT');
    assert.ok(others <= 5, `${others} chunks of the backlog were published beside 20 of the live file`);
    truncateSync(big, 0);
    await writer.stop();
    for (const { file, truth } of [live, old].map((each) => ({ file: each.file, truth: each.truth() }))) {
      const want = await truth;
      const isThere = async (): Promise<boolean> => want.equals(await central(world.out, world.host, file));
      assert.ok(await until(isThere, { timeoutMs: WAIT_MS, everyMs: 100 }), `${file} is not identical`);
    }
  });
});

test('no receiver at all: everything gets into the stream', async () => {
  await World.run('backlog-alone', async (world) => {
    const old = new Written(world, 'old.log');
    const line = `${'x'.repeat(999)}\n`;
    old.append(line.repeat(20_000));
    const live = new Written(world, 'live.log');
    const writer = new Writer([live], random(2), { rotate: 'none', perTick: 4 });
    world.ship();
    const { streams } = await world.jsm();
    let [next, end] = [1, 0];
    const ends = async (): Promise<boolean> => {
      if ((await streams.info('LOGS').catch(() => undefined)) === undefined) return false;
      for await (const { seq, listed } of storedFrom(world, next)) {
        for (const { path: name, chunk } of listed) if (name === old.file) end = Math.max(end, chunk.end);
        next = seq + 1;
      }
      return end === old.bytes;
    };
    assert.ok(await until(ends, { timeoutMs: WAIT_MS, everyMs: 100 }), 'the backlog waits for nobody');
    await writer.stop();
  });
});
