// A new file that begins with all that was shipped goes on where that ended: an editor that saves by renaming, a mirror
// that is written anew each time. And a file whose last bytes each entry overwrites is not shipped as a whole each time.

import assert from 'node:assert/strict';
import {
  closeSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { describe, test } from 'node:test';

import { until } from '../../../common/runtime/run.ts';
import { central } from '../../support/central-files.ts';
import { TEST_MS, WAIT_MS } from '../../support/timeouts.ts';
import { World } from '../../support/world.ts';
import { CaseHost, Cases, type Log } from '../cases/tailing.ts';
import { begin } from './support.ts';

const cases = Cases.share('continued');

/** How a program puts a new file with all that the old one had, and more, in its place. */
const WAYS: Readonly<Record<string, (log: Log) => void>> = {
  // As `sed -i '$ a …'`, editors and rsync do it.
  'written beside it and renamed': (log) => {
    const next = log.path.replace('app.log', '.app.log.tmp');
    writeFileSync(next, readFileSync(log.path));
    log.lines(5, next);
    renameSync(next, log.path);
  },
  // As editors with a backup do it.
  'renamed to a backup and written anew': (log) => {
    renameSync(log.path, `${log.path}~`);
    writeFileSync(log.path, readFileSync(`${log.path}~`));
    log.lines(5);
  },
  'deleted and written anew': (log) => {
    const before = readFileSync(log.path);
    rmSync(log.path);
    writeFileSync(log.path, before);
    log.lines(5);
  },
  // With nothing more, until it goes on.
  'renewed as it was': (log) => {
    const next = log.path.replace('app.log', '.app.log.tmp');
    writeFileSync(next, readFileSync(log.path));
    renameSync(next, log.path);
  },
};

for (const [number, [name, renew]] of Object.entries(WAYS).entries())
  describe(`a new file with all of the old one: ${name}`, { concurrency: 3, timeout: TEST_MS }, () => {
    test('while the shipper runs', async () => {
      await cases.on(`way${number}-running`, async (host) => {
        const log = await begin(host);
        for (let round = 0; round < 3; round += 1) {
          renew(log);
          await host.arrives();
          log.lines(3);
          await host.arrives();
        }
      });
    });

    test('while the shipper is down', async () => {
      await cases.on(`way${number}-down`, async (host) => {
        const log = await begin(host);
        for (let round = 0; round < 2; round += 1) {
          await host.stop();
          log.lines(2);
          renew(log);
          host.ship();
          await host.arrives();
          log.lines(3);
          await host.arrives();
        }
      });
    });

    test('while it cannot publish', async () => {
      await cases.on(`way${number}-behind`, async (host) => {
        const proxy = await host.proxy();
        const log = await begin(host);
        proxy.close();
        log.lines(3);
        await host.says(/connection to nats-server lost/);
        renew(log);
        proxy.open();
        await host.arrives();
        log.lines(3);
      });
    });
  });

describe('what only looks like it', { concurrency: 3, timeout: TEST_MS }, () => {
  test('a new file that begins with the same lines and has others after them comes as a whole', async () => {
    await cases.on('others', async (host) => {
      const log = await begin(host);
      const first = readFileSync(log.path);
      log.lines(5);
      await host.arrives();
      const next = host.file('next');
      writeFileSync(next, first);
      log.wrote(first);
      log.lines(8, next);
      renameSync(next, log.path);
    });
  });

  test('a mirror of a log that is rotated there, too', async () => {
    await cases.on('mirror', async (host) => {
      const log = await begin(host);
      const mirror = (content: string | Uint8Array): void => {
        writeFileSync(host.file('.mirror'), content);
        renameSync(host.file('.mirror'), log.path);
      };
      log.lines(5);
      await host.arrives();
      // There it begins anew, here the old one is overwritten.
      const next = 'after the rotation\n';
      log.wrote(next);
      mirror(next);
      await host.arrives();
      log.lines(5);
      await host.arrives();
      mirror(readFileSync(log.path));
      log.lines(5);
    });
  });
});

/** The last bytes of a file are overwritten by the next entry. */
function overwriteEnd(file: string, entry: string, end: string): void {
  const fd = openSync(file, 'r+');
  writeSync(fd, `${entry}${end}`, statSync(file).size - end.length);
  closeSync(fd);
}

const ENTRIES = 10;

for (const [name, opening, separator, end] of [
  ['a JSON array', '[\n{"first":true}', ',\n', '\n]\n'],
  ['an XML document', '<log>\n<first/>', '\n', '\n</log>\n'],
] as const)
  test(`the end of ${name} is overwritten by each entry: not a whole copy each time`, async () => {
    await World.run('overwritten', async (world) => {
      const receiver = world.receive();
      const host = new CaseHost(world, 'end');
      await mkdir(host.dir);
      const file = host.file('app.log');
      const filling = Array.from({ length: 200 }, (_, number) => `${separator}filling ${number}`);
      writeFileSync(file, `${opening}${filling.join('')}${end}`);
      try {
        host.ship();
        let arrived: Buffer = Buffer.alloc(0);
        for (let number = 0; number <= ENTRIES; number += 1) {
          const entry = `entry ${number}`;
          const isThere = async (): Promise<boolean> => {
            arrived = await central(world.out, host.name, file).catch(() => Buffer.alloc(0));
            return arrived.includes(number === 0 ? end : `${entry}${end}`);
          };
          if (number > 0) overwriteEnd(file, `${separator}${entry}`, end);
          assert.ok(await until(isThere, { timeoutMs: WAIT_MS }), `${entry} is missing`);
        }
        const { size } = statSync(file);
        assert.ok(arrived.length < 3 * size, `${size} bytes became ${arrived.length} at the destination`);
        await host.stop();
      } finally {
        await host.end();
      }
      await receiver.stop();
    });
  });
