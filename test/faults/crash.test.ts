// Ten kills of everything, one after the other, by rename, copytruncate and in both formats.

import { test } from 'node:test';

import { crash, VICTIMS, ZSTD } from '../support/crash.ts';
import { baseSeed } from '../support/seed.ts';
import { TEST_MS } from '../support/timeouts.ts';

const KILLS = Number(process.env['LOGFERRY_TEST_KILLS'] ?? 10);

for (const [index, victim] of VICTIMS.entries())
  test(
    `SIGKILL of ${victim} loses nothing, repeats nothing, keeps the order`,
    { timeout: TEST_MS },
    async () => {
      await crash(victim, baseSeed() * 100 + index, 'rename', KILLS);
    },
  );

test(
  'copytruncate while receivers are killed: the copy gives what the shipper had not read yet',
  { timeout: TEST_MS },
  async () => {
    await crash('receiver', baseSeed() * 100 + 4, 'copytruncate', KILLS);
  },
);

test('SIGKILL of all with --format zstd: each file is whole frames again', { timeout: TEST_MS }, async () => {
  await crash('all', baseSeed() * 100 + 5, 'rename', Math.ceil(KILLS / 2), ZSTD);
});
