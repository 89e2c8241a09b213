// What the stream was like, in its file: kept, of one stream only, and never a reason to end.

import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { LogferryError } from '../../../common/runtime/errors.ts';
import { silentLogger } from '../../../common/runtime/log.ts';
import { StreamMemory } from '../../../common/stream/memory.ts';
import { scratch } from '../../support/central.ts';

const LIKENESS = { partitions: 16, replicas: 3, maxAgeMs: 0, maxBytes: -1, sources: [] };

const open = async (directory: string, stream = 'LOGS'): Promise<StreamMemory> =>
  await StreamMemory.open(directory, stream, silentLogger());

test('what is remembered is there at the next start, for the stream of that name', async (context) => {
  const directory = await scratch(context);
  const memory = await open(directory);
  assert.equal(memory.likeness, undefined);
  await memory.remember(LIKENESS);
  assert.deepEqual(memory.likeness, LIKENESS);
  assert.deepEqual((await open(directory)).likeness, LIKENESS);
  assert.equal((await open(directory, 'OTHER')).likeness, undefined);
});

test('a file that does not parse is set aside, one of a later version is refused', async (context) => {
  const directory = await scratch(context);
  const file = path.join(directory, 'stream.json');
  for (const text of ['', '{"version":1}', '{"version":1,"stream":"LOGS","partitions":0}']) {
    await writeFile(file, text);
    assert.equal((await open(directory)).likeness, undefined);
  }
  assert.match((await readdir(directory)).join(), /^stream\.json\.corrupt-/);
  await writeFile(file, '{"version":2}');
  await assert.rejects(open(directory), (error) => error instanceof LogferryError && error.code === 'newer');
});

test('a directory that takes nothing ends nothing', async (context) => {
  const directory = await scratch(context);
  const memory = await open(path.join(directory, 'missing'));
  await memory.remember(LIKENESS);
  assert.deepEqual(memory.likeness, LIKENESS);
});
