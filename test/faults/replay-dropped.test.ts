// Replays that are gone on with, or run, while the stream drops what they have not read yet: that is said, and no success.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import {
  generation,
  joinedOf,
  publish,
  publishMuch,
  type Replayed,
  replayed,
  type ReplayProgress,
  replayState,
  setUp,
  startReplay,
} from '../support/chunks.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { Proxy } from '../support/proxy.ts';
import { ended, fails } from '../support/said.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';

const MIB = 1024 * 1024;
const HOSTS = 2;
const EACH = 16 * MIB;

/** A replay that is stuck in the middle, with the first messages on disk. */
async function halfWay(world: World): Promise<{ daemon: Daemon; state: ReplayProgress; proxy: Proxy }> {
  const proxy = await Proxy.before(world);
  const daemon = startReplay(world, 'out', [], proxy.url);
  let state: ReplayProgress | undefined;
  const more = proxy.trickle((HOSTS * EACH) / 2);
  const isThen = async (): Promise<boolean> => {
    state = await replayState(path.join(world.dir, 'out'));
    if (state !== undefined && state.reached >= state.first) return true;
    more();
    return false;
  };
  assert.ok(await until(isThen, { timeoutMs: WAIT_MS, everyMs: 100 }), 'nothing was reached');
  assert.ok(state !== undefined);
  return { daemon, state, proxy };
}

async function interrupted(world: World): Promise<ReplayProgress> {
  const { daemon } = await halfWay(world);
  daemon.child.kill('SIGINT');
  await fails(daemon, /^logferry: stopped before all was replayed: run it again/);
  const state = await replayState(path.join(world.dir, 'out'));
  assert.ok(
    state !== undefined && !state.done && state.reached < state.last,
    'it was to stop before its end',
  );
  return state;
}

const TO_ITS_END = /^logferry: incomplete: the stream has dropped messages before they were read: /m;

function says({ stderr }: { stderr: string }, first: number, last: number, messages: number): void {
  const line = `logferry: the stream has dropped messages ${first} to ${last} before they were read: what was asked for of them, up to ${messages} messages, is left out`;
  assert.ok(stderr.split('\n').includes(line), stderr);
}

describe('what the stream drops before it was read', { concurrency: 2 }, () => {
  test('is named by the replay that goes on, and each time after; what was read stays', async () => {
    await World.run('replay-purged', async (world) => {
      await setUp(world);
      const files = await publishMuch(world, HOSTS, EACH);
      const { reached, last } = await interrupted(world);
      await (await world.jsm()).streams.purge('LOGS');
      for (let start = 0; start < 2; start += 1) {
        const again = await replayed(world, 'out');
        assert.equal(again.code, 1, again.stderr);
        says(again, reached + 1, last, last - reached);
        assert.match(again.stderr, TO_ITS_END);
        assert.match(again.stdout, /^replayed .* by an earlier start$/m);
        for (const one of files) {
          const { data } = await joinedOf(again.out, one);
          assert.ok(data.length > 0 && one.data.subarray(0, data.length).equals(data), one.host);
        }
      }
    });
  });

  test('is named beside the holes that it makes where later messages remain', async () => {
    await World.run('replay-kept', async (world) => {
      await setUp(world);
      await publishMuch(world, HOSTS, EACH);
      const { reached, last } = await interrupted(world);
      await (await world.jsm()).streams.purge('LOGS', { keep: 1 });
      const again = await replayed(world, 'out');
      assert.equal(again.code, 1, again.stderr);
      says(again, reached + 1, last - 1, last - 1 - reached);
      assert.match(again.stderr, /: bytes \d+ to \d+ of generation aaa-0 are not in the stream; left out$/m);
      assert.match(again.stderr, /^logferry: incomplete: 1 range of bytes could not be had/m);
    });
  });

  test('is named by the replay that runs then', async () => {
    await World.run('replay-purged-meanwhile', async (world) => {
      await setUp(world);
      await publishMuch(world, HOSTS, EACH);
      const { daemon, proxy } = await halfWay(world);
      await (await world.jsm()).streams.purge('LOGS');
      proxy.allow(Number.POSITIVE_INFINITY);
      assert.equal(await ended(daemon), 1, daemon.stderr);
      assert.match(daemon.stderr, TO_ITS_END);
    });
  });

  test('is named where reading goes on behind it', async () => {
    await World.run('replay-purged-before', async (world) => {
      await setUp(world);
      await publishMuch(world, 1, HOSTS * EACH);
      // Nothing of the other file follows, which would show that something is missing before it.
      const other = generation('h9', 'bbb-0', 100);
      await publish(world, other, 0, 100);
      const { daemon, proxy } = await halfWay(world);
      await (await world.jsm()).streams.purge('LOGS', { keep: 1 });
      proxy.allow(Number.POSITIVE_INFINITY);
      assert.equal(await ended(daemon), 1, daemon.stderr);
      assert.match(daemon.stderr, /^logferry: the stream has dropped messages \d+ to \d+ before /m);
      assert.match(daemon.stderr, TO_ITS_END);
      assert.deepEqual((await joinedOf(path.join(world.dir, 'out'), other)).data, other.data);
    });
  });

  test('is nothing where all had been read', async () => {
    await World.run('replay-purged-after', async (world) => {
      await setUp(world);
      const one = generation('web1', 'aaa-0', 1_000);
      for (let at = 0; at < 1_000; at += 100) await publish(world, one, at, at + 100);
      assert.equal((await replayed(world, 'out')).code, 0);
      // Killed before it could say so.
      await rewriteState(path.join(world.dir, 'out'), { done: false });
      await (await world.jsm()).streams.purge('LOGS');
      const again = await replayed(world, 'out');
      assert.equal(again.code, 0, again.stderr);
      assert.deepEqual((await joinedOf(again.out, one)).data, one.data);
    });
  });

  test('counts only where it may have been asked for', async () => {
    await World.run('replay-purged-others', async (world) => {
      await setUp(world);
      const [mine, other] = [generation('web1', 'aaa-0', 1_000), generation('web2', 'bbb-0', 1_000)];
      for (let at = 0; at < 500; at += 100) await publish(world, mine, at, at + 100);
      const replay = async (): Promise<Replayed> => await replayed(world, 'out', ['--host', 'web1']);
      const { code, out } = await replay();
      assert.equal(code, 0);
      for (let at = 0; at < 500; at += 100) await publish(world, other, at, at + 100);
      let last = 0;
      for (let at = 500; at < 1_000; at += 100) last = await publish(world, mine, at, at + 100);
      // As if it had been killed there.
      await rewriteState(out, { last, left: 5, done: false });
      const halfRead = await readFile(stateFile(out), 'utf8');
      const jsm = await world.jsm();
      await jsm.streams.purge('LOGS', { seq: last - 4 });
      const whole = await replay();
      assert.equal(whole.code, 0, whole.stderr);
      assert.deepEqual((await joinedOf(out, mine)).data, mine.data);

      await writeFile(stateFile(out), halfRead);
      await jsm.streams.purge('LOGS', { seq: last - 1 });
      const rest = await replay();
      assert.equal(rest.code, 1, rest.stderr);
      says(rest, last - 9, last - 2, 3);
    });
  });
});

function stateFile(out: string): string {
  return path.join(out, '.logferry', 'replay.json');
}

async function rewriteState(out: string, changes: object): Promise<void> {
  const state = JSON.parse(await readFile(stateFile(out), 'utf8')) as object;
  await writeFile(stateFile(out), JSON.stringify({ ...state, ...changes }));
}
