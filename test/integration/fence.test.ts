// The fence: a shipper publishes only behind the message that it knows to be its lane's last. What another one has published
// meanwhile, under the same name, is found: it is neither lost nor written twice.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { bundleIn, type Stored } from '../../common/wire/bundle.ts';
import { tailOf } from '../../common/wire/digest.ts';
import { parseStoredSubject } from '../../common/wire/subjects.ts';
import { assertIdentical } from '../support/compare.ts';
import { Written } from '../support/log-files.ts';
import { Publisher } from '../support/tailed.ts';
import { TEST_MS } from '../support/timeouts.ts';
import { World } from '../support/world.ts';

const ROUNDS = 5;

test('what another process has published meanwhile leaves no hole', { timeout: TEST_MS }, async () => {
  await World.run('fence', async (world) => {
    const file = new Written(world, 'a.log');
    file.line();
    world.receive();
    const shipper = world.ship();
    await assertIdentical(world, [file]);
    const first = await storedAs(world, 1);
    const [listed] = first.bundle.listed;
    assert.ok(listed !== undefined && first.bundle.listed.length === 1);
    const other = new Publisher(world, world.host, file.file, listed.file, first.lane);
    for (let round = 0; round < ROUNDS; round += 1) {
      shipper.child.kill('SIGSTOP');
      const start = file.bytes;
      file.line();
      const written = await file.truth();
      await other.data(start, written.subarray(start), { tail: tailOf(written) });
      file.line();
      shipper.child.kill('SIGCONT');
      await assertIdentical(world, [file]);
    }
    const { last_seq: last } = (await (await world.jsm()).streams.info('LOGS')).state;
    let end = 0;
    for (let seq = 1; seq <= last; seq += 1)
      for (const { chunk } of (await storedAs(world, seq)).bundle.listed) {
        const range = `${chunk.start}-${chunk.end}`;
        assert.ok(chunk.start <= end, `message ${seq} of ${last} holds ${range}, behind ${end}`);
        end = Math.max(end, chunk.end);
      }
    assert.equal(end, file.bytes);
  });
});

async function storedAs(world: World, seq: number): Promise<Stored & { readonly lane: number }> {
  const message = await (await world.jsm()).streams.getMessage('LOGS', { seq });
  assert.ok(message !== null);
  const { subject, data } = message;
  const stored = bundleIn('logs', { subject, data, header: (name) => message.header.get(name) });
  return { ...stored, lane: parseStoredSubject('logs', subject)?.lane ?? 0 };
}
