// `logferry repartition` on real hosts, receivers and a real server: killed at any moment, every byte is there once, in
// order, before and after; whoever is not ready for it is told, and nothing was changed.

import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';

import { sleep, until } from '../../common/runtime/run.ts';
import { compactText } from '../../receiver/ledger/lines.ts';
import { ledgerPath, ledgersIn, loadLedger } from '../../receiver/ledger/ledger-file.ts';
import { regroupLedgers } from '../../receiver/repartition/regroup.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { ended, fails, logs, stops, warns } from '../support/said.ts';
import { generation, publish, publishEnd, setUp } from '../support/chunks.ts';
import { assertShared } from '../support/compare.ts';
import { baseSeed, random } from '../support/seed.ts';
import type { Daemon } from '../support/daemon.ts';
import { InProcessShipper } from '../support/in-process.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';

const HOSTS = 10;
const BUCKET = 'LOGS_partitions';

function repartition(world: World, partitions: number, ...extra: readonly string[]): Daemon {
  const args = ['repartition', '--partitions', String(partitions), '--server', world.server.url];
  return world.start('repartition', [...args, '--lease', '2s', ...extra]);
}

/** A host with a file that rotates, and one that does not. */
function hostFiles(world: World, host: string): Written[] {
  return ['a', 'b'].map((name) => new Written(world, `${host}-${name}.log`, host));
}

function shipAll(world: World): InProcessShipper[] {
  return Array.from(
    { length: HOSTS },
    (_, number) => new InProcessShipper(world, `web${number}`, path.join(world.source, `web${number}-*.log`)),
  );
}

async function partitionsNow(world: World): Promise<number> {
  const { config } = await (await world.jsm()).streams.info('LOGS');
  return Number(/partition\((\d+),/.exec(config.subject_transform?.dest ?? '')?.[1]);
}

async function isAnnounced(world: World): Promise<void> {
  const jsm = await world.jsm();
  const isThere = async (): Promise<boolean> =>
    Object.keys((await jsm.streams.info('LOGS')).config.metadata ?? {}).some((key) =>
      key.startsWith('logferry'),
    );
  await until(isThere, { timeoutMs: WAIT_MS, everyMs: 2 });
}

async function keys(world: World): Promise<string[]> {
  const jsm = await world.jsm();
  const { state } = await jsm.streams.info(`KV_${BUCKET}`, { subjects_filter: '>' });
  return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(`$KV.${BUCKET}.`.length));
}

/** The names of all files that a receiver keeps beside its data, with what they say. */
async function stateOf(out: string): Promise<Record<string, string>> {
  const state = path.join(out, '.logferry');
  const entries = await readdir(state, { recursive: true, withFileTypes: true });
  const names = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
  const texts = await Promise.all(names.map(async (name) => [name, await readFile(name, 'utf8')] as const));
  return Object.fromEntries(texts);
}

/** As a killed receiver leaves it: all new ledgers are whole, and some of them in the place of old ones. */
async function cutHalfWay(out: string, partitions: number): Promise<void> {
  const old = await ledgersIn(out);
  const ledgers = old.map(async (one) => (await loadLedger(ledgerPath(out, one), '', one)).ledger);
  const made = path.join(out, '.logferry', 'regrouped');
  await mkdir(made);
  for (const ledger of regroupLedgers(await Promise.all(ledgers), partitions)) {
    const file = ledgerPath(out, ledger.partition);
    const text = [...compactText(ledger)].join('');
    await writeFile(path.join(made, path.basename(file)), text);
    if (old.includes(ledger.partition)) await writeFile(file, text);
  }
}

/** What verify says in the end of the receiver's directory. */
async function verified(world: World, ...extra: readonly string[]): Promise<object> {
  const verify = (): Daemon => world.start('verify', ['verify', '--json', '--out', world.out, ...extra]);
  let verifying = verify();
  // Shippers that were started just now do not answer yet.
  await until(
    async () => {
      if ((await ended(verifying)) === 0) return true;
      verifying = verify();
      return false;
    },
    { timeoutMs: WAIT_MS },
  );
  assert.equal(await ended(verifying), 0, `${verifying.stdout}\n${verifying.stderr}`);
  const { summary } = JSON.parse(verifying.stdout.trim().split('\n').at(-1) ?? '') as { summary: object };
  return summary;
}

describe('another number of partitions', { concurrency: 2 }, () => {
  test(
    'again and again, killed on the way: nothing is lost, nothing comes twice',
    { timeout: TEST_MS },
    async (t) => {
      const rolled = random(baseSeed() + 40);
      await World.run('repartition', async (world) => {
        const outs = [path.join(world.dir, 'out-a'), path.join(world.dir, 'out-b')];
        const files = Array.from({ length: HOSTS }, (_, number) => hostFiles(world, `web${number}`)).flat();
        const write = (): void => {
          for (const file of files) for (let count = 0; count < 5; count += 1) file.line();
        };
        let killed = 0;
        let before = PARTITIONS;
        for (const partitions of [7, 100, 1]) {
          const receivers = outs.map((out) =>
            world.receive(['--rotate-size', '2KiB', '--compress', 'gzip'], out),
          );
          const shippers = shipAll(world);
          write();
          await assertShared(files, outs);
          for (const file of files.filter((_, index) => index % 2 === 0)) file.rotate();
          write();
          await assertShared(files, outs);
          for (const shipper of shippers) await shipper.stop();
          for (const receiver of receivers) await stops(receiver);
          write();
          for (;;) {
            const changing = repartition(world, partitions);
            await Promise.race([isAnnounced(world), changing.exited]);
            await sleep(rolled() * 150);
            if (changing.child.exitCode === null) {
              await changing.kill();
              killed += 1;
              if (killed % 3 > 0) continue;
            }
            const last = repartition(world, partitions);
            assert.equal(await ended(last), 0, last.stderr);
            break;
          }
          assert.equal(await partitionsNow(world), partitions);
          const wanted = Array.from(
            { length: partitions },
            (_, number) => `p${String(number).padStart(2, '0')}`,
          );
          assert.deepEqual(
            (await keys(world)).toSorted(),
            wanted.toSorted(),
            `from ${before} to ${partitions}`,
          );
          before = partitions;
        }
        const receivers = outs.map((out) => world.receive([], out));
        const shippers = shipAll(world);
        write();
        await assertShared(files, outs);
        for (const shipper of shippers) await shipper.stop();
        for (const receiver of receivers) await stops(receiver);
        t.diagnostic(`killed ${killed} times`);
        assert.ok(killed > 0, 'never killed: nothing was tried');

        // What was published under every number of partitions comes back.
        const replayed = path.join(world.dir, 'replayed');
        const replay = world.start('replay', ['replay', '--out', replayed, '--server', world.server.url]);
        assert.equal(await ended(replay), 0, replay.stderr);
        await assertShared(files, [replayed]);
      });
    },
  );

  test(
    'a receiver finds its ledgers cut anew, and is killed while it does that',
    { timeout: TEST_MS },
    async () => {
      const rolled = random(baseSeed() + 41);
      await World.run('repartition-ledgers', async (world) => {
        const files = Array.from({ length: HOSTS }, (_, number) => hostFiles(world, `web${number}`)).flat();
        let receiver = world.receive(['--format', 'zstd']);
        const shippers = shipAll(world);
        for (const file of files) file.line();
        await assertShared(files, [world.out]);
        for (const shipper of shippers) await shipper.stop();
        await stops(receiver);
        const ledgers = await ledgersIn(world.out);
        assert.ok(ledgers.length > 3);
        assert.equal(await ended(repartition(world, 3)), 0);
        for (let kills = 0; kills < 6; kills += 1) {
          receiver = world.receive(['--format', 'zstd']);
          await sleep(200 + rolled() * 500);
          await receiver.kill();
        }
        receiver = world.receive(['--format', 'zstd']);
        shipAll(world);
        for (const file of files) file.line();
        await assertShared(files, [world.out]);
        assert.deepEqual(await ledgersIn(world.out), [0, 1, 2]);
        const state = await readdir(path.join(world.out, '.logferry'));
        assert.deepEqual(
          state.filter((name) => name.startsWith('regrouped')),
          [],
        );
        await stops(receiver);
      });
    },
  );

  test('a directory is verified before a receiver is started in it again', { timeout: TEST_MS }, async () => {
    await World.run('repartition-verify', async (world) => {
      const files = Array.from({ length: HOSTS }, (_, number) => hostFiles(world, `web${number}`)).flat();
      const receiver = world.receive(['--rotate-size', '2KiB', '--compress', 'gzip']);
      const shippers = shipAll(world);
      for (const file of files) for (let count = 0; count < 50; count += 1) file.line();
      await assertShared(files, [world.out]);
      for (const shipper of shippers) await shipper.stop();
      await stops(receiver);
      const before = await stateOf(world.out);
      assert.equal(await ended(repartition(world, 3)), 0);
      shipAll(world);
      const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
      const sums = { files: files.length, bytes, missing: 0, unverified: 0, filesThatDiffer: 0 };
      assert.partialDeepStrictEqual(await verified(world, '--server', world.server.url), {
        ...sums,
        byHost: bytes,
      });
      assert.partialDeepStrictEqual(await verified(world, '--offline'), { ...sums, byLedger: bytes });
      assert.deepEqual(await stateOf(world.out), before);
    });
  });

  test('and after one was killed while it cut its ledgers anew', { timeout: TEST_MS }, async () => {
    await World.run('repartition-cut', async (world) => {
      const setup = world.start('setup', ['setup', '--partitions', '3', '--server', world.server.url]);
      assert.equal(await ended(setup), 0, setup.stderr);
      const files = Array.from({ length: HOSTS }, (_, number) => hostFiles(world, `web${number}`)).flat();
      const receiver = world.receive();
      const shippers = shipAll(world);
      for (const file of files) file.line();
      await assertShared(files, [world.out]);
      for (const shipper of shippers) await shipper.stop();
      await stops(receiver);
      assert.equal(await ended(repartition(world, 7)), 0);
      await cutHalfWay(world.out, 7);
      const before = await stateOf(world.out);
      const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
      assert.partialDeepStrictEqual(await verified(world, '--offline'), {
        ...{ files: files.length, byLedger: bytes, missing: 0 },
      });
      await assertShared(files, [world.out]);
      assert.deepEqual(await stateOf(world.out), before);
      world.receive();
      shipAll(world);
      for (const file of files) file.line();
      await assertShared(files, [world.out]);
    });
  });

  test(
    'who ships, receives, or has not committed is named, and nothing was changed',
    { timeout: TEST_MS },
    async () => {
      await World.run('repartition-refused', async (world) => {
        const file = new Written(world, 'a.log');
        file.line();
        let receiver = world.receive();
        const shipper = world.ship();
        await assertShared([file], [world.out]);
        await fails(
          repartition(world, 8),
          /shipper "web1", receiver "[^"]+" are running: stop all shippers and receivers first$/,
        );
        await stops(receiver);
        file.line();
        await world.inFlight();
        await stops(shipper);
        await fails(
          repartition(world, 8),
          /^logferry: 100 B in stream LOGS are not committed: "web1" "\/.*a\.log": run logferry receive --once, then/,
        );
        assert.equal(await partitionsNow(world), PARTITIONS);
        receiver = world.receive(['--once']);
        assert.equal(await ended(receiver), 0, receiver.stderr);
        // A killed one keeps its name; its silence is waited for.
        receiver = world.receive();
        await logs(receiver, /receiving as/);
        await receiver.kill();
        const changed = repartition(world, 8, '--json');
        assert.equal(await ended(changed), 0, changed.stderr);
        assert.deepEqual(JSON.parse(changed.stdout), {
          before: PARTITIONS,
          partitions: 8,
          hosts: 1,
          files: 1,
        });
        const again = repartition(world, 8);
        assert.equal(await ended(again), 0);
        assert.equal(again.stdout, 'nothing to do: stream LOGS has 8 partitions\n');
        receiver = world.receive();
        world.ship();
        file.line();
        await assertShared([file], [world.out]);
        await stops(receiver);
      });
    },
  );

  test(
    'bytes that came before their turn are not committed, whatever was processed',
    { timeout: TEST_MS },
    async () => {
      await World.run('repartition-holes', async (world) => {
        await setUp(world);
        const one = generation('web1', 'aaa-0', 300);
        const other = generation('web2', 'bbb-0', 300);
        await publish(world, one, 200, 300);
        await publish(world, other, 0, 300);
        const receive = async (): Promise<void> => {
          const receiver = world.receive(['--once']);
          assert.equal(await ended(receiver), 0, receiver.stderr);
        };
        await receive();
        await fails(
          repartition(world, 8),
          /^logferry: 300 B in stream LOGS are not committed: "web1" "\/var\/log\/app\.log": run logferry receive --once/,
        );
        assert.equal(await partitionsNow(world), PARTITIONS);
        await publish(world, one, 0, 300);
        await publishEnd(world, other);
        await fails(
          repartition(world, 8),
          /^logferry: 300 B in stream LOGS are not committed: "web\d" .*, "web\d" /,
        );
        await receive();
        const changed = repartition(world, 8);
        assert.equal(await ended(changed), 0, changed.stderr);
        // What was published under the other number is known to be committed.
        await publish(world, generation('web1', 'ccc-0', 50), 0, 50);
        await fails(repartition(world, 4), /^logferry: 50 B in stream LOGS are not committed: "web1" /);
        await receive();
        assert.equal(await ended(repartition(world, 4)), 0);
      });
    },
  );

  test('who starts while it is under way waits until it is done', { timeout: TEST_MS }, async () => {
    await World.run('repartition-waiting', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      let receiver = world.receive();
      const shipper = world.ship();
      await assertShared([file], [world.out]);
      await stops(shipper);
      await stops(receiver);
      // As it is when it was killed: announced, and no more.
      const jsm = await world.jsm();
      const { config } = await jsm.streams.info('LOGS');
      await jsm.streams.update('LOGS', {
        ...config,
        metadata: { ...config.metadata, logferry_partitions_to_be: '9' },
      });
      receiver = world.receive();
      const said = await warns(receiver, /being changed/);
      assert.match(
        said,
        /^stream LOGS is being changed to 9 partitions: .*run logferry repartition --partitions 9; waiting for it$/,
      );
      const changed = repartition(world, 9);
      assert.equal(await ended(changed), 0, changed.stderr);
      world.ship();
      file.line();
      await assertShared([file], [world.out]);
      await stops(receiver);
    });
  });

  test('wrong usage is one line', async () => {
    await World.run('repartition-usage', async (world) => {
      await fails(
        world.start('none', ['repartition', '--server', world.server.url]),
        /how many partitions\?/,
        2,
      );
      await fails(repartition(world, 0), /--partitions/, 2);
      await fails(repartition(world, 8), /there is no stream LOGS: check --stream and --server/);
    });
  });
});
