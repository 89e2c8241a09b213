// State that does not parse, at the shipper, at the receiver and in the broker: set aside under another name, said
// loudly, rebuilt, and every byte is still where it belongs. What a newer version wrote is refused and left as it is.

import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';

import { jetstream } from '@nats-io/jetstream';

import { sleep, until } from '../../common/runtime/run.ts';
import { partitionOf } from '../../common/wire/subjects.ts';
import { partitionKey } from '../../common/wire/topology.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { assertClear, fails, messages, stops, warns } from '../support/said.ts';
import { assertIdentical } from '../support/compare.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';

const NEWER = JSON.stringify({ version: 99, anything: 'else' });
const GARBAGE = ['', '{"version":1,"dire', '\u0000\u0001\u00ff garbage\n', '[]', '{"version":1}'];

/** A host's file, shipped across a rotation and received. */
async function shipped(world: World, receiver: Daemon): Promise<Written> {
  const file = new Written(world, 'a.log');
  for (let count = 0; count < 20; count += 1) file.line();
  const shipper = world.ship();
  await assertIdentical(world, [file]);
  file.rotate();
  for (let count = 0; count < 20; count += 1) file.line();
  await assertIdentical(world, [file]);
  await stops(shipper);
  assertClear(receiver);
  return file;
}

/** The files that were set aside beside this one. */
async function aside(file: string): Promise<string[]> {
  const names = await readdir(path.dirname(file));
  return names.filter((name) => name.startsWith(`${path.basename(file)}.corrupt-`)).toSorted();
}

async function directoryOf(identity: string): Promise<string> {
  return (JSON.parse(await readFile(identity, 'utf8')) as { directory: string }).directory;
}

describe('state that does not parse', { concurrency: 3 }, () => {
  test("the shipper's: set aside, rebuilt from the stream and the record; a newer one is left as it is", async () => {
    await World.run('bad-state', async (world) => {
      const receiver = world.receive();
      const file = await shipped(world, receiver);
      const stateFile = path.join(world.state, 'state.json');
      const other = (await readFile(stateFile, 'utf8')).replace('"host":"web1"', '"host":"web2"');
      assert.ok(other.includes('web2'));
      for (const [index, text] of [...GARBAGE.slice(1), other].entries()) {
        await writeFile(stateFile, text);
        file.line();
        const shipper = world.ship();
        const said = await warns(
          shipper,
          /state\.json cannot be used \(.+\); set aside, rebuilt from the stream and the records$/,
        );
        assert.ok(said.startsWith(stateFile), said);
        await assertIdentical(world, [file]);
        await stops(shipper);
        const kept = await aside(stateFile);
        assert.equal(kept.length, index + 1);
        assert.equal(await readFile(path.join(world.state, kept.at(-1) ?? ''), 'utf8'), text);
      }
      const good = await readFile(stateFile);
      await writeFile(stateFile, NEWER);
      await fails(
        world.ship(),
        /^logferry: \/\S+\/state\.json is of version 99, this logferry knows version 1: run the newer logferry that wrote it$/,
      );
      assert.equal(await readFile(stateFile, 'utf8'), NEWER);
      await writeFile(stateFile, good);
      file.line();
      const shipper = world.ship();
      await assertIdentical(world, [file]);
      await stops(shipper);
      await stops(receiver);
      file.close();
    });
  });

  test("the output directory's name: set aside, and the directory keeps its bytes", async () => {
    await World.run('bad-directory', async (world) => {
      let receiver = world.receive();
      const file = await shipped(world, receiver);
      const shipper = world.ship();
      const identity = path.join(world.out, '.logferry', 'directory.json');
      const directory = await directoryOf(identity);
      for (const [index, text] of GARBAGE.slice(0, 3).entries()) {
        // Killed, it still owns its partitions under a name that is lost now.
        if (index % 2 === 0) await receiver.kill();
        else await stops(receiver);
        await writeFile(identity, text);
        file.line();
        receiver = world.receive();
        await warns(receiver, /directory\.json does not parse \(.+\); set aside, rebuilt$/);
        await assertIdentical(world, [file]);
        assert.equal(await directoryOf(identity), directory);
        const kept = await aside(identity);
        assert.equal(await readFile(path.join(world.out, '.logferry', kept.at(-1) ?? ''), 'utf8'), text);
      }
      await receiver.kill();
      await rm(identity);
      file.line();
      receiver = world.receive();
      await assertIdentical(world, [file]);
      assert.equal(await directoryOf(identity), directory);
      await stops(receiver);
      const good = await readFile(identity);
      await writeFile(identity, NEWER);
      await fails(
        world.receive(),
        /^logferry: \/\S+\/directory\.json is of version 99, this logferry knows version 1: run the newer logferry that wrote it$/,
      );
      assert.equal(await readFile(identity, 'utf8'), NEWER);
      await writeFile(identity, good);
      receiver = world.receive();
      file.line();
      await assertIdentical(world, [file]);
      await stops(receiver);
      await stops(shipper);
      file.close();
    });
  });

  test('a ledger: set aside, rebuilt from the lines that parse', async () => {
    await World.run('bad-ledger', async (world) => {
      let receiver = world.receive();
      const file = await shipped(world, receiver);
      const shipper = world.ship();
      const ledger = path.join(
        world.out,
        '.logferry',
        `${partitionKey(partitionOf(world.host, PARTITIONS))}.ledger`,
      );
      const damages: Record<string, (text: string) => string> = {
        'a line of garbage between the others': (text) => text.replace('\n', '\n\u0000garbage\n'),
        'a line of another program': (text) => `${text}{"some":"thing"}\n`,
        'nothing but zeros': (text) => '\u0000'.repeat(text.length),
        'a line that is cut short in the middle': (text) => `${text}{"term":"x","file":"\n{"open":"x/y"}\n`,
      };
      for (const [what, damage] of Object.entries(damages)) {
        await stops(receiver);
        const text = damage(await readFile(ledger, 'utf8'));
        await writeFile(ledger, text);
        file.line();
        receiver = world.receive();
        const said = await warns(
          receiver,
          /\.ledger does not parse; set aside, rebuilt from the lines that do$/,
        );
        assert.ok(said.startsWith(ledger), said);
        await assertIdentical(world, [file]);
        const kept = await aside(ledger);
        assert.equal(await readFile(path.join(path.dirname(ledger), kept.at(-1) ?? ''), 'utf8'), text, what);
      }
      await stops(receiver);
      await writeFile(ledger, `${await readFile(ledger, 'utf8')}{"term":"torn by a crash`);
      file.line();
      receiver = world.receive();
      await assertIdentical(world, [file]);
      await stops(receiver);
      assert.deepEqual(messages(receiver, 40), [], 'a torn last line is none');
      const good = await readFile(ledger, 'utf8');
      const newer = `${good}${NEWER}\n`;
      await writeFile(ledger, newer);
      await fails(
        world.receive(),
        new RegExp(
          `^logferry: \\S*/${path.basename(ledger)} is of version 99, this logferry knows version 2: run the newer logferry that wrote it$`,
        ),
      );
      assert.equal(await readFile(ledger, 'utf8'), newer);
      await writeFile(ledger, good);
      await stops(shipper);
      file.close();
    });
  });

  test('a record: set aside under another key, rebuilt from the ledgers', async () => {
    await World.run('bad-record', async (world) => {
      let receiver = world.receive();
      const file = await shipped(world, receiver);
      let shipper = world.ship();
      const key = partitionKey(partitionOf(world.host, PARTITIONS));
      const { nc, jsm } = await world.connection();
      const put = async (data: string | Uint8Array): Promise<number> =>
        (await jetstream(nc).publish(`$KV.LOGS_partitions.${key}`, data)).seq;
      const get = async (name: string): Promise<Uint8Array | undefined> =>
        (await jsm.streams.getMessage('KV_LOGS_partitions', { last_by_subj: `$KV.LOGS_partitions.${name}` }))
          ?.data;
      const loud = new RegExp(
        `^the record ${key} in bucket LOGS_partitions does not parse \\([^\\n]+\\); set aside as \\S+, rebuilt from the ledgers$`,
      );
      for (const [index, garbage] of [
        '',
        'garbage',
        '{"version":1}',
        Buffer.from('28b52ffd00ff', 'hex'),
      ].entries()) {
        const running = index % 2 === 0;
        if (!running) await stops(receiver);
        if (index === 3) await stops(shipper);
        const revision = await put(garbage);
        file.line();
        if (!running) receiver = world.receive();
        if (index === 3) shipper = world.ship();
        await assertIdentical(world, [file]);
        await warns(receiver, loud);
        let kept: Uint8Array | undefined;
        await until(async () => (kept = await get(`${key}.corrupt.${revision}`)) !== undefined, {
          timeoutMs: WAIT_MS,
        });
        assert.deepEqual(kept, new Uint8Array(Buffer.from(garbage as string)));
      }
      await stops(receiver);
      const before = await get(key);
      await put(NEWER);
      file.line();
      const refused =
        /^logferry: .*\brecord\b.*p\d+.* is of version 99, this logferry knows version 1: run the newer logferry that wrote it$/;
      await fails(shipper, refused);
      await fails(world.receive(), refused);
      assert.deepEqual(await get(key), new Uint8Array(Buffer.from(NEWER)));
      await put(before ?? '');
      receiver = world.receive();
      shipper = world.ship();
      file.line();
      await assertIdentical(world, [file]);
      await put(NEWER);
      file.line();
      await Promise.all([fails(receiver, refused), fails(shipper, refused)]);
      file.close();
    });
  });

  test('a record that does not parse, and no receiver that would rebuild it: said once', async () => {
    await World.run('bad-record-alone', async (world) => {
      const receiver = world.receive();
      const file = await shipped(world, receiver);
      await stops(receiver);
      const { nc } = await world.connection();
      const key = partitionKey(partitionOf(world.host, PARTITIONS));
      await jetstream(nc).publish(`$KV.LOGS_partitions.${key}`, 'garbage');
      file.line();
      const shipper = world.ship();
      await warns(shipper, /^the record p\d+ in bucket/);
      await sleep(2_500);
      const again = world.receive();
      await assertIdentical(world, [file]);
      await stops(again);
      await stops(shipper);
      assert.equal(
        messages(shipper).filter((line) => line.startsWith('the record ')).length,
        1,
        shipper.stderr,
      );
      file.close();
    });
  });

  test('a registration that does not parse counts as none', async () => {
    await World.run('bad-member', async (world) => {
      const receiver = world.receive();
      const file = await shipped(world, receiver);
      const { nc } = await world.connection();
      await jetstream(nc).publish('$KV.LOGS_members.shipper.web1', '\u0000garbage');
      file.line();
      const shipper = world.ship();
      await assertIdentical(world, [file]);
      await stops(shipper);
      await stops(receiver);
      file.close();
    });
  });
});
