// What of the dashboard needs no server: addresses, tokens, what is sent of a status, lines that wait, the page itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Script } from 'node:vm';

import { Access, checkToken } from '../../../cli/dashboard/access.ts';
import { History, SAMPLES } from '../../../cli/dashboard/history.ts';
import { lineTest } from '../../../cli/dashboard/line-test.ts';
import { LinesWindow, MOST_LINE } from '../../../cli/dashboard/lines-window.ts';
import { isLoopbackName, readListen, urlOf } from '../../../cli/flags/listen.ts';
import { joined, readPage } from '../../../cli/dashboard/page.ts';
import { readTailQuery } from '../../../cli/dashboard/tail-query.ts';
import { badnessOf, viewOf } from '../../../cli/dashboard/view.ts';
import type { HostRow, Status } from '../../../cli/status/types.ts';
import { LogferryError } from '../../../common/runtime/errors.ts';

const usage = (error: unknown): boolean => error instanceof LogferryError && error.code === 'usage';

test('an address is loopback or not, and anything else is refused', () => {
  assert.deepEqual(readListen('127.0.0.1:9600', '--listen'), {
    host: '127.0.0.1',
    port: 9600,
    isLoopback: true,
  });
  assert.deepEqual(readListen('localhost:0', '--listen'), { host: '127.0.0.1', port: 0, isLoopback: true });
  assert.equal(readListen('127.8.9.1:1', '--listen').isLoopback, true);
  assert.equal(readListen('[::1]:9600', '--listen').isLoopback, true);
  for (const open of ['0.0.0.0:9600', '[::]:9600', '10.0.0.1:80', '[::ffff:127.0.0.1]:80'])
    assert.equal(readListen(open, '--listen').isLoopback, open.includes('ffff'), open);
  for (const wrong of [
    '',
    '9600',
    ':9600',
    '127.0.0.1',
    '127.0.0.1:65536',
    'example.org:80',
    '::1:9600',
    '[1.2.3.4]:80',
    '127.0.0.1:-1',
  ])
    assert.throws(() => readListen(wrong, '--listen'), usage, wrong);
  assert.equal(urlOf('::1', 9600), 'http://[::1]:9600/');
});

test('a Host header is this machine, under any port, or it is not', () => {
  for (const name of ['localhost', 'LOCALHOST:1', '127.0.0.1:9600', '127.0.0.2', '[::1]:9600'])
    assert.ok(isLoopbackName(name), name);
  for (const name of [
    undefined,
    '',
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '10.0.0.1',
    '[::1',
    'localhost:1:2',
    '2130706433',
  ])
    assert.ok(!isLoopbackName(name), name);
});

test('a token is needed where others can reach it, and is never short', () => {
  const [here, open] = [readListen('127.0.0.1:1', ''), readListen('0.0.0.0:1', '')];
  checkToken(undefined, here);
  checkToken('x'.repeat(16), open);
  assert.throws(() => checkToken(undefined, open), usage);
  for (const token of ['x'.repeat(15), 'with a blank in it!', 'ä'.repeat(20)])
    assert.throws(() => checkToken(token, here), usage, token);
});

test('a token comes in once by the URL, then by its cookie, or as a bearer; nothing else does', () => {
  const token = 'a-long-token-of-ours';
  const access = new Access(readListen('0.0.0.0:9600', ''), 9600, token);
  const judge = (headers: Record<string, string>, given: string | null = null) =>
    access.judge({ isData: true, token: given, headers });
  const first = judge({}, token);
  assert.ok(first.kind === 'in' && first.setCookie !== undefined);
  assert.match(first.setCookie, /^logferry_9600=[0-9a-f]{64}; Path=\/; HttpOnly; SameSite=Strict; /);
  assert.ok(!first.setCookie.includes(token));
  const cookie = first.setCookie.split(';')[0] ?? '';
  assert.deepEqual(judge({ cookie: `a=b; ${cookie}; c=d` }), { kind: 'in', setCookie: undefined });
  assert.deepEqual(judge({ authorization: `Bearer ${token}` }), { kind: 'in', setCookie: undefined });
  const out = [
    judge({}),
    judge({}, ''),
    judge({}, `${token}x`),
    judge({ cookie: `logferry_9600=${token}` }),
    judge({ cookie: `${cookie}0` }),
    judge({ cookie: cookie.replace('9600', '9601') }),
    judge({ authorization: `Bearer ${token}x` }),
    judge({ authorization: `Basic ${token}` }),
    // A wrong one counts, whatever else is given.
    judge({ cookie }, 'wrong'),
  ];
  for (const verdict of out) assert.equal(verdict.kind === 'out' && verdict.status, 401);
  const again = new Access(readListen('0.0.0.0:9600', ''), 9600, token);
  assert.equal(again.judge({ isData: true, token: null, headers: { cookie } }).kind, 'in');
});

function hostRow(host: string, more: Partial<HostRow> = {}): HostRow {
  return {
    ...{ host, machine: null, partition: 0, owner: null, state: 'answers', lastSeen: null, started: null },
    ...{ files: 1, sizeBytes: 1, publishedBytes: 1, committedBytes: 1, lagBytes: 0, lagSeconds: 0 },
    ...{ bytesPerSecond: 10, errors: 0, lostBytes: 0, untold: 0, worst: [], risks: [] },
    ...more,
  };
}

function statusOf(hosts: readonly HostRow[]): Status {
  const uncommitted = { messages: 0, oldest: null, dropsInSeconds: null };
  const stream = {
    ...{ name: 'LOGS', created: '', messages: 0, bytes: 0, maxBytes: null, maxAgeSeconds: null },
    ...{ maxMessages: null, oldest: null, bytesPerSecond: null, uncommitted, partitions: [], risks: [] },
  };
  return { hosts, receivers: [], stream };
}

test('the worst hosts come first, the others by name, and no more than a page can show', () => {
  const hosts = [
    ...Array.from({ length: 2_000 }, (_, index) => hostRow(`ok${String(index).padStart(4, '0')}`)),
    hostRow('behind', { lagSeconds: 70, lagBytes: 5 }),
    hostRow('errors', { errors: 2 }),
    hostRow('silent', { state: 'silent', lagBytes: null, lagSeconds: null, bytesPerSecond: null }),
    hostRow('risk', { risks: Array.from({ length: 9 }, () => 'x'.repeat(10_000)) }),
    hostRow('gone', { state: 'stopped' }),
  ];
  const view = viewOf(statusOf(hosts), 1);
  assert.deepEqual(
    view.hosts.slice(0, 6).map(({ host }) => host),
    ['risk', 'silent', 'errors', 'behind', 'ok0000', 'ok0001'],
  );
  assert.equal(view.hosts.length, 500);
  assert.deepEqual(view.hostsBy, { answers: 2_003, silent: 1, stopped: 1 });
  assert.deepEqual(view.totals, { lagBytes: 5, bytesPerSecond: 20_040 });
  assert.equal(view.moreRisks, 4);
  assert.ok(JSON.stringify(view).length < 200_000);
  // A little more or less behind moves nobody.
  assert.equal(badnessOf(hostRow('a', { lagSeconds: 20 })), badnessOf(hostRow('b', { lagSeconds: 50 })));
});

test('the history keeps two minutes, begins anew after a pause, and takes any name', () => {
  const history = new History();
  const look = (at: number): void =>
    history.add(viewOf(statusOf([hostRow('__proto__', { lagBytes: at })]), at));
  for (let index = 0; index < SAMPLES + 5; index += 1) look(index * 2_000);
  const sent: unknown = JSON.parse(JSON.stringify(history.series()));
  assert.match(JSON.stringify(sent), /"__proto__"/);
  const [[name, { lag }] = ['', { lag: [] }]] = Object.entries(history.series().hosts);
  assert.equal(name, '__proto__');
  assert.equal(lag.length, SAMPLES);
  assert.equal(lag[0], 10_000);
  look(10_000_000);
  assert.deepEqual(Object.values(history.series().hosts)[0]?.lag, [10_000_000]);
});

test('of lines that wait the newest stay, the others are counted, long ones are cut', () => {
  const window = new LinesWindow(50);
  const line = (text: string) => ({ at: 0, host: 'h', path: '/p', text });
  window.add(Array.from({ length: 70 }, (_, index) => line(String(index))));
  window.add([line('x'.repeat(MOST_LINE + 1))]);
  window.jump(3);
  const { lines, leftOut, jumped } = window.take();
  assert.deepEqual([lines.length, leftOut, jumped, lines[0]?.text], [50, 21, 3, '21']);
  assert.match(lines.at(-1)?.text ?? '', /^x+… \(1 characters more\)$/);
  assert.ok(window.isEmpty);
});

test('a search keeps the lines that match, and one that would take for ever is given up', () => {
  const search = (grep: string, invert = false, ignoreCase = false): boolean[] =>
    lineTest({ grep, invert, ignoreCase })(['an Error', 'fine', 'error 7']);
  assert.deepEqual(search('error'), [false, false, true]);
  assert.deepEqual(search('ERROR', false, true), [true, false, true]);
  assert.deepEqual(search('\\d$', true), [true, true, false]);
  assert.throws(() => search('('), usage);
  const endless = lineTest({ grep: '(a+)+$', invert: false, ignoreCase: false });
  assert.throws(
    () => endless([`${'a'.repeat(60)}b`]),
    (error) => error instanceof LogferryError && error.code === 'failed',
  );
  // And what it says is never run.
  const ran = lineTest({ grep: "'+(globalThis.ran=true)+'", invert: false, ignoreCase: false });
  assert.deepEqual(ran(['x']), [false]);
  assert.equal('ran' in globalThis, false);
});

test('the query of a tail is bounded', () => {
  const read = (query: string) => readTailQuery(new URLSearchParams(query));
  assert.ok(read('host=web*&path=*.log').selection.matches('web1', '/var/log/a.log'));
  assert.equal(read('grep=').test, undefined);
  assert.deepEqual(read('grep=A&invert&ignore-case=1').test?.(['a', 'b']), [false, true]);
  for (const wrong of [
    `grep=${'x'.repeat(501)}`,
    'host=a&'.repeat(21),
    `path=${'x'.repeat(501)}`,
    'grep=[',
    'path=a/',
  ])
    assert.throws(() => read(wrong), usage, wrong.slice(0, 20));
});

test('the page is one document below 100 kB whose scripts parse, with nothing from elsewhere', async () => {
  const { html, policy } = await readPage();
  const text = html.toString();
  assert.ok(html.length < 100_000, `${html.length} bytes`);
  const scripts = [...text.matchAll(/<script type="module">([^]*?)<\/script>/g)];
  assert.equal(scripts.length, 1);
  assert.equal(text.match(/<script/g)?.length, 1);
  assert.ok(new Script(`'use strict';${scripts[0]?.[1] ?? ''}`));
  assert.doesNotMatch(text, /\bimport\b.*from|^export /m);
  assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function/);
  assert.doesNotMatch(text, /(?:src|href)="(?!data:|#)/);
  assert.doesNotMatch(text, /https?:\/\/(?!www\.w3\.org\/2000\/svg)/);
  assert.match(policy, /default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+';/);
  assert.doesNotMatch(policy, /unsafe/);
});

test('modules are joined with names of their own', () => {
  const text = joined([
    { name: 'one.js', text: 'const own = 1;\nexport function one() {\n  return own;\n}\n' },
    {
      name: 'two.js',
      text: "import { one } from './one.js';\n\nconst own = 2;\nexport const two = own + one();\n",
    },
  ]);
  assert.equal(new Script(`${text}\n$two.two`).runInNewContext(), 3);
});
