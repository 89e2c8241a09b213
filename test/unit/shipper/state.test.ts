// The shipper's state on the disk: what was known at a save is there when it returns, however many ask at once.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { pino } from 'pino';

import { inParallel } from '../../../common/runtime/run.ts';
import { type GenerationState, newGeneration } from '../../../shipper/files/generation-state.ts';
import { State } from '../../../shipper/files/state.ts';

const FILES = 20_000;
const SAVES = 200;

function generation(file: string): GenerationState {
  return newGeneration(file, { ino: '1', birth: '1', device: '' }, 0, 0);
}

test('the state of many files, saved by many at once: each finds what it knew on the disk', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'logferry-state-'));
  const state = await State.open(directory, 'host', pino({ level: 'silent' }));
  for (let index = 0; index < FILES; index += 1)
    state.sources.set(`/var/log/${index}.log`, [generation(`g-${index}`)]);
  // From now on a save takes long, and the next one waits for a while.
  await state.save();
  await inParallel(Array.from({ length: SAVES }).keys(), 16, async (index) => {
    const file = `/var/log/new-${index}.log`;
    state.sources.set(file, [generation(`n-${index}`)]);
    await state.save();
    const kept = await readFile(path.join(directory, 'state.json'), 'utf8');
    assert.ok(kept.includes(`"${file}"`), `${file} is not in the state after a save`);
  });
  await state.close();
  await rm(directory, { recursive: true });
});
