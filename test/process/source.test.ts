// logferry as a checkout has it: started from its TypeScript, with the numbers of a program and not those of tests.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { central } from '../support/central-files.ts';
import { Written } from '../support/log-files.ts';
import { ROOT, SOURCE_ENTRY } from '../support/paths.ts';
import { TEST_MS } from '../support/timeouts.ts';
import { UNTUNED } from '../support/tuned.ts';
import { World } from '../support/world.ts';

const run = promisify(execFile);

test('from source: its version, its help, and where it is wrong one line', async () => {
  const manifest = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as { version: string };
  assert.equal((await run(process.execPath, [SOURCE_ENTRY, '--version'])).stdout, `${manifest.version}\n`);
  assert.match(
    (await run(process.execPath, [SOURCE_ENTRY, 'ship', '--help'])).stdout,
    /^Usage: logferry ship /,
  );
  await assert.rejects(run(process.execPath, [SOURCE_ENTRY, 'shp']), {
    code: 2,
    stderr: /^logferry: [^\n]+\n$/,
  });
});

test(
  'from source: ship and receive once, with as many partitions as documented',
  { timeout: TEST_MS },
  async () => {
    await World.run('source', async (world) => {
      const server = ['--server', world.url];
      const setup = await run(process.execPath, [SOURCE_ENTRY, 'setup', ...server]);
      assert.equal(UNTUNED.partitions, 64);
      assert.match(setup.stdout, /, 64 partitions, /);
      const file = new Written(world, 'a.log');
      for (let line = 0; line < 1_000; line += 1) file.line();
      const receiving = run(process.execPath, [SOURCE_ENTRY, 'receive', '--out', world.out, ...server]);
      const where = ['--host', world.host, '--state', world.state, ...server];
      await run(process.execPath, [SOURCE_ENTRY, 'ship', file.file, '--once', ...where]);
      receiving.child.kill('SIGTERM');
      await receiving;
      assert.deepEqual(await central(world.out, world.host, file.file), await file.truth());
    });
  },
);
