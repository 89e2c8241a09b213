// Shared directory listings: as they are when asked, whoever else asks.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { Listings } from '../../../shipper/files/listings.ts';

test('a name that is there when somebody asks is listed, also while others ask', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'logferry-listings-'));
  try {
    const listings = new Listings();
    const asked: Promise<void>[] = [];
    for (let number = 100; number < 200; number += 1) {
      const name = path.join(directory, `app.log.${number}`);
      await writeFile(name, '');
      asked.push(
        listings.startingWith(directory, 'app.log').then((names) => {
          assert.ok(names.includes(name), name);
        }),
        listings.startingWith(directory, `app.log.${number}`).then((names) => {
          assert.deepEqual(names, [name]);
        }),
      );
    }
    await Promise.all(asked);
    assert.deepEqual(await listings.startingWith(directory, 'apq'), []);
    assert.deepEqual(await listings.startingWith(path.join(directory, 'none'), ''), []);
    assert.equal((await listings.startingWith(directory, '')).length, 100);
  } finally {
    await rm(directory, { recursive: true });
  }
});
