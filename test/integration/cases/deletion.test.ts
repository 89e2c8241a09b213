// Cases 30 to 36: files that are deleted, lines that are not whole, bytes that are no text, and what may not be read.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { describe, test } from 'node:test';

import { until } from '../../../common/runtime/run.ts';
import { Cases, type CaseHost, type Log } from './tailing.ts';
import { TEST_MS, WAIT_MS } from '../../support/timeouts.ts';
import { baseSeed, random } from '../../support/seed.ts';

const cases = Cases.share('deletion');

const CHUNK = 1024 * 1024;

/** Root reads everything: then the shipper runs without the capabilities that make it so. */
const AS_READER =
  process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search'] : [];

/** A file whose first lines have arrived, with a way to the server that can be closed. */
async function begin(host: CaseHost): Promise<Log> {
  const log = host.log('app.log');
  log.lines(5);
  await host.proxy();
  host.ship();
  await host.arrives();
  return log;
}

/** Starts a shipper for whom the mode of a file counts. */
function shipAsReader(host: CaseHost, glob = '*.log'): void {
  const { status } = spawnSync(AS_READER[0] ?? 'true', [...AS_READER.slice(1), 'true']);
  assert.equal(status, 0, 'setpriv of util-linux');
  host.shipProcess(glob, AS_READER);
}

describe('files that are deleted, and bytes of all kinds', { concurrency: 6, timeout: TEST_MS }, () => {
  test('case 30: deleted with unread bytes', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host);
      const proxy = await host.proxy();
      for (const again of [true, false]) {
        proxy.close();
        log.lines(2_000);
        rmSync(log.path);
        if (again) log.lines(5);
        proxy.open();
        await host.arrives();
      }
      // Deleted while it is down: what was seen of it and is gone is reported, and what follows is shipped.
      log.lines(5);
      await host.arrives();
      proxy.close();
      appendFileSync(log.path, 'these bytes are gone\n');
      const isSeen = (): boolean => stateOf(host).includes(`"size":${statSync(log.path).size}`);
      assert.ok(await until(isSeen, { timeoutMs: WAIT_MS }), 'the size is in the state');
      await host.stop();
      rmSync(log.path);
      proxy.open();
      log.lines(5);
      host.ship();
      await host.says(/app\.log: bytes \d+ to \d+ are lost: the file is gone/);
    });
  });

  test('case 31: deleted ending in a partial line', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host);
      for (const again of [true, false]) {
        log.append('the beginning of a line');
        rmSync(log.path);
        if (again) log.lines(5);
        await host.arrives();
      }
      log.append('the beginning of a line');
      await host.arrives();
      rmSync(log.path);
      log.lines(5);
    });
  });

  test('case 32: a partial line that is completed after a restart', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host);
      // Before it would be shipped as it is, and after.
      for (const shipped of [false, true]) {
        log.append('the beginning, ');
        if (shipped) await host.arrives();
        await host.stop();
        log.append('the middle, ');
        host.ship();
        if (shipped) await host.arrives();
        log.append('the end\n');
        log.lines(1);
        await host.arrives();
      }
      // The line ends in the next file.
      log.append('the beginning of a line');
      await host.stop();
      log.rotate();
      log.append(' that ends in another file\n');
      host.ship();
    });
  });

  test('case 33: a line longer than a chunk', async (t) => {
    await cases.run(t, async (host) => {
      const log = await begin(host);
      const rand = random(baseSeed());
      const block = Buffer.from(Array.from({ length: CHUNK / 8 + 1 }, () => 97 + Math.floor(rand() * 26)));
      const long = (length: number): Buffer => Buffer.alloc(length, block);
      log.append(long(2 * CHUNK + 17));
      log.append('\n');
      log.lines(5);
      await host.arrives();
      // In pieces, over a restart, a rotation, and exactly as long as a chunk.
      log.append(long(CHUNK + 1));
      await host.stop();
      log.append(long(CHUNK - 1));
      host.ship();
      await host.arrives();
      log.rotate();
      log.append(long(CHUNK));
      log.rotate();
      log.append('\n');
      log.lines(5);
    });
  });

  test('case 34: CRLF, UTF-16, NUL bytes and invalid UTF-8 arrive as they are', async (t) => {
    await cases.run(t, async (host) => {
      const rand = random(baseSeed() + 1);
      const kinds = {
        crlf: Buffer.from('one\r\ntwo\r\n\r\n\rthree\r\n'.repeat(20)),
        utf16le: Buffer.from('\uFEFFZeile Ċ ein Ā\n'.repeat(20), 'utf16le'),
        utf16be: Buffer.from('\uFEFFZeile Ċ zwei Ā\n'.repeat(20), 'utf16le').swap16(),
        nul: Buffer.from('a\0b\n\0\0\0\n'.repeat(20)),
        zeros: Buffer.alloc(5_000),
        invalid: Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0x0a, 0xed, 0xa0, 0x80, 0xf8, 0x0a, 0x80]),
        bom: Buffer.from('\uFEFFwith a mark\n'),
        random: Buffer.from(Array.from({ length: 20_000 }, () => Math.floor(rand() * 256))),
      };
      host.ship();
      for (const cut of [1, 3, Number.POSITIVE_INFINITY]) {
        // Cut anywhere, also in the middle of a character.
        for (const [name, bytes] of Object.entries(kinds))
          host.log(`${name}.log`).append(bytes.subarray(0, cut));
        await host.arrives();
        for (const [name, bytes] of Object.entries(kinds))
          host.log(`${name}.log`).append(bytes.subarray(cut));
      }
    });
  });

  test('case 35: permission taken away and given back', async (t) => {
    await cases.run(t, async (host) => {
      const [log, other] = [host.log('app.log'), host.log('other.log')];
      for (const each of [log, other]) each.lines(5);
      shipAsReader(host);
      await host.arrives();
      // What is open stays open.
      chmodSync(log.path, 0o000);
      log.lines(5);
      await host.arrives();
      // The next one is not: said, and waited for, while the others go on.
      log.rotate();
      chmodSync(log.path, 0o000);
      log.lines(5);
      await host.says(/cannot read .*app\.log \(EACCES\); trying again/);
      other.lines(5);
      chmodSync(log.path, 0o644);
      await host.arrives();
      await host.stop();
      log.lines(5);
      chmodSync(log.path, 0o000);
      shipAsReader(host);
      await host.says(/cannot ship .*app\.log .*EACCES/);
      chmodSync(log.path, 0o644);
    });
  });

  test('case 36: an unreadable neighbour is left alone and holds nothing up', async (t) => {
    await cases.run(t, async (host) => {
      mkdirSync(host.file('open'));
      mkdirSync(host.file('closed'));
      const log = host.log('open/app.log');
      log.lines(5);
      for (const name of ['open/app.log.1', 'open/app.log-20261121', 'open/closed.log', 'closed/app.log']) {
        writeFileSync(host.file(name), 'not to be read\n');
        chmodSync(host.file(name), 0o000);
      }
      chmodSync(host.file('closed'), 0o000);
      shipAsReader(host, '*/*.log');
      await host.says(/open\/closed\.log.*EACCES/);
      await host.says(/EACCES.*\/closed/);
      await host.arrives();
      log.rotate();
      log.lines(5);
      await host.arrives();
      log.lines(5);
      log.copyTruncate();
      log.lines(5);
      await host.arrives();
      await host.stop();
      log.lines(5);
      log.rotate();
      log.lines(5);
      renameSync(host.file('open/closed.log'), host.file('open/still-closed.log'));
      shipAsReader(host, '*/*.log');
      await host.arrives();
      chmodSync(host.file('closed'), 0o755);
    });
  });
});

function stateOf(host: CaseHost): string {
  return readFileSync(`${host.state}/state.json`, 'utf8');
}
