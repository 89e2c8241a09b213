// Histories of log files over a file system in memory, with the real shipper: each byte that could be read arrives once and in
// order, and what nobody can tell is named. A process of its own, whose time is not that of the tests.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';

import { ROOT } from '../support/paths.ts';
import { baseSeed } from '../support/seed.ts';
import { TEST_MS } from '../support/timeouts.ts';

/** Of each kind of disk; test/model/tailing/run.ts plays more. */
const HISTORIES = 6;
const SEEDS_APART = 100;

async function assertPlayed(options: readonly string[]): Promise<void> {
  const run = path.join(ROOT, 'test/model/tailing/run.ts');
  const child = spawn(process.execPath, [run, '--no-shrink', ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (data: Buffer) => {
    said += data.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  assert.equal(code, 0, said);
}

test('what histories have found', { timeout: TEST_MS }, async () => {
  await assertPlayed(['--found']);
});

test('other histories', { timeout: TEST_MS }, async () => {
  const from = baseSeed() * SEEDS_APART + 1;
  await assertPlayed([String(from), String(from + HISTORIES - 1)]);
});
