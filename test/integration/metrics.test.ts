// The metrics of real daemons: what they say is compared with what really happened. Health and readiness as probes see them.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

import { headers } from '@nats-io/transport-node';

import { BUNDLE_HEADER, Bundle } from '../../common/wire/bundle.ts';
import { METRICS, Scraped } from '../support/metrics/scrape.ts';
import { TEST_MS } from '../support/timeouts.ts';
import { stops, warns } from '../support/said.ts';
import { SmallDisk } from '../support/small-disk.ts';
import { assertIdentical } from '../support/compare.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';

const KIB = 1024;

async function scraped(...daemons: Daemon[]): Promise<Scraped[]> {
  return await Promise.all(daemons.map(async (daemon) => await Scraped.of(daemon)));
}

/** The two of a test, on metrics addresses of their own. */
async function both(world: World): Promise<[Scraped, Scraped, Daemon, Daemon]> {
  const receiver = world.receive(METRICS);
  const shipper = world.ship(METRICS);
  const [ofShipper, ofReceiver] = await scraped(shipper, receiver);
  assert.ok(ofShipper !== undefined && ofReceiver !== undefined);
  return [ofShipper, ofReceiver, shipper, receiver];
}

describe('metrics', { concurrency: 2, timeout: TEST_MS }, () => {
  test('bytes, files, rotations, duplicates and foreign messages are what happened', async () => {
    await World.run('metrics', async (world) => {
      const files = ['a.log', 'b.log'].map((name) => new Written(world, name));
      for (const file of files) for (let line = 0; line < 500; line += 1) file.line();
      const [shipper, receiver, ...daemons] = await both(world);
      await assertIdentical(world, files);
      for (const file of files) file.rotate();
      for (const file of files) for (let line = 0; line < 100; line += 1) file.line();
      await assertIdentical(world, files);
      const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
      await shipper.shows({
        ...{ logferry_connected: 1, logferry_ready: 1, logferry_healthy: 1, logferry_disconnects_total: 0 },
        'logferry_build_info{version="0.1.0",daemon="ship"}': 1,
        logferry_shipper_published_bytes_total: bytes,
        logferry_shipper_published_lines_total: 600 * files.length,
        logferry_shipper_committed_bytes_total: bytes,
        'logferry_shipper_finished_files_total{reason="rotated"}': files.length,
        ...{ logferry_shipper_files: files.length, logferry_shipper_unreadable_files: 0 },
        ...{ logferry_shipper_lag_bytes: 0, logferry_shipper_lag_seconds: 0, logferry_shipper_held: 0 },
        ...{ logferry_shipper_lost_bytes_total: 0, logferry_shipper_repairs_total: 0 },
        logferry_shipper_in_flight_chunks: 0,
      });
      await receiver.shows({
        ...{ logferry_connected: 1, logferry_ready: 1, logferry_healthy: 1 },
        logferry_receiver_written_bytes_total: bytes,
        logferry_receiver_written_lines_total: 600 * files.length,
        ...{ logferry_receiver_duplicate_chunks_total: 0, logferry_receiver_missing_chunks_total: 0 },
        ...{ logferry_receiver_partitions: PARTITIONS, logferry_receiver_stream_partitions: PARTITIONS },
        ...{ logferry_receiver_terms_total: PARTITIONS, logferry_receiver_lost_terms_total: 0 },
        ...{ logferry_receiver_has_room: 1, logferry_receiver_waiting_files: 0 },
        logferry_receiver_generations: 2 * files.length,
      });
      const { values } = await receiver.scrape();
      const chunks = await shipper.value('logferry_shipper_published_chunks_total');
      assert.equal(values.get('logferry_receiver_written_chunks_total'), chunks);
      const commits = values.get('logferry_receiver_commit_duration_seconds_count') ?? 0;
      assert.ok(commits >= 2, `${commits} commits`);
      assert.equal(values.get('logferry_receiver_commit_duration_seconds_bucket{le="+Inf"}'), commits);
      const free = values.get('logferry_receiver_disk_free_bytes') ?? 0;
      assert.ok(free > 0 && free < (values.get('logferry_receiver_disk_size_bytes') ?? 0));

      // Chunks that come again, and what logferry never wrote.
      const { nc, jsm } = await world.connection();
      const first = await jsm.streams.getMessage('LOGS', { seq: 1 });
      assert.ok(first !== null);
      const subject = first.subject.replace(/^logs\.\d+\./, 'logs.');
      const header = first.header.get(BUNDLE_HEADER);
      // The rest of its headers is between its shipper and the server.
      const again = headers();
      again.set(BUNDLE_HEADER, header);
      nc.publish(subject, first.data, { headers: again });
      nc.publish('logs.web1.x', 'hello');
      await receiver.shows({
        logferry_receiver_duplicate_chunks_total: new Bundle(header, first.data).listed.length,
        logferry_receiver_foreign_messages_total: 1,
        logferry_receiver_written_bytes_total: bytes,
      });
      for (const daemon of daemons) await stops(daemon);
    });
  });

  test('ready when there is a server and the name is had, and not while the connection is lost', async () => {
    await World.run('metrics-ready', async (world) => {
      await world.server.kill();
      const [shipper, receiver] = await both(world);
      for (const one of [shipper, receiver]) {
        await one.answers('readyz', 503, /^no connection to nats-server yet$/);
        await one.answers('healthz', 200, /^ok$/);
        await one.shows({ logferry_ready: 0, logferry_connected: 0, logferry_healthy: 1 });
      }
      await world.restartServer();
      for (const one of [shipper, receiver]) {
        await one.answers('readyz', 200, /^ok$/);
        await one.shows({ logferry_ready: 1, logferry_connected: 1, logferry_disconnects_total: 0 });
      }
      const second = world.ship([...METRICS, '--state', path.join(world.dir, 'state-2')]);
      const [waiting] = await scraped(second);
      await waiting?.answers('readyz', 503, /^waiting for the host name web1$/);
      await waiting?.answers('healthz', 200, /^ok$/);
      process.kill(world.server.pid, 'SIGSTOP');
      for (const one of [shipper, receiver]) {
        await one.answers('readyz', 503, /^nats-server does not answer$/);
        await one.answers('healthz', 200, /^ok$/);
      }
      process.kill(world.server.pid, 'SIGCONT');
      for (const one of [shipper, receiver]) await one.answers('readyz', 200, /^ok$/);
      await world.server.kill();
      for (const one of [shipper, receiver]) {
        await one.answers('readyz', 503, /^the connection to nats-server is lost$/);
        await one.answers('healthz', 200, /^ok$/);
      }
      await world.restartServer();
      for (const one of [shipper, receiver]) {
        await one.answers('readyz', 200, /^ok$/);
        await one.shows({ logferry_connected: 1, logferry_disconnects_total: 1 });
      }
    });
  });

  test('what is lost is counted on both sides, and a receiver that was killed begins anew', async () => {
    await World.run('metrics-lost', async (world) => {
      const file = new Written(world, 'a.log');
      for (let line = 0; line < 300; line += 1) file.line();
      let shipper = world.ship(METRICS);
      let [ofShipper] = await scraped(shipper);
      await ofShipper?.shows({
        logferry_shipper_published_bytes_total: file.bytes,
        ...{ logferry_shipper_committed_bytes_total: 0, logferry_shipper_lag_bytes: file.bytes },
        logferry_shipper_published_offset_bytes: file.bytes,
        logferry_shipper_committed_offset_bytes: 0,
      });
      const waited = (await ofShipper?.value('logferry_shipper_lag_seconds')) ?? 0;
      assert.ok(waited > 0);
      await stops(shipper);
      rmSync(file.file);
      const after = 'what follows\n';
      writeFileSync(file.file, after);
      const { jsm } = await world.connection();
      await jsm.streams.purge('LOGS');
      shipper = world.ship(METRICS);
      const receiver = world.receive(METRICS);
      let [, ofReceiver] = await scraped(shipper, receiver);
      [ofShipper] = await scraped(shipper);
      await ofShipper?.shows({ logferry_shipper_lost_bytes_total: file.bytes });
      await ofReceiver?.shows({
        logferry_receiver_lost_bytes_total: file.bytes,
        logferry_receiver_written_bytes_total: after.length,
      });
      await receiver.kill();
      const again = world.receive(METRICS);
      [ofReceiver] = await scraped(again);
      await ofReceiver?.shows({
        logferry_ready: 1,
        ...{ logferry_receiver_lost_bytes_total: 0, logferry_receiver_partitions: PARTITIONS },
      });
    });
  });

  test('however many files and hosts there are, there are as many series', async () => {
    await World.run('metrics-series', async (world) => {
      const write = (name: string): void => {
        writeFileSync(path.join(world.source, name), `one line of ${name}\n`);
      };
      write('first.log');
      const [shipper, receiver] = await both(world);
      await receiver.shows({
        logferry_receiver_written_chunks_total: 1,
        logferry_receiver_partitions: PARTITIONS,
      });
      const before = {
        shipper: (await shipper.scrape()).own,
        receiver: (await receiver.scrape()).own,
      };
      const files = 300;
      for (let number = 1; number < files; number += 1) write(`${number}.log`);
      const other = path.join(world.dir, 'other');
      mkdirSync(other);
      writeFileSync(path.join(other, 'x.log'), 'of another host\n');
      const args = ['ship', path.join(other, '*.log'), '--host', 'web2', '--server', world.server.url];
      world.start('web2', [...args, '--state', path.join(world.dir, 'state-web2')]);
      await shipper.shows({ logferry_shipper_files: files });
      const open = (await shipper.value('process_open_fds')) ?? 0;
      assert.ok(open > files && open < files + 100, `${open} descriptors`);
      await receiver.shows({ logferry_receiver_written_chunks_total: files + 1 });
      rmSync(path.join(world.source, '1.log'));
      await shipper.shows({ 'logferry_shipper_finished_files_total{reason="deleted"}': 1 });
      const after = { shipper: await shipper.scrape(), receiver: await receiver.scrape() };
      assert.deepEqual(after.shipper.own, before.shipper);
      assert.deepEqual(after.receiver.own, before.receiver);
      for (const { text } of [after.shipper, after.receiver])
        for (const name of ['web1', 'web2', '.log', world.dir]) assert.ok(!text.includes(name), name);
    });
  });

  test('a receiver whose disk is full is not ready, and healthy', async (context) => {
    if (!SmallDisk.canMount()) {
      context.skip('nothing can be mounted here');
      return;
    }
    await World.run('metrics-full', async (world) => {
      const disk = SmallDisk.mount(world.out);
      assert.ok(disk !== undefined);
      const file = new Written(world, 'a.log');
      file.line();
      const receiver = world.receive([...METRICS, '--hand-over-after', '1s']);
      try {
        world.ship();
        await assertIdentical(world, [file]);
        const [shown] = await scraped(receiver);
        await shown?.answers('readyz', 200, /^ok$/);
        await disk.leave(100 * KIB);
        for (let line = 0; line < 5_000; line += 1) file.line();
        await warns(receiver, /cannot write/);
        await shown?.answers('readyz', 503, /^no room below \S+\/out$/);
        await shown?.answers('healthz', 200, /^ok$/);
        await shown?.shows({ logferry_ready: 0, logferry_healthy: 1, logferry_receiver_has_room: 0 });
        const { values } = (await shown?.scrape()) ?? assert.fail();
        const failed = values.get('logferry_receiver_retries_total{reason="disk"}') ?? 0;
        assert.ok(failed > 0, `${failed} failures of the disk`);
        await disk.empty();
        await shown?.answers('readyz', 200, /^ok$/);
        await assertIdentical(world, [file]);
        await shown?.shows({ logferry_receiver_has_room: 1, logferry_ready: 1 });
      } finally {
        await receiver.kill();
        await disk.unmount();
      }
    });
  });

  test('a file that cannot be read is counted, and no more when it can', async () => {
    await World.run('metrics-unreadable', async (world) => {
      writeFileSync(path.join(world.source, 'a.log'), 'secret\n', { mode: 0o000 });
      // Root reads everything: then it runs without what makes it so.
      const isRoot = process.getuid?.() === 0;
      const reader = isRoot ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : [];
      const args = ['ship', path.join(world.source, '*.log'), '--host', 'web1', '--state', world.state];
      const shipper = world.start('ship', [...args, '--server', world.server.url, ...METRICS], reader);
      const [shown] = await scraped(shipper);
      await shown?.shows({ logferry_ready: 1, logferry_shipper_unreadable_files: 1 });
      chmodSync(path.join(world.source, 'a.log'), 0o644);
      await shown?.shows({
        ...{ logferry_shipper_unreadable_files: 0, logferry_shipper_published_bytes_total: 7 },
        ...{ logferry_shipper_files: 1, logferry_shipper_open_files: 1 },
      });
    });
  });
});
