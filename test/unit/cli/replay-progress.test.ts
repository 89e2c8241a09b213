// What a replay shows while it runs: drawn on a terminal, a line now and then elsewhere.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ReplayLine, replayProgressText } from '../../../cli/replay/progress.ts';

const MIB = 1024 * 1024;

test('share and time by messages, speed by bytes', () => {
  const now = { done: 500, total: 1_000, bytes: 100 * MIB };
  const text = replayProgressText(now, { done: 250, total: 1_000, bytes: 50 * MIB }, 5_000);
  assert.equal(text, '50 %  100.0 MiB written  10.0 MiB/s  10s left');
  assert.equal(replayProgressText(now, now, 0), '50 %  100.0 MiB written');
  const end = { done: 1_000, total: 1_000, bytes: 200 * MIB };
  assert.equal(replayProgressText(end, now, 1_000), '100 %  200.0 MiB written  100.0 MiB/s');
  assert.equal(replayProgressText({ done: 0, total: 0, bytes: 0 }, now, 0), '100 %  0 B written');
});

test('a terminal has a bar on one line, a pipe a line every five seconds', () => {
  for (const isTTY of [true, false]) {
    const said: string[] = [];
    const line = new ReplayLine({ write: (text) => said.push(text), isTTY, columns: 60 }, 0);
    for (let at = 50; at <= 10_000; at += 50) line.show({ done: at, total: 10_000, bytes: at * 1_000 }, at);
    line.end();
    if (isTTY) {
      assert.ok(said.length > 90);
      for (const text of said.slice(0, -1)) {
        assert.match(text.slice(1, 60), /^\[#* *\] /);
        assert.ok(text.startsWith('\r') && text.endsWith('\u001B[K\r') && text.length <= 65, text);
      }
      assert.match(said.at(-2) ?? '', /\[#{16}\] 100 %/);
      assert.equal(said.at(-1), '\n');
    } else {
      assert.equal(said.length, 2);
      assert.match(said[0] ?? '', /^logferry: 50 %  4\.8 MiB written  \S+ KiB\/s  5s left\n$/);
    }
  }
});
