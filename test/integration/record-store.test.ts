// Records with many files, on a real nats-server: what was set is read again, whatever was moved to archives meanwhile,
// what a commit writes stays small, and nothing is left behind in the bucket.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

import fc from 'fast-check';

import { copyMap, LayeredMap } from '../../common/record/layered-map.ts';
import { silentLogger } from '../../common/runtime/log.ts';
import { type NatsServer, startNatsServer } from '../../cli/nats-server/nats-server.ts';
import { type Link, openLink } from '../../common/nats/connection.ts';
import { emptyRecord, type FileEntry, type PartitionRecord } from '../../common/record/record.ts';
import { RecordStore } from '../../common/record/store.ts';
import { TEST_MS } from '../support/timeouts.ts';
import { baseSeed, random } from '../support/seed.ts';

let dir: string;
let server: NatsServer;
let link: Link;

before(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'logferry-records-'));
  server = await startNatsServer({ dir, say: () => {} });
  link = await openLink({ server: server.url }, { name: 'test', log: silentLogger() });
});

after(async () => {
  await link.close();
  await server.kill();
  await rm(dir, { recursive: true });
});

async function newStore(name: string): Promise<RecordStore> {
  const store = new RecordStore(link, name, silentLogger());
  await store.bucket.ensure(1);
  return store;
}

function entry(rand: () => number, number: number): FileEntry {
  const offset = Math.floor(rand() * 1e9);
  const tail = Math.floor(rand() * 2 ** 48).toString(16);
  const path = `/var/log/containers/app-${number}/access.log`;
  return { path, offset, tail, held: [['a1b2c3d4.e5f6a7b8', 0]], after: null, final: null };
}

/** The length of the record itself, as it is in the bucket. */
async function lengthOf(store: RecordStore): Promise<number> {
  return (await store.bucket.read('p00')).data?.length ?? 0;
}

test('a layered map is a map', () => {
  const entries = fc.array(fc.tuple(fc.constantFrom<string[]>('a', 'b', 'c', 'd'), fc.nat()));
  fc.assert(
    fc.property(entries, entries, entries, (base, recent, more) => {
      const layered = new LayeredMap(new Map(base), recent);
      const plain = new Map([...base, ...recent]);
      const copy = copyMap(layered);
      for (const [key, value] of more) copy.set(key, value);
      const sorted = (map: ReadonlyMap<string, number>): [string, number][] =>
        [...map].toSorted(([a], [b]) => (a < b ? -1 : 1));
      for (const [map, want] of [
        [layered, plain],
        [copy, new Map([...plain, ...more])],
      ] as const) {
        assert.deepEqual(sorted(map), sorted(want));
        assert.equal(map.size, want.size);
        assert.deepEqual([...map.keys()].toSorted(), [...want.keys()].toSorted());
        assert.deepEqual([...map.values()].length, want.size);
        for (const key of ['a', 'b', 'c', 'd', 'e']) {
          assert.equal(map.get(key), want.get(key));
          assert.equal(map.has(key), want.has(key));
        }
      }
    }),
  );
});

test(
  '50,000 files, some changing: read as set, small sets, nothing left behind',
  { timeout: TEST_MS },
  async (context) => {
    const store = await newStore('MANY');
    const rand = random(baseSeed() * 100 + 70);
    const truth = new Map<string, FileEntry>();
    let record: PartitionRecord = emptyRecord(1);
    let at = await store.read(0);
    let longest = 0;
    let written = 0;
    for (let commit = 0; commit < 400; commit += 1) {
      const files = copyMap(record.files);
      for (let change = 0; change < 250; change += 1) {
        const number = rand() < 0.5 ? truth.size : Math.floor(rand() * 200);
        const file = `web1/f${number}-0`;
        const changed = entry(rand, number);
        truth.set(file, changed);
        files.set(file, changed);
      }
      const result = await store.set(0, { ...record, files }, at);
      assert.ok(typeof result === 'object');
      record = result.record;
      at = { record, revision: result.revision, epoch: at.epoch };
      const length = await lengthOf(store);
      longest = Math.max(longest, length);
      written += length;
      if (commit % 50 !== 0) continue;
      const other = await new RecordStore(link, 'MANY', silentLogger()).read(0);
      assert.deepEqual(new Map(other.record?.files), truth);
      assert.deepEqual((await store.read(0)).record?.archives, record.archives);
    }
    const { files, archives } = (await new RecordStore(link, 'MANY', silentLogger()).read(0)).record!;
    assert.deepEqual(new Map(files), truth);
    assert.ok(longest < 200_000, `a commit wrote ${longest} bytes`);
    const named = archives.map(({ token }) => token);
    const kept = await store.archives(0);
    assert.ok(
      kept.length <= named.length + 2,
      `${kept.length} archives in the bucket, ${named.length} named`,
    );
    await store.eraseUnnamed(0, kept, record);
    assert.deepEqual((await store.archives(0)).toSorted(), named.toSorted());
    context.diagnostic(
      `${truth.size} files in ${archives.length} archives; a commit wrote ${Math.round(written / 400)} bytes, at most ${longest}`,
    );
  },
);

test('an archive that is missing: the record is set aside, never half believed', async () => {
  const store = await newStore('MISSING');
  const files = new Map(
    Array.from({ length: 2_000 }, (_, number) => [`web1/f${number}-0`, entry(Math.random, number)]),
  );
  const result = await store.set(0, { ...emptyRecord(1), files }, await store.read(0));
  assert.ok(typeof result === 'object');
  const [archive] = await store.archives(0);
  await store.bucket.erase(`p00.archive.${archive}`);
  const other = new RecordStore(link, 'MISSING', silentLogger());
  assert.equal((await other.read(0)).record, undefined);
  assert.equal((await other.bucket.keys('p00.corrupt.*')).length, 1);
});

test('who reads the files of one host gets all of them, archived or not, and no others', async () => {
  const store = await newStore('HOSTS');
  const hosts = ['web1', 'web10', 'web1/x'];
  const add = (files: ReadonlyMap<string, FileEntry>, from: number, to: number): Map<string, FileEntry> => {
    const more = copyMap(files);
    for (let number = from; number < to; number += 1)
      more.set(`${hosts[number % 3]}/f${number}-0`, entry(Math.random, number));
    return more;
  };
  const first = await store.set(
    0,
    { ...emptyRecord(1), files: add(new Map(), 0, 2_000) },
    await store.read(0),
  );
  assert.ok(typeof first === 'object' && first.record.archives.length > 0);
  const files = add(first.record.files, 2_000, 2_100);
  const at = { revision: first.revision, epoch: (await store.read(0)).epoch };
  assert.ok(typeof (await store.set(0, { ...first.record, files }, at)) === 'object');
  const { record } = await new RecordStore(link, 'HOSTS', silentLogger(), 'web1').read(0);
  const want = new Map([...files].filter(([file]) => /^web1\/f\d+-0$/.test(file)));
  assert.ok(want.size === 700 && record !== undefined);
  assert.deepEqual(new Map(record.files), want);
});
