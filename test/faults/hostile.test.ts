// What foreign clients publish: skipped, counted, logged once. Real lines before and after arrive, and nothing is
// written anywhere but below the output directory.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, stat } from 'node:fs/promises';
import { createConnection } from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { crc32, zstdCompressSync } from 'node:zlib';

import { headers, type MsgHdrs } from '@nats-io/transport-node';

import { BUNDLE_HEADER, MAX_CHUNKS, packBundle, type Sent } from '../../common/wire/bundle.ts';
import type { After } from '../../common/wire/chunk.ts';
import { tailOf } from '../../common/wire/digest.ts';
import { until } from '../../common/runtime/run.ts';
import { parseStoredSubject, partitionOf, publishSubject } from '../../common/wire/subjects.ts';
import { ledgerPath } from '../../receiver/ledger/ledger-file.ts';
import { destinationOf, flatDestinationOf } from '../../receiver/ledger/names.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { assertClear, ended, messages, stops, warns } from '../support/said.ts';
import { assertIdentical } from '../support/compare.ts';
import { central } from '../support/central-files.ts';
import { storedFrom } from '../support/chunks.ts';
import { GARBAGE as GARBAGE_BY_NAME, ROW, TEXT } from '../support/garbage.ts';
import { made, madePacked, type MadeUp, rows } from '../support/made-up.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';
import { partitionKey } from '../../common/wire/topology.ts';

type Fields = Readonly<Record<string, string>>;

/** What a message says of its one chunk. */
interface Said {
  readonly path?: string;
  readonly file?: string;
  readonly begin?: number;
  readonly after?: After;
}

/** What a shipper would have sent for these bytes as the beginning of a file. */
function honest(
  data: Uint8Array,
  { path: name = '/foreign', file = 'f-0', begin = 0, after }: Said = {},
): Message {
  const chunk = { kind: 'data', start: 0, end: data.length, begin, after, tail: tailOf(data) } as const;
  const { header, payload } = packBundle('0123abcd.1', [{ path: name, file, chunk, payload: data }], true);
  return [{ [BUNDLE_HEADER]: header }, payload];
}

/** Of made-up parts. */
function asMessage({ header, payload }: MadeUp): Message {
  return [{ [BUNDLE_HEADER]: header }, payload];
}

const BOMB = zstdCompressSync(Buffer.alloc(64 * 1024 ** 2));
const HUGE = Number.MAX_SAFE_INTEGER;
const LETTER = Buffer.from('x');
const CHAINED = 4_000;
const NO_FIELDS: Message = [{}, TEXT];

type Message = readonly [fields: Fields, payload: Uint8Array];

/** The client, or the server, trims a header's value and takes no line break in it. */
const UNSENDABLE = /^\s|\s$|[\r\n]/;

/** What does not parse. */
const GARBAGE: readonly Message[] = [
  NO_FIELDS,
  [{}, new Uint8Array()],
  [{ a: 'b' }, TEXT],
  ...[...GARBAGE_BY_NAME.values()].filter(({ header }) => !UNSENDABLE.test(header)).map(asMessage),
  // A marker whose message is not as it was sent: no bytes could show it.
  asMessage(made(rows(['e', '/foreign', 'f-0', 0, 0, 0, 'rotated', 0]), { says: { crc32: '00000000' } })),
  asMessage(made(rows(['g', '/foreign', 'f-0', 0, 15, 0, 'gone', 0]), { says: { crc32: '00000000' } })),
  asMessage(made(rows(['g', '/foreign', 'f-0', 0, HUGE, 0, 'all gone', 15]), { own: TEXT })),
  // As one file's messages were, before they held many.
  [
    {
      ...{ 'Logferry-Range': '0-15', 'Logferry-Begin': '0', 'Logferry-Tail': tailOf(TEXT) },
      'Logferry-Crc32': crc32(TEXT).toString(16).padStart(8, '0'),
    },
    TEXT,
  ],
];

/** A row of so many bytes, the first of them its own, or shared. */
function row(bytes: number, own = 0): unknown[] {
  return (ROW as readonly unknown[]).with(4, bytes).with(7, own);
}

/** What parses, and is not what it says. */
const DAMAGED: readonly Message[] = [
  asMessage(made(rows(ROW), { shared: TEXT, says: { crc32: '00000000' } })),
  honest(TEXT, { after: { file: 'y', size: HUGE } }),
  asMessage(made(rows(row(16, 15)), { own: TEXT })),
  asMessage(made(rows(row(16)), { shared: TEXT, says: { bytes: 16 } })),
  asMessage(made(rows(row(8 * 1024 ** 2, BOMB.length)), { own: BOMB })),
  asMessage(made(rows(row(8 * 1024 ** 2)), { shared: BOMB, says: { bytes: 8 * 1024 ** 2 } })),
  asMessage(made(rows(row(8 * 1024 ** 2)), { says: { bytes: 8 * 1024 ** 2 } })),
  asMessage(made(rows(row(BOMB.length + 1, BOMB.length)), { own: BOMB })),
];

/** Subjects that no shipper writes. */
const SUBJECTS = [
  ...['web1.Z', 'web1.x', 'web1.-1', 'web1.1e1', 'web1.1000', 'web1.%2e%2E', 'web1.٣'],
  ...['web%31.0', '%FF.0', '%.%', '%2fweb1.0', 'é.0', 'web~1.0'],
  `web1.${'x'.repeat(3_000)}`,
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
  `NATS/1.0\r\n${BUNDLE_HEADER}: 1 0123abcd.7\r\n 2 2 15 15 00000000\r\n\r\n`,
  `NATS/1.0\r\n${BUNDLE_HEADER}:\r\n${BUNDLE_HEADER}: 1 0123abcd.7 0 0 15 15 00000000\r\n\r\n`,
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

/** Beginnings of files that nobody has, so many in one message. */
function madeUpIds(first: number, count: number): Message {
  const sent = Array.from({ length: count }, (_, index) => ({
    ...{ path: 'app', file: `f${first + index}`, payload: TEXT },
    chunk: {
      kind: 'data',
      ...{ start: 0, end: TEXT.length, begin: 0, after: undefined, tail: tailOf(TEXT) },
    } as const,
  }));
  const { header, payload } = packBundle('0123abcd.1', sent, true);
  return [{ [BUNDLE_HEADER]: header }, payload];
}

/** One path in as many rows as a message may have: bytes again and again, ends, gaps. */
function crowd(kind: string): Message {
  const [length, says] = kind === 'd' ? [1, tailOf(TEXT)] : kind === 'e' ? [0, 'deleted'] : [1, 'gone'];
  const one = [kind, '/crowd', 'c-0', kind === 'e' ? 1 : 0, length, 0, says, 0];
  const table = rows(...Array.from({ length: MAX_CHUNKS }, () => one));
  return asMessage(madePacked(table, { shared: Buffer.alloc(kind === 'd' ? MAX_CHUNKS : 0) }));
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

/** The file id that the stream's newest message of the file names, and the subject that it is published to. */
async function newestOf(world: World, file: Written): Promise<{ id: string; subject: string }> {
  let newest: { id: string; subject: string } | undefined;
  for await (const { host, listed, subject } of storedFrom(world, 1)) {
    const { lane = 0 } = parseStoredSubject('logs', subject) ?? {};
    for (const each of listed)
      if (each.path === file.file) newest = { id: each.file, subject: publishSubject('logs', host, lane) };
  }
  return newest ?? assert.fail('nothing of the file is stored');
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
          await publish(world, publishSubject('logs', world.host, 7), fields, payload);
        for (const subject of SUBJECTS) await publish(world, `logs.${subject}`, ...honest(TEXT));
        await publishRaw(world.server.port, publishSubject('logs', world.host, 7), BLOCKS);
      };
      await attack();
      file.line();
      await assertIdentical(world, [file]);
      // Which partition is the first to meet one is not known.
      await warns(
        receiver,
        /^skipped a message that logferry did not write: (header Logferry-Bundle|the table|the subject)/,
      );
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

  test("garbage in a real file's lane stops neither the file nor the partition", async () => {
    await World.run('foreign-subject', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      const receiver = world.receive();
      let shipper = world.ship();
      await assertIdentical(world, [file]);
      const { id, subject } = await newestOf(world, file);
      const attack = async (): Promise<void> => {
        for (const message of GARBAGE.slice(0, 3)) await publish(world, subject, ...message);
        // They parse and claim what comes next, but their payload is not what they say.
        for (const more of [50, 5_000_000])
          for (const says of [{}, { crc32: '00000000' }]) {
            const next = ['d', file.file, id, file.bytes, more, 0, tailOf(TEXT)];
            await publish(
              world,
              subject,
              ...asMessage(made(rows([...next, TEXT.length]), { own: TEXT, says })),
            );
            const shared = { shared: TEXT, says: { ...says, bytes: more } };
            await publish(world, subject, ...asMessage(made(rows([...next, 0]), shared)));
          }
        // An end, and a gap, of which the checksum says that they are none.
        for (const [kind, length, reason] of [
          ['e', 0, 'rotated'],
          ['g', 50, 'gone'],
        ] as const) {
          const marker = made(rows([kind, file.file, id, file.bytes, length, 0, reason, 0]), {
            says: { crc32: '00000000' },
          });
          await publish(world, subject, ...asMessage(marker));
        }
        await publishRaw(world.server.port, subject, BLOCKS);
      };
      await attack();
      for (let index = 0; index < 5; index += 1) {
        file.line();
        await publish(world, subject, ...NO_FIELDS);
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
        const message = honest(payload, { path: source, file: `f${index}` });
        await publish(world, publishSubject('logs', host, index % 8), ...message);
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
      const isStored = async (): Promise<boolean> => {
        if ((await streams.info('LOGS').catch(() => undefined)) === undefined) return false;
        let end = 0;
        for await (const { listed } of storedFrom(world, 1))
          for (const { chunk } of listed) end = Math.max(end, chunk.end);
        return end === file.bytes;
      };
      assert.ok(await until(isStored, { timeoutMs: WAIT_MS }), 'it is not stored');
      const { state } = await streams.info('LOGS');
      assert.ok(state.bytes / state.messages > 65_536, 'the messages are small');
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
      const { subject: own } = await newestOf(world, file);
      const record = `$KV.LOGS_partitions.${partitionKey(partitionOf(world.host, PARTITIONS))}`;
      const targets = [own, record, '$KV.LOGS_members.receiver.r1', '$KV.LOGS_members.shipper.web1'];
      const isIntact = async (): Promise<boolean> => {
        const message = await jsm.streams.getMessage('KV_LOGS_partitions', { last_by_subj: record });
        return message !== null && !message.string().startsWith('{"stream"');
      };
      // As a host that may only publish as itself: it names where it wants the acknowledgement.
      for (let round = 0; round < 5; round += 1) {
        file.line();
        for (const target of targets) nc.publish(publishSubject('logs', 'web2', 0), TEXT, { reply: target });
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

  test(
    'small messages that say they are many: a receiver with little memory goes on',
    { timeout: TEST_MS },
    async () => {
      await World.run('many-in-few', async (world) => {
        const file = new Written(world, 'a.log');
        file.line();
        await world.setUp(PARTITIONS);
        // A pull holds all of them: six million chunks.
        const row = ['g', '/x', 'f-0', 1, 1, 0, '', 0];
        const message = asMessage(madePacked(rows(...Array.from({ length: MAX_CHUNKS }, () => row))));
        const subject = publishSubject('logs', hostBeside(world.host), 0);
        for (let number = 0; number < 1_500; number += 1) await publish(world, subject, ...message);
        world.receive([], world.out, ['env', 'NODE_OPTIONS=--max-old-space-size=192']);
        world.ship();
        await assertArrived(world, file);
        file.close();
      });
    },
  );

  test('holes in files with long names are recorded as far as a message has room', async () => {
    await World.run('long-holes', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      await world.setUp(PARTITIONS);
      const subject = publishSubject('logs', hostBeside(world.host), 0);
      for (let number = 0; number < 600; number += 1) {
        // Bytes of its own for each, so that nothing makes the record small; what comes before byte 1 never comes.
        const name = `/${randomBytes(2_000).toString('hex')}`;
        const table = rows(['d', name, `f-${number}`, 1, 1, 0, '0'.repeat(12), 0]);
        await publish(world, subject, ...asMessage(made(table, { shared: Buffer.from('x') })));
      }
      const receiver = world.receive();
      const shipper = world.ship();
      await assertArrived(world, file);
      const isCommitted = async (): Promise<boolean> => {
        const { record } = await (await world.records()).read(partitionOf(world.host, world.partitions));
        return (record?.holes.size ?? 0) > 0 && (record?.unnamed ?? 0) > 0 && (record?.stream.seq ?? 0) > 600;
      };
      assert.ok(await until(isCommitted, { timeoutMs: WAIT_MS }), 'the partition commits nothing');
      await stops(shipper);
      await stops(receiver);
      file.close();
    });
  });

  test('a path of thousands of generations: what is noted of each does not grow with their number', async () => {
    await World.run('chained', async (world) => {
      const file = new Written(world, 'a.log');
      file.line();
      await world.setUp(PARTITIONS);
      const evil = hostBeside(world.host);
      const subject = publishSubject('logs', evil, 0);
      const chained = (number: number): Sent => {
        const after = number === 0 ? undefined : { file: `f-${number - 1}`, size: 1 };
        const chunk = { kind: 'data', start: 0, end: 1, begin: 0, after, tail: tailOf(LETTER) } as const;
        return { path: '/x', file: `f-${number}`, chunk, payload: LETTER };
      };
      const sends = async (from: number, count: number): Promise<void> => {
        const sent = Array.from({ length: count }, (_, index) => chained(from + index));
        const { header, payload } = packBundle(`0123abcd.${from}`, sent, true);
        await publish(world, subject, { [BUNDLE_HEADER]: header }, payload);
      };
      for (let from = 0; from < CHAINED; from += 100) await sends(from, 100);
      const shipper = world.ship();
      const partition = partitionOf(evil, PARTITIONS);
      const other = path.join(world.dir, 'other');
      // Taken again and again, also by another that has written none of them.
      for (const [round, out] of [world.out, world.out, other, world.out].entries()) {
        const last = CHAINED + round;
        await sends(last, 1);
        const receiver = world.receive([], out);
        const isCommitted = async (): Promise<boolean> => {
          const { record } = await (await world.records()).read(partition);
          return record?.files.get(`${evil}/f-${last}`)?.offset === 1;
        };
        assert.ok(await until(isCommitted, { timeoutMs: WAIT_MS }), 'not all of them are committed');
        await stops(receiver);
        const { size } = await stat(ledgerPath(out, partition));
        assert.ok(size < CHAINED * 400, `${size} bytes for ${CHAINED} generations`);
      }
      await stops(shipper);
      assert.equal(await readFile(path.join(world.out, evil, 'x'), 'utf8'), 'x'.repeat(CHAINED + 3));
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
        const subject = publishSubject('logs', evil, number % 8);
        const [name, id] = [`/${'d/'.repeat(number % 50)}${number}`, `f${number}`];
        const kinds: readonly Said[] = [
          {},
          { begin: HUGE },
          { after: { file: id, size: 0 } },
          { after: { file: `f${(number + 1) % 1_000}`, size: 15 } },
        ];
        await publish(
          world,
          subject,
          ...honest(TEXT, { ...kinds[number % kinds.length], path: name, file: id }),
        );
        await publish(world, subject, ...asMessage(made(rows(['e', name, id, 15, 0, 0, 'rotated', 0]))));
        if (number % 100 === 0) file.line();
      }
      // As many as one message may name.
      for (const kind of ['d', 'e', 'g'])
        await publish(world, publishSubject('logs', evil, 0), ...crowd(kind));
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
        const subject = publishSubject('logs', evil, 0);
        for (let number = 0; number < 80_000; number += 1_000)
          await publish(world, subject, ...madeUpIds(number, 1_000));
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
        await publish(world, subject, ...madeUpIds(80_000, 1));
        await warns(receiver, refused);
        await stops(shipper);
        await stops(receiver);
        file.close();
      });
    },
  );
});
