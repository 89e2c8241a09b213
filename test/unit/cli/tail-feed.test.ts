// Bundles as lines: what is selected of them, in its order, and what is said of those that cannot be read.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import pino from 'pino';

import { type Fed, Feed } from '../../../cli/tail/feed.ts';
import { selectionOf } from '../../../common/fleet/selection.ts';
import type { Delivery } from '../../../common/stream/pull.ts';
import { BUNDLE_HEADER, packBundle, type Sent } from '../../../common/wire/bundle.ts';
import { tailOf } from '../../../common/wire/digest.ts';

const BASE = { begin: 0, after: undefined };

function data(path: string, start: number, text: string): Sent {
  const payload = Buffer.from(text);
  const chunk = { ...BASE, kind: 'data', start, end: start + payload.length, tail: tailOf(payload) } as const;
  return { path, file: `${path.charAt(1)}-0`, chunk, payload };
}

function marker(path: string, chunk: Sent['chunk']): Sent {
  return { path, file: `${path.charAt(1)}-0`, chunk, payload: new Uint8Array() };
}

function message(seq: number, host: string, sent: readonly Sent[], damaged = false): Delivery {
  const { header, payload } = packBundle(`00000000.${seq}`, sent, true);
  const shown = damaged ? header.replace(/[0-9a-f]{8}$/, '00000001') : header;
  return {
    subject: `logs.3.${host}.0`,
    seq,
    header: (name) => (name === BUNDLE_HEADER ? shown : ''),
    data: payload,
    reply: `$JS.ACK.LOGS.c.1.${seq}.1.1000000.0`,
  };
}

/** What a feed makes of them: for each message its number, its selected chunks and its lines, and what it says. */
async function fed(
  selection: ReturnType<typeof selectionOf>,
  deliveries: readonly Delivery[],
): Promise<{ messages: string[]; said: string[] }> {
  const said: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => void said.push(JSON.parse(line).msg) });
  const feed = new Feed({ prefix: 'logs', selection, log });
  const messages: string[] = [];
  for await (const { delivery, selected, blocks } of feed.blocks(deliveries)) {
    const lines = blocks.map((block: Fed['blocks'][number]) => {
      assert.equal(block.atMs, 1);
      return `${block.source.path}=${Buffer.from(block.bytes).toString()}`;
    });
    messages.push(`${delivery.seq}:${selected.length}:${lines.join('')}`);
  }
  return { messages, said };
}

test('the chunks of a bundle are lines in their order, each byte once, of what is selected', async () => {
  const deliveries = [
    message(1, 'web1', [
      data('/a.log', 0, 'one\ntw'),
      data('/b.log', 0, 'b\n'),
      data('/a.log', 6, 'o\n'),
      data('/x.txt', 0, 'x\n'),
    ]),
    message(2, 'web2', [data('/a.log', 0, 'other\n')]),
    message(3, 'web1', [data('/x.txt', 2, 'x\n')]),
    message(4, 'web1', [data('/a.log', 0, 'one\ntwo\nthr'), data('/a.log', 4, 'two\nthree\n')]),
    message(5, 'web1', [
      marker('/b.log', { ...BASE, kind: 'gap', start: 2, end: 9, reason: 'gone' }),
      data('/b.log', 9, 'unfinished'),
      marker('/b.log', { ...BASE, kind: 'end', start: 19, end: 19, reason: 'rotated' }),
    ]),
  ];
  const { messages, said } = await fed(selectionOf(['web1'], ['*.log'], []), deliveries);
  assert.deepEqual(messages, [
    '1:3:/a.log=one\n/b.log=b\n/a.log=two\n',
    '4:2:/a.log=three\n',
    '5:3:/b.log=unfinished',
  ]);
  assert.deepEqual(said, ['web1: /b.log: bytes 2 to 9 are lost (gone)']);
});

test('what is no bundle or is damaged is skipped and said; what is not selected is not looked at', async () => {
  const foreign: Delivery = { ...message(3, 'web1', [data('/a.log', 2, 'c\n')]), header: () => '' };
  const deliveries = [
    message(1, 'web1', [data('/x.txt', 0, 'x\n')], true),
    message(2, 'web1', [data('/a.log', 0, 'a\n'), data('/b.log', 0, 'b\n')], true),
    foreign,
    message(4, 'web1', [data('/a.log', 0, 'a\n')]),
  ];
  const { messages, said } = await fed(selectionOf([], ['*.log'], []), deliveries);
  assert.deepEqual(messages, ['2:2:', '4:1:/a.log=a\n']);
  assert.equal(said.length, 2);
  assert.match(said[0] ?? '', /^skipped a message that logferry did not write: header Logferry-Bundle is ""/);
  assert.equal(said[1], 'skipped a message of web1: /a.log that does not match its checksum');
});
