// Paths at which nothing is any more: they leave memory and state when all of their bytes are committed, and what comes
// there later is new. What is not committed, or still written to, is not forgotten.

import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { describe, test } from 'node:test';

import { tune } from '../../../common/runtime/tuning.ts';
import { until } from '../../../common/runtime/run.ts';
import { plainSource } from '../../support/in-process.ts';
import { TEST_MS, WAIT_MS } from '../../support/timeouts.ts';
import { Cases, type CaseHost } from '../cases/tailing.ts';

tune({ forgetMs: 1_500 });

const cases = Cases.share('forgetting');
const FILES = 60;
/** More than are remembered of a path. */
const ROTATIONS = 20;
/** So many that a state with them takes long to be saved. */
const OTHERS = 6_000;

function pathsInState(host: CaseHost): string[] {
  const state = JSON.parse(readFileSync(`${host.state}/state.json`, 'utf8')) as { sources: object };
  return Object.keys(state.sources);
}

function ship(host: CaseHost): void {
  host.ship('', { sources: [{ ...plainSource([host.file('*.log')]), rotateWaitMs: 1_000 }] });
}

async function forgets(host: CaseHost, left: readonly string[]): Promise<void> {
  const wanted = left.map((name) => host.file(name)).join();
  const is = (): boolean => pathsInState(host).toSorted().join() === wanted;
  const forgotten = await until(is, { timeoutMs: WAIT_MS, everyMs: 100 });
  assert.ok(forgotten, `the state has ${pathsInState(host).join()}`);
}

describe('paths at which nothing is any more', { concurrency: 3, timeout: TEST_MS }, () => {
  test('many short-lived files are forgotten, and what comes at their paths later is new', async () => {
    await cases.on('many', async (host) => {
      const logs = Array.from({ length: FILES }, (_, number) => host.log(`pod-${number}.log`));
      const stays = host.log('stays.log');
      stays.lines(1);
      ship(host);
      for (let round = 0; round < 2; round += 1) {
        for (const log of logs) log.lines(3);
        await host.arrives();
        for (const log of logs) rmSync(log.path);
        await forgets(host, ['stays.log']);
      }
      // And over a restart.
      await host.stop();
      for (const log of logs.slice(0, 10)) log.lines(2);
      stays.lines(1);
      ship(host);
      await host.arrives();
    });
  });

  test('a rotated file that is still there keeps its path, and goes on', async () => {
    await cases.on('kept', async (host) => {
      const log = host.log('app.log');
      log.lines(3);
      const gone = host.log('gone.log');
      gone.lines(3);
      ship(host);
      await host.arrives();
      renameSync(log.path, `${log.path}.1`);
      rmSync(gone.path);
      await forgets(host, ['app.log']);
      log.lines(3, `${log.path}.1`);
      await host.arrives();
      log.lines(3);
    });
  });

  test('a deleted file that its writer holds is shipped to its end before it is forgotten', async () => {
    await cases.on('held', async (host) => {
      const log = host.log('app.log');
      log.lines(3);
      ship(host);
      await host.arrives();
      const fd = openSync(log.path, 'a');
      rmSync(log.path);
      writeSync(fd, 'the last line\n');
      log.wrote('the last line\n');
      closeSync(fd);
      await host.arrives();
      await forgets(host, []);
      log.lines(2);
    });
  });

  test('finished files that the state does not call finished hold up nothing that comes after them', async () => {
    await cases.on('unfinished', async (host) => {
      const log = host.log('app.log');
      log.lines(1);
      host.ship();
      await host.arrives();
      for (let round = 0; round < 2; round += 1) {
        await host.stop();
        afterKill(host);
        for (let rotation = 0; rotation < (round === 0 ? ROTATIONS : 1); rotation += 1) {
          log.rotate();
          log.lines(1);
        }
        host.ship();
        await host.arrives();
      }
    });
  });
});

/**
 * As after a kill: what was committed last was not written down. The old files are gone, and the state takes so long to be
 * saved that the path is looked at while its files start.
 */
function afterKill(host: CaseHost): void {
  const file = `${host.state}/state.json`;
  const state = JSON.parse(readFileSync(file, 'utf8')) as {
    sources: Record<string, { file: string; done: boolean }[]>;
  };
  const own = state.sources[host.file('app.log')] ?? [];
  for (const entry of own) entry.done = false;
  for (let old = 1; old <= ROTATIONS; old += 1) rmSync(host.file(`app.log.${old}`), { force: true });
  const [first] = own;
  const others = Array.from({ length: OTHERS }, (_, number) => ({
    ...first,
    file: `other-${number}-0`,
    done: true,
  }));
  writeFileSync(
    file,
    JSON.stringify({ ...state, sources: { ...state.sources, '/elsewhere/other.log': others } }),
  );
}
