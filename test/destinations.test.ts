// Many more destinations than descriptors: each is closed and opened again many times, the receiver is killed on the
// way, and every byte is where it belongs.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { open, readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { contentOf, SimulatedHosts } from '../bench/simulated-hosts.ts';
import { silentLogger } from '../common/log.ts';
import { openLink } from '../common/nats.ts';
import { sleep, until } from '../common/run.ts';
import { World } from './harness.ts';

const ENTRY = fileURLToPath(new URL('../logferry.ts', import.meta.url));

/** Room for 22 destinations. */
const DESCRIPTORS = 300;
const HOSTS = 60;
const FILES_EACH = 4;
const ROUNDS = 12;

/** A receiver whose system lets it have few descriptors. */
async function receiveWithFew(
  world: World,
): Promise<{ kill: () => Promise<void>; descriptors: () => Promise<number> }> {
  const log = await open(path.join(world.dir, 'out.log'), 'a');
  const args = ['receive', '--out', world.out, '--server', world.server.url, '--lease', '2s'];
  const command = `ulimit -n ${DESCRIPTORS}; exec "$0" "$@"`;
  const child = spawn('sh', ['-c', command, process.execPath, ENTRY, ...args, '--rotate-size', '16KiB'], {
    stdio: ['ignore', 'ignore', log.fd],
  });
  await log.close();
  const exited = new Promise((resolve) => child.once('close', resolve));
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  world.atEnd(kill);
  return { kill, descriptors: async () => (await readdir(`/proc/${child.pid}/fd`).catch(() => [])).length };
}

test(
  '240 destinations with room for 22, the receiver killed on the way',
  { timeout: 90_000 },
  async (context) => {
    await World.run('destinations', async (world) => {
      const setup = world.start('setup', ['setup', '--server', world.server.url]);
      assert.equal(await setup.exited, 0);
      const link = await openLink({ server: world.server.url }, { name: 'test', log: silentLogger() });
      world.atEnd(async () => {
        await link.close();
      });
      const hosts = new SimulatedHosts(link, 'logs', HOSTS, FILES_EACH, 4 * 1024);
      let receiver = await receiveWithFew(world);
      let most = 0;
      for (let round = 1; round <= ROUNDS; round += 1) {
        await hosts.publishRound();
        await sleep(400);
        most = Math.max(most, await receiver.descriptors());
        if (round % 4 !== 0) continue;
        await receiver.kill();
        receiver = await receiveWithFew(world);
      }
      const central = async (host: string, source: string): Promise<Buffer> => {
        const directory = path.join(world.out, host, path.dirname(source));
        const names = (await readdir(directory).catch(() => [])).filter((name) =>
          name.startsWith(path.basename(source)),
        );
        const active = names.filter((name) => name === path.basename(source));
        const segments = names.filter((name) => name !== path.basename(source)).toSorted();
        return Buffer.concat(
          await Promise.all(
            [...segments, ...active].map(async (name) => await readFile(path.join(directory, name))),
          ),
        );
      };
      const size = async (): Promise<number> => {
        const entries = await readdir(world.out, { recursive: true, withFileTypes: true });
        let bytes = 0;
        for (const entry of entries) {
          const file = path.join(entry.parentPath, entry.name);
          if (entry.isFile() && !file.includes('/.logferry/'))
            bytes += (await stat(file).catch(() => undefined))?.size ?? 0;
        }
        return bytes;
      };
      const written = hosts.files.reduce((sum, file) => sum + file.bytes, 0);
      await until(async () => (await size()) >= written, { timeoutMs: 40_000, everyMs: 200 });
      for (const file of hosts.files) {
        const got = await central(file.host, file.path);
        assert.ok(
          got.equals(contentOf(file, 0, file.bytes)),
          `${file.host} ${file.path}: ${got.length} of ${file.bytes}`,
        );
      }
      assert.equal(await size(), written);
      assert.ok(most > 0 && most < DESCRIPTORS, `${most} descriptors`);
      context.diagnostic(`at most ${most} descriptors were open at a look`);
    });
  },
);
