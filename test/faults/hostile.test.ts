// What foreign clients publish: skipped, counted, logged once. Real lines before and after arrive, and nothing is
// written anywhere but below the output directory.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readFile, stat } from 'node:fs/promises';
import { createConnection } from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { crc32, zstdCompressSync } from 'node:zlib';

import { headers, type MsgHdrs } from '@nats-io/transport-node';

import { tailOf } from '../../common/wire/digest.ts';
import { until } from '../../common/runtime/run.ts';
import { encodeToken, partitionOf, publishSubject } from '../../common/wire/subjects.ts';
import { destinationOf, flatDestinationOf } from '../../receiver/ledger/names.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { assertClear, ended, messages, stops, warns } from '../support/said.ts';
import { assertIdentical } from '../support/compare.ts';
import { central } from '../support/central-files.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';
import { partitionKey } from '../../common/wire/topology.ts';

type Fields = Readonly<Record<string, string>>;

/** What a shipper would have sent for these bytes as the beginning of a file. */
function honest(payload: Uint8Array): Fields {
  return {
    'Logferry-Range': `0-${payload.length}`,
    'Logferry-Begin': '0',
    'Logferry-Tail': tailOf(payload),
    'Logferry-Crc32': crc32(payload).toString(16).padStart(8, '0'),
  };
}

const TEXT = Buffer.from('a foreign line\n');
const BOMB = zstdCompressSync(Buffer.alloc(64 * 1024 ** 2));
const HUGE = '9007199254740991';

type Message = readonly [fields: Fields, payload: Uint8Array];

/** One message for each of these values of a header, the rest of it being right. */
function varied(header: string, values: readonly string[]): Message[] {
  return values.map((value) => [{ ...honest(TEXT), [header]: value }, TEXT]);
}

/** What does not parse. */
const GARBAGE: readonly Message[] = [
  [{}, TEXT],
  [{}, new Uint8Array()],
  [{ a: 'b' }, TEXT],
  ...varied('Logferry-Range', ['', 'x', '0-x', '-1-5', '5-1', '1e1-2e1', '0x0-0xf', '0-0', `0-${HUGE}`]),
  ...varied('Logferry-Range', [`${HUGE}-${HUGE}`, '0-99999999999999999999', 'x'.repeat(1_000_000)]),
  ...varied('Logferry-Begin', ['', '-1', 'x', `${HUGE}0`]),
  ...varied('Logferry-Crc32', ['', 'xyz', '0000000000', 'deadbeef\u00e9']),
  ...varied('Logferry-Tail', ['', '../../../../etc']),
  ...varied('Logferry-After', ['../../x 5', `y ${HUGE}0`]),
  ...varied('Logferry-End', ['exploded', 'rotated']),
  ...varied('Logferry-Gap', [`0-${HUGE} all gone`, '5-5 nothing']),
  ...varied('Content-Encoding', ['br']),
];

/** What parses, and is not what it says. */
const DAMAGED: readonly Message[] = [
  ...varied('Logferry-Crc32', ['00000000']),
  ...varied('Logferry-After', [`y ${HUGE}`]),
  ...varied('Content-Encoding', ['zstd']),
  [{ ...honest(BOMB), 'Content-Encoding': 'zstd' }, BOMB],
  [{ ...honest(BOMB), 'Logferry-Range': `0-${8 * 1024 ** 2}`, 'Content-Encoding': 'zstd' }, BOMB],
];

/** Subjects that no shipper writes. */
const SUBJECTS = [
  'x.y.Z',
  'web1.x.Y',
  'web1.x.%2e%2E',
  'web%31.x.y',
  '%FF.x.y',
  '%.%.%',
  'web1.%2fx.y',
  'é.ü.y',
  `web1.${'x'.repeat(3_000)}.Y`,
];

/** Header blocks that are none: the server takes them as they are. */
const BLOCKS = [
  'NATS/1.0\r\nbad name: v\r\n\r\n',
  'NATS/1.0\r\n\u0001\u0002: v\r\n\r\n',
  'NATS/1.0\r\nno colon at all\r\n\r\n',
  'NATS/1.0\r\n: no name\r\n\r\n',
  'NATS/1.0 100 Idle Heartbeat\r\n\r\n',
  'NATS/1.0 409 Consumer Deleted\r\n\r\n',
  'NATS/1.0 503\r\n\r\n',
  'HTTP/1.1 200 OK\r\n\r\n',
  '\r\n\r\n\r\n',
  '\u0000\u00ff\u00fe',
  `NATS/1.0\r\n${Array.from({ length: 100_000 }, (_, index) => `${index.toString(36)}:\r\n`).join('')}\r\n`,
];

/** Publishes as nats.js never would. Resolves when the server has taken everything. */
async function publishRaw(port: number, subject: string, blocks: readonly string[]): Promise<void> {
  const socket = createConnection(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write('CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n');
  for (const block of blocks) {
    const data = Buffer.from(block, 'latin1');
    socket.write(`HPUB ${subject} ${data.length} ${data.length + TEXT.length}\r\n`);
    socket.write(Buffer.concat([data, TEXT, Buffer.from('\r\n')]));
  }
  socket.write('PING\r\n');
  let said = '';
  for await (const data of socket) if ((said += String(data)).includes('PONG\r\n')) break;
  assert.doesNotMatch(said, /-ERR/);
  socket.destroy();
}

function headersOf(fields: Fields): MsgHdrs {
  const sent = headers();
  for (const [name, value] of Object.entries(fields)) sent.set(name, value);
  return sent;
}

async function publish(world: World, subject: string, fields: Fields, payload: Uint8Array): Promise<void> {
  const { nc } = await world.connection();
  nc.publish(subject, payload, { headers: headersOf(fields) });
  await nc.flush();
}

/** Another host in the same partition. */
function hostBeside(host: string): string {
  const names = Array.from({ length: 10_000 }, (_, number) => `evil${number}`);
  const found = names.find((name) => partitionOf(name, PARTITIONS) === partitionOf(host, PARTITIONS));
  assert.ok(found !== undefined);
  return found;
}

/** Waits until all of an honest file is there, whatever others have written, and compares it. */
async function assertArrived(world: World, file: Written): Promise<void> {
  const read = async (): Promise<Buffer> => await central(world.out, world.host, file.file);
  await until(async () => (await read()).length >= file.bytes, { timeoutMs: TEST_MS, everyMs: 100 });
  assert.deepEqual(await read(), await file.truth());
}

/** The file id that the stream's newest message of the file names. */
async function fileIdOf(world: World, file: Written): Promise<string> {
  const { jsm } = await world.connection();
  const { state } = await jsm.streams.info('LOGS', { subjects_filter: 'logs.*.*.*.*' });
  const token = publishSubject('logs', { host: world.host, path: file.file, file: 'x' }).split('.')[2];
  const subject = Object.keys(state.subjects ?? {}).find((name) => name.split('.')[3] === token);
  assert.ok(subject !== undefined);
  return subject.split('.')[4] ?? '';
}

/** How many messages the stream holds, once it takes no more. */
async function messageCount(world: World): Promise<number> {
  const { streams } = await world.jsm();
  let count = -1;
  await until(async () => count === (count = (await streams.info('LOGS')).state.messages), {
    timeoutMs: WAIT_MS,
    everyMs: 2_000,
  });
  return count;
}

/** Every file below a directory. */
async function filesBelow(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
}

describe('foreign messages', { concurrency: 2 }, () => {
  test("garbage in the host's own partition is skipped, counted and logged once", async () => {
    await World.run('foreign', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const receiver = world.receive();
      const shipper = world.ship();
      await assertIdentical(world, [file]);
      const attack = async (): Promise<void> => {
        for (const [fields, payload] of [...GARBAGE, ...DAMAGED])
          await publish(world, `logs.${world.host}.x.y`, fields, payload);
        for (const subject of SUBJECTS) await publish(world, `logs.${subject}`, honest(TEXT), TEXT);
        await publishRaw(world.server.port, `logs.${world.host}.x.y`, BLOCKS);
      };
      await attack();
      file.line();
      await assertIdentical(world, [file]);
      // Which partition is the first to meet one is not known.
      await warns(receiver, /^skipped a message that logferry did not write: (header Logferry-|the subject)/);
      await stops(shipper);
      await stops(receiver);
      assert.equal(await ended(world.receive(['--once'])), 0);
      const before = await messageCount(world);
      await attack();
      const foreign = (await messageCount(world)) - before - DAMAGED.length;
      assert.ok(foreign > GARBAGE.length, 'the server refused most of it');
      const once = world.receive(['--once']);
      assert.equal(await ended(once), 0, once.stderr);
      assertClear(once);
      assert.equal(messages(once).at(-1), `wrote 0 B; skipped 0 duplicates and ${foreign} foreign messages`);
      const said = messages(once).filter((line) => /did not write/.test(line));
      assert.equal(said.length, 1, said.join('\n'));
      await assertIdentical(world, [file]);
      file.close();
    });
  });

  test("garbage on a real file's subject stops neither the file nor the partition", async () => {
    await World.run('foreign-subject', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const receiver = world.receive();
      let shipper = world.ship();
      await assertIdentical(world, [file]);
      const subject = publishSubject('logs', {
        host: world.host,
        path: file.file,
        file: await fileIdOf(world, file),
      });
      const attack = async (): Promise<void> => {
        for (const [fields, payload] of GARBAGE.slice(0, 3)) await publish(world, subject, fields, payload);
        // It parses and claims what comes next, but its payload is not what it says.
        for (const more of [50, 5_000_000]) {
          const range = `${file.bytes}-${file.bytes + more}`;
          const claim = { ...honest(TEXT), 'Logferry-Range': range, 'Content-Encoding': 'zstd' };
          await publish(world, subject, { ...claim, 'Logferry-Crc32': '00000000' }, TEXT);
        }
        await publishRaw(world.server.port, subject, BLOCKS);
      };
      await attack();
      for (let index = 0; index < 5; index += 1) {
        file.line();
        await publish(world, subject, {}, TEXT);
      }
      await assertIdentical(world, [file]);
      await attack();
      await shipper.kill();
      file.line();
      shipper = world.ship();
      await assertIdentical(world, [file]);
      await attack();
      await receiver.kill();
      const again = world.receive();
      file.line();
      await assertIdentical(world, [file]);
      await stops(shipper);
      await stops(again);
      file.close();
    });
  });

  test('names that point elsewhere end up below the output directory', async () => {
    await World.run('elsewhere', async (world) => {
      const deep = path.join(world.dir, 'o'.repeat(250), 'p'.repeat(250));
      const long = `/${Array.from({ length: 15 }, () => 'q'.repeat(250)).join('/')}`;
      const names: readonly (readonly [host: string, path: string])[] = [
        ['..', '/../../../../tmp/evil'],
        ['.', '/.'],
        ['.logferry', '/p00.ledger'],
        ['.logferry', '/../.logferry/p00.ledger'],
        ['a/../..', '/x'],
        ['/etc', '/passwd'],
        ['web1', '/'],
        ['web1', '/a//b'],
        ['web1', '/a/'],
        ['web1', 'relative'],
        ['web1', '../relative'],
        ['web1', '/nul\0/new\nline'],
        ['web1', '/%2E%2E/%2F'],
        ['web1', '/x'],
        ['web1', '/x/y'],
        ['web1', '/x/y/z'],
        ['web1', '/x.20260101T000000000Z'],
        ['web1', long],
        ['web1', `/${'r'.repeat(255)}`],
      ];
      const receiver = world.receive([], deep);
      await until(
        async () => (await stat(path.join(deep, '.logferry')).catch(() => undefined)) !== undefined,
        { timeoutMs: WAIT_MS },
      );
      await until(async () => (await (await world.jsm()).streams.names().next()).includes('LOGS'), {
        timeoutMs: WAIT_MS,
      });
      const before = new Set(await filesBelow(world.dir));
      for (const [index, [host, source]] of names.entries()) {
        const payload = Buffer.from(`${index} ${JSON.stringify([host, source])}\n`.slice(0, 200));
        await publish(
          world,
          `logs.${[host, source, `f${index}`].map(encodeToken).join('.')}`,
          honest(payload),
          payload,
        );
      }
      const where = ([host, source]: readonly [string, string]): string[] =>
        [destinationOf(host, source), flatDestinationOf(host, source)].map((name) => path.join(deep, name));
      for (const [index, name] of names.entries()) {
        let found = '';
        await until(
          async () => {
            const texts = await Promise.all(
              where(name).map(async (file) => await readFile(file, 'utf8').catch(() => '')),
            );
            return (found = texts.find((text) => text.startsWith(`${index} `)) ?? '') !== '';
          },
          { timeoutMs: WAIT_MS },
        );
        assert.notEqual(found, '', `${JSON.stringify(name)} did not arrive`);
      }
      await stops(receiver);
      const written = (await filesBelow(world.dir)).filter((file) => !before.has(file));
      const outside = written.filter(
        (file) => !file.startsWith(`${deep}/`) && !file.startsWith(`${world.dir}/nats/`),
      );
      assert.deepEqual(outside, []);
      const data = written.filter(
        (file) => file.startsWith(`${deep}/`) && !file.startsWith(`${deep}/.logferry/`),
      );
      assert.equal(data.length, names.length, data.join('\n'));
      await assert.rejects(stat('/tmp/evil'));
    });
  });

  test('messages that are larger than the server takes now are received all the same', async () => {
    await World.run('max-payload', async (world) => {
      const file = new Written(world, 'a.log');
      for (let count = 0; count < 3_000; count += 1) file.line(1_000);
      const shipper = world.ship(['--compression', 'none']);
      const { streams } = await world.jsm();
      await until(async () => (await streams.info('LOGS').catch(() => undefined))?.state.messages === 3, {
        timeoutMs: WAIT_MS,
      });
      await world.server.kill();
      await world.restartServer('max_payload: 65536');
      const receiver = world.receive();
      await assertIdentical(world, [file]);
      file.line();
      await assertIdentical(world, [file]);
      await stops(shipper);
      await stops(receiver);
      file.close();
    });
  });

  test("the server's answers, sent to keys and files of others, cost no byte", async () => {
    await World.run('smuggled', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const receiver = world.receive(['--id', 'r1']);
      const shipper = world.ship();
      await assertIdentical(world, [file]);
      const { nc, jsm } = await world.connection();
      const id = await fileIdOf(world, file);
      const own = publishSubject('logs', { host: world.host, path: file.file, file: id });
      const record = `$KV.LOGS_partitions.${partitionKey(partitionOf(world.host, PARTITIONS))}`;
      const targets = [own, record, '$KV.LOGS_members.receiver.r1', '$KV.LOGS_members.shipper.web1'];
      const isIntact = async (): Promise<boolean> => {
        const message = await jsm.streams.getMessage('KV_LOGS_partitions', { last_by_subj: record });
        return message !== null && !message.string().startsWith('{"stream"');
      };
      // As a host that may only publish as itself: it names where it wants the acknowledgement.
      for (let round = 0; round < 5; round += 1) {
        file.line();
        for (const target of targets) nc.publish('logs.web2.x.y', TEXT, { reply: target });
        await nc.flush();
        assert.ok(await until(isIntact, { timeoutMs: WAIT_MS }), 'the record stays overwritten');
        file.line();
      }
      await assertIdentical(world, [file]);
      assert.match(
        receiver.stderr,
        /does not parse .* set aside as p\d\d\.corrupt\.\d+, rebuilt from the ledgers/,
      );
      await stops(shipper);
      await stops(receiver);
      const once = world.ship(['--once', '--timeout', '2m']);
      const again = world.receive(['--id', 'r1']);
      assert.equal(await ended(once), 0, once.stderr);
      await stops(again);
      await assertIdentical(world, [file]);
      file.close();
    });
  });

  test('a host that makes up a thousand paths and generations stops nobody in its partition', async () => {
    await World.run('made-up', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const receiver = world.receive();
      const shipper = world.ship();
      await assertIdentical(world, [file]);
      // In the same partition: what it cannot do as itself it tries with names, ranges and ends.
      const evil = hostBeside(world.host);
      for (let number = 0; number < 1_000; number += 1) {
        const subject = `logs.${evil}.${encodeToken(`/${'d/'.repeat(number % 50)}${number}`)}.f${number}`;
        const kinds: readonly Fields[] = [
          honest(TEXT),
          { ...honest(TEXT), 'Logferry-Begin': HUGE },
          { ...honest(TEXT), 'Logferry-After': `f${number} 0` },
          { ...honest(TEXT), 'Logferry-After': `f${(number + 1) % 1_000} 15` },
        ];
        const fields = kinds[number % kinds.length];
        if (fields !== undefined) await publish(world, subject, fields, TEXT);
        const end = { 'Logferry-Range': '15-15', 'Logferry-Begin': '0', 'Logferry-End': 'rotated' };
        await publish(world, subject, { ...end, 'Logferry-Crc32': '00000000' }, new Uint8Array());
        if (number % 100 === 0) file.line();
      }
      file.line();
      await assertArrived(world, file);
      await stops(shipper);
      await stops(receiver);
      assert.equal(await ended(world.receive(['--once'])), 0);
      file.close();
    });
  });

  test(
    'a host that makes up more file ids than a receiver has memory for ends nobody: it begins no more, others do',
    { timeout: TEST_MS },
    async () => {
      await World.run('made-up-ids', async (world) => {
        const file = new Written(world, 'a.log');
        file.line();
        // It has memory for 65,536 generations then.
        const small = ['env', 'NODE_OPTIONS=--max-old-space-size=128'];
        let receiver = world.receive([], world.out, small);
        const shipper = world.ship();
        await assertIdentical(world, [file]);
        const evil = hostBeside(world.host);
        const { nc } = await world.connection();
        const fields = headersOf(honest(TEXT));
        for (let number = 0; number < 80_000; number += 1) {
          nc.publish(`logs.${evil}.app.f${number}`, TEXT, { headers: fields });
          if (number % 1_000 === 0) await nc.flush();
        }
        await nc.flush();
        const refused = new RegExp(`^${evil}: files that are new are not written: \\d+ generations are all`);
        await warns(receiver, refused, TEST_MS);
        file.line();
        file.rotate();
        file.line();
        await assertArrived(world, file);
        await stops(receiver);
        receiver = world.receive([], world.out, small);
        file.rotate();
        file.line();
        await assertArrived(world, file);
        nc.publish(`logs.${evil}.app.another`, TEXT, { headers: fields });
        await warns(receiver, refused);
        await stops(shipper);
        await stops(receiver);
        file.close();
      });
    },
  );
});
