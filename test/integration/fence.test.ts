// The fence: a shipper publishes only behind the message that it knows to be its file's last. What another one has
// published meanwhile, under the same name, is found and not published again.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { HEADER } from '../../common/wire/chunk.ts';
import { tailOf } from '../../common/wire/digest.ts';
import { assertIdentical } from '../support/compare.ts';
import { Written } from '../support/log-files.ts';
import { Publisher } from '../support/tailed.ts';
import { TEST_MS } from '../support/timeouts.ts';
import { World } from '../support/world.ts';

const ROUNDS = 5;

test(
  'what another process has published meanwhile is not published again',
  { timeout: TEST_MS },
  async () => {
    await World.run('fence', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      world.receive();
      const shipper = world.ship();
      await assertIdentical(world, [file]);
      const jsm = await world.jsm();
      const { state } = await jsm.streams.info('LOGS', { subjects_filter: 'logs.*.*.*.*' });
      const [subject, ...others] = Object.keys(state.subjects ?? {});
      assert.ok(subject !== undefined && others.length === 0);
      const other = new Publisher(world, world.host, file.file, subject.split('.').at(-1));
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
      const { last_seq: last } = (await jsm.streams.info('LOGS')).state;
      let end = 0;
      for (let seq = 1; seq <= last; seq += 1) {
        const range = (await jsm.streams.getMessage('LOGS', { seq }))?.header.get(HEADER.range) ?? '';
        const [from = '', to] = range.split('-');
        assert.equal(
          Number(from),
          end,
          `message ${seq} of ${last} holds ${range}, the one before ended at ${end}`,
        );
        end = Number(to);
      }
      assert.equal(end, file.bytes);
    });
  },
);
