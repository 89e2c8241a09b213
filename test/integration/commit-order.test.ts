// The order of a commit, seen from outside while bytes arrive: what is in the record is in the ledger, and what is in the
// ledger is in the file. The later one of each pair is read first: had it come first, it would be found ahead.

import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { sleep, until } from '../../common/runtime/run.ts';
import { allRuns, type Run } from '../../receiver/ledger/ledger.ts';
import { ledgerPath, loadLedger } from '../../receiver/ledger/ledger-file.ts';
import { assertIdentical } from '../support/compare.ts';
import { Written } from '../support/log-files.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { World } from '../support/world.ts';

const COMMITS = 120;
const PARTITION = 0;
/** A receiver commits after 20 ms of silence. */
const COMMITTED_MS = 60;

async function ledgerRuns(world: World): Promise<Run[]> {
  const { ledger } = await loadLedger(ledgerPath(world.out, PARTITION), '', PARTITION);
  return [...allRuns(ledger)];
}

test('data, ledger, record: never the later one before the earlier one', { timeout: TEST_MS }, async () => {
  await World.run('commit-order', async (world) => {
    await world.setUp(1);
    const file = new Written(world, 'a.log');
    file.line();
    world.receive();
    world.ship();
    await assertIdentical(world, [file]);
    const records = await world.records();
    const destination = path.join(world.out, world.host, file.file);
    let [commits, last, isWriting] = [0, -1, true];
    const writing = (async () => {
      while (isWriting) {
        file.line(200);
        await sleep(COMMITTED_MS);
      }
    })();
    const look = async (): Promise<boolean> => {
      const { record } = await records.read(PARTITION);
      assert.ok(record !== undefined);
      const ledger = await ledgerRuns(world);
      for (const [key, { offset }] of record.files) {
        const listed = Math.max(0, ...ledger.filter((run) => run.file === key).map(({ end }) => end));
        assert.ok(offset <= listed, `${offset} bytes are recorded, ${listed} are in the ledger`);
      }

      const [to] = (await ledgerRuns(world)).map((run) => run.to).toSorted((a, b) => b - a);
      const { size } = await stat(destination);
      assert.ok((to ?? 0) <= size, `${to} bytes are in the ledger, ${size} in the file`);
      if (record.stream.seq > last) commits += 1;
      last = record.stream.seq;
      return commits >= COMMITS;
    };
    try {
      await until(look, { timeoutMs: WAIT_MS, everyMs: 1 });
    } finally {
      isWriting = false;
      await writing;
    }
    assert.ok(commits >= COMMITS, `only ${commits} commits were seen`);
    await assertIdentical(world, [file]);
  });
});
