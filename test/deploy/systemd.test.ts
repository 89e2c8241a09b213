// The units of the two daemons: systemd takes them, and what they may do is little. Skipped where systemd-analyze is not
// installed; nothing is started.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const UNITS = path.resolve(import.meta.dirname, '../../deploy/systemd');
/** systemd's scale goes from 0 to 10, and its threshold in tenths; 3 is the most of what it calls OK for a daemon. */
const MOST_EXPOSED_TENTHS = 30;

const isHere = spawnSync('systemd-analyze', ['--version']).status === 0;
const skip = isHere ? false : 'no systemd-analyze';

for (const unit of readdirSync(UNITS)) {
  const file = path.join(UNITS, unit);

  test(`${unit} is taken without a word`, { skip }, () => {
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' });
    assert.deepEqual({ status, said: `${stdout}${stderr}` }, { status: 0, said: '' });
  });

  test(`${unit} exposes little`, { skip }, () => {
    const args = ['security', '--offline=yes', `--threshold=${MOST_EXPOSED_TENTHS}`, '--no-pager', file];
    const { status, stdout } = spawnSync('systemd-analyze', args, { encoding: 'utf8' });
    assert.equal(status, 0, stdout);
  });
}
