// How many generations a receiver keeps in memory, and who may begin more.

import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';

import fc from 'fast-check';

import { BUNDLE_HEADER, packBundle } from '../../../common/wire/bundle.ts';
import { tailOf } from '../../../common/wire/digest.ts';
import { silentLogger, Throttle } from '../../../common/runtime/log.ts';
import { emptyRecord } from '../../../common/record/record.ts';
import { fileKey, storedSubject } from '../../../common/wire/subjects.ts';
import { Generations, mostGenerations, PartitionGenerations } from '../../../receiver/term/generations.ts';
import { OpenDestinations } from '../../../receiver/disk/open-destinations.ts';
import { noReceiverStats } from '../../../receiver/term/counts.ts';
import { Writer, type WriterOptions } from '../../../receiver/term/writer.ts';
import { Central, scratch } from '../../support/central.ts';

const files = (host: string, count: number): string[] =>
  Array.from({ length: count }, (_, number) => `${host}/f${number}-0`);

describe('generations', () => {
  test('a host that has more than others begins no more once there are too many; the others do', () => {
    const all = new Generations(100);
    const one = new PartitionGenerations(all, [...files('web1', 5), ...files('evil', 60)]);
    const other = new PartitionGenerations(all, files('web2', 34));
    assert.ok(one.mayBegin('evil'));
    one.began('evil');
    assert.deepEqual(one.counts('evil'), { own: 61, all: 100 });
    assert.equal(one.mayBegin('evil'), false);
    assert.equal(other.mayBegin('web2'), false);
    assert.ok(one.mayBegin('web1'));
    assert.ok(other.mayBegin('web3'));
  });

  test('whatever names are made up, there is an end', () => {
    const all = new Generations(100);
    const one = new PartitionGenerations(all, []);
    let begun = 0;
    while (begun < 1_000 && one.mayBegin(`evil${begun}`)) one.began(`evil${begun++}`);
    assert.equal(begun, 125);
  });

  test('a partition that is let go, or counted anew, is as if it had never been counted before', () => {
    const step = fc.tuple(
      fc.constantFrom('one', 'other'),
      fc.constantFrom('began', 'recount', 'letGo'),
      fc.nat(3),
    );
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const all = new Generations(1_000);
        const partitions = {
          one: new PartitionGenerations(all, []),
          other: new PartitionGenerations(all, []),
        };
        const want = { one: 0, other: 0 };
        for (const [name, what, number] of steps as [
          'one' | 'other',
          'began' | 'recount' | 'letGo',
          number,
        ][]) {
          if (what === 'began') partitions[name].began(`web${number}`);
          else if (what === 'recount') partitions[name].recount(files('web0', number));
          else partitions[name].letGo();
          want[name] = what === 'began' ? want[name] + 1 : what === 'recount' ? number : 0;
        }
        assert.equal(all.counts('').all, want.one + want.other);
      }),
    );
  });

  test('they take at most half of the heap', () => {
    assert.equal(mostGenerations((4 * 1024 + 192) * 1024 ** 2), 2 * 1024 ** 2);
    assert.equal(mostGenerations(64 * 1024 ** 2), 8 * 1024);
  });
});

describe('a generation that was given up', () => {
  const rescued = async (t: TestContext, most: number): Promise<number> => {
    const central = await Central.make(t, await scratch(t));
    const options: WriterOptions = {
      ...{
        out: central.out,
        prefix: 'logs',
        ledgerFile: central.ledger,
        rotate: { sizeBytes: undefined, interval: undefined },
      },
      ...{ open: new OpenDestinations(10), log: silentLogger(), throttle: new Throttle() },
      ...{ stats: noReceiverStats(), generations: new PartitionGenerations(new Generations(most), []) },
    };
    const writer = new Writer(options, emptyRecord(1), 'd.1');
    const data = Buffer.from('a line\n');
    const chunk = {
      kind: 'data',
      ...{ start: 0, end: data.length, begin: 0, tail: tailOf(data) },
      after: { file: 'never-seen-0', size: 100 },
    } as const;
    const source = { host: 'evil', path: '/a.log', file: 'f-0' };
    const { header, payload } = packBundle('00000000.1', [{ ...source, chunk, payload: data }], true);
    const message = {
      ...{ seq: 1, data: payload, header: (name: string) => (name === BUNDLE_HEADER ? header : '') },
      subject: storedSubject({ prefix: 'logs', partitions: 1 }, source.host, 0),
    };
    await writer.rescue(message, new Set([fileKey(source.host, source.file)]));
    const changed = writer.group.changes.size;
    await writer.cutBack();
    await writer.close();
    return changed;
  };

  test('brings the one that it follows with it, and both need room', async (t) => {
    assert.equal(await rescued(t, 10), 2);
    assert.equal(await rescued(t, 1), 0);
    assert.equal(await rescued(t, 0), 0);
  });
});
