// The logs of containers as kubelet and runtime rotate them, shipped with the configuration of deploy/kubernetes, and
// with the links of /var/log/containers in place of the files: every byte is compared. As root, without any capability.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { MANIFESTS, PodLog } from './kubernetes.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { warns } from '../support/said.ts';
import { central } from '../support/central-files.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';

const FILES = '/var/log/pods/*/*/*.log';
const LINKS = '/var/log/containers/*.log';
const NODE = 'node-1';

/** Root with all capabilities dropped, as in the container; anybody else has none anyway. */
const through = process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-all', '--no-new-privs'] : [];
const hasSetpriv = through.length === 0 || spawnSync('setpriv', ['--version']).status === 0;

/** The configuration of the shipper's base, on a node that lies in the world's directory. */
function shipNode(world: World, glob: string): Daemon {
  const text = readFileSync(path.join(MANIFESTS, 'shipper/logferry.yaml'), 'utf8');
  assert.equal(text.split(FILES).length, 2, 'the glob of the base');
  const here = text.replace(FILES, glob).replaceAll('/var/', `${world.source}/var/`);
  const file = path.join(world.dir, 'logferry.yaml');
  writeFileSync(file, here);
  const env = ['env', `NODE_NAME=${NODE}`, `NATS_URL=${world.server.url}`];
  return world.start('ship', ['ship', '--config', file], [...env, ...through]);
}

async function arrives(world: World, source: string, written: Buffer): Promise<void> {
  const isThere = async (): Promise<boolean> => (await central(world.out, NODE, source)).equals(written);
  if (await until(isThere, { timeoutMs: WAIT_MS, everyMs: 50 })) return;
  const got = await central(world.out, NODE, source);
  assert.fail(`${source}: ${written.length} bytes written, ${got.length} have arrived`);
}

function destinations(world: World): string[] {
  return readdirSync(path.join(world.out, NODE), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.log$/.test(name))
    .map((name) => `/${name}`)
    .toSorted();
}

for (const [what, glob] of [
  ['the files themselves', FILES],
  ['the links to them', LINKS],
] as const)
  describe(`container logs, by ${what}`, { skip: hasSetpriv ? false : 'no setpriv' }, () => {
    const pathOf = (log: PodLog): string => (glob === FILES ? log.file : log.link);

    test('rotated while the shipper runs and while it is stopped', async () => {
      await World.run('pods', async (world) => {
        mkdirSync(path.join(world.source, 'var/lib/logferry'), { recursive: true });
        const [web, quiet] = [new PodLog(world.source, 'web-1'), new PodLog(world.source, 'quiet-1')];
        const all = async (): Promise<void> => {
          for (const log of [web, quiet]) await arrives(world, pathOf(log), log.written);
        };
        web.lines(500);
        quiet.lines(1);
        world.receive();
        let shipper = shipNode(world, glob);
        await all();

        for (let round = 0; round < 7; round += 1) {
          web.lines(300);
          web.rotate();
          web.lines(40);
          // Kubelet looks every ten seconds, the shipper every second.
          await all();
        }

        // Twice while nobody looks: the one that was being read is compressed by then.
        assert.equal(await shipper.stop(), 0, shipper.stderr);
        web.lines(200);
        web.rotate();
        web.lines(100);
        web.rotate();
        web.lines(50);
        quiet.lines(1);
        shipper = shipNode(world, glob);
        await all();

        // As often as all that was written stays there, and as often as files stay where nothing is missing.
        for (const [unread, rotations] of [
          [200, 3],
          [0, 5],
        ] as const) {
          assert.equal(await shipper.stop(), 0, shipper.stderr);
          web.lines(unread);
          for (let round = 0; round < rotations; round += 1) {
            web.rotate();
            web.lines(100);
          }
          shipper = shipNode(world, glob);
          await all();
          // Of a file that is removed meanwhile nobody can tell whether it had been written to: that is said.
          const errors = shipper.stderr.split('\n').filter((line) => /"level":[56]0/.test(line));
          const isNowhere = (line: string): boolean => unread === 0 && line.includes(' is nowhere: ');
          assert.ok(errors.every(isNowhere), errors.join('\n'));
        }

        const first = [web, quiet].map(pathOf);
        await shipper.kill();
        web.lines(10);
        web.rotate();
        shipper = shipNode(world, glob);
        await all();
        assert.deepEqual(destinations(world), first.toSorted());
        assert.equal(await shipper.stop(), 0, shipper.stderr);
        assert.doesNotMatch(shipper.stderr, /"level":[56]0/);
      });
    });

    test('of a container that is started again, and of a pod that is deleted', async () => {
      await World.run('pods', async (world) => {
        mkdirSync(path.join(world.source, 'var/lib/logferry'), { recursive: true });
        const log = new PodLog(world.source, 'job-1');
        world.receive();
        const shipper = shipNode(world, glob);
        log.lines(300);
        const first = { file: pathOf(log), written: log.written };
        await arrives(world, first.file, first.written);
        const status = readFileSync(`/proc/${shipper.child.pid}/status`, 'utf8');
        assert.match(status, /^CapEff:\t0+$/m, 'capabilities of the shipper');
        log.restart();
        log.lines(20);
        await arrives(world, pathOf(log), log.written);

        // Read to the last byte through what is open, though nothing takes it while the server is away.
        await world.server.kill();
        await warns(shipper, /connection to nats-server lost/);
        log.lines(2_000);
        log.delete();
        await world.restartServer();
        await arrives(world, pathOf(log), log.written);
        await arrives(world, first.file, first.written);
        assert.deepEqual(destinations(world), [first.file, pathOf(log)].toSorted());
        assert.equal(await shipper.stop(), 0, shipper.stderr);
      });
    });
  });
