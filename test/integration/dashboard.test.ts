// The dashboard as a process, over a real fleet: its routes and whom it lets in, what it sends, and how it ends.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';

import { readListen } from '../../cli/flags/listen.ts';
import { readPage } from '../../cli/dashboard/page.ts';
import { type Dashboard, MOST_TAILS, serveDashboard } from '../../cli/dashboard/server.ts';
import { Viewer } from '../../cli/dashboard/viewer.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import { until } from '../../common/runtime/run.ts';
import { startDashboard, untilEvent } from '../support/dashboard-world.ts';
import { ask } from '../support/http.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { InProcessShipper } from '../support/in-process.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';

const TOKEN = 'correct-horse-battery-staple';
const HOSTILE_HOST = `<script>alert("host")</script>'&"`;
const HOSTILE_LINE = `<img src=x onerror=alert(1)> \u001B[31mred\u001B[0m "quotes" '\\ \u0000 &amp; \u202Ebackwards`;

/** One host whose every name and line is hostile, and one that is not. */
async function startFleet(world: World): Promise<{ hostile: Written; web1: Written }> {
  world.receive(['--id', 'central-1']);
  await mkdir(path.join(world.source, 'bad'));
  await mkdir(path.join(world.source, 'good'));
  const hostile = new Written(world, `bad/<b onclick="x()">'.log`, HOSTILE_HOST);
  const web1 = new Written(world, 'good/app.log', 'web1');
  hostile.append(`${HOSTILE_LINE}\n`);
  web1.append('first line\nan error line\n');
  new InProcessShipper(world, HOSTILE_HOST, path.join(world.source, 'bad', '*.log'));
  new InProcessShipper(world, 'web1', path.join(world.source, 'good', '*.log'));
  return { hostile, web1 };
}

test('routes, methods and headers', async () => {
  await World.run('dashboard-routes', async (world) => {
    const { daemon, url } = await startDashboard(world);
    const page = await ask(url);
    assert.equal(page.status, 200);
    assert.equal(page.headers['content-type'], 'text/html; charset=utf-8');
    assert.match(String(page.headers['content-security-policy']), /default-src 'none'/);
    assert.match(page.body, /<h1>logferry<\/h1>/);
    const head = await ask(url, {}, 'HEAD');
    assert.deepEqual(
      [head.status, head.body, head.headers['content-length']],
      [200, '', page.headers['content-length']],
    );
    for (const name of ['', 'status.json', 'nothing', 'tail?grep=(']) {
      const { headers } = await ask(`${url}${name}`);
      assert.equal(headers['x-content-type-options'], 'nosniff', name);
      assert.equal(headers['referrer-policy'], 'no-referrer', name);
      assert.equal(headers['cache-control'], 'no-store', name);
      assert.ok(headers['content-security-policy'], name);
      assert.equal(headers['access-control-allow-origin'], undefined, name);
    }
    for (const name of [
      'nothing',
      'page.js',
      '../package.json',
      '%2e%2e/package.json',
      'status.json/',
      '/events',
    ])
      assert.equal((await ask(`${url}${name}`)).status, 404, name);
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'])
      assert.equal((await ask(url, {}, method)).status, 405, method);
    for (const name of ['events', 'tail', 'status.json'])
      assert.ok((await ask(`${url}${name}`, {}, 'HEAD')).status < 600, name);
    const wrong = await ask(`${url}tail?grep=(`);
    assert.equal(wrong.status, 400);
    assert.match(wrong.body, /no JavaScript regular expression/);
    assert.equal(await daemon.stop(), 0);
  });
});

test('no other site gets at it: neither by name nor from its pages', async () => {
  await World.run('dashboard-sites', async (world) => {
    const { url } = await startDashboard(world);
    const { port } = new URL(url);
    for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1.evil.example'])
      assert.equal((await ask(url, { host })).status, 403, host);
    for (const host of [`localhost:${port}`, '127.0.0.1', '[::1]:8080'])
      assert.equal((await ask(url, { host })).status, 200, host);
    for (const route of ['events', 'tail', 'status.json'])
      for (const site of ['cross-site', 'same-site'])
        assert.equal(
          (await ask(`${url}${route}`, { 'sec-fetch-site': site })).status,
          403,
          `${route} ${site}`,
        );
    // A link may lead to the page.
    assert.equal((await ask(url, { 'sec-fetch-site': 'cross-site' })).status, 200);
  });
});

test('with a token, nothing is shown without it, and it is never said', async () => {
  await World.run('dashboard-token', async (world) => {
    const { daemon, url } = await startDashboard(world, [
      '--listen',
      '0.0.0.0:0',
      '--dashboard-token',
      TOKEN,
    ]);
    const local = url.replace('0.0.0.0', '127.0.0.1');
    for (const route of ['', 'events', 'tail', 'status.json', '?token=wrong', 'events?token=']) {
      const answer = await ask(`${local}${route}`);
      assert.equal(answer.status, 401, route);
      assert.ok(!answer.body.includes('stream-name'), route);
    }
    const first = await ask(`${local}?token=${TOKEN}`);
    assert.equal(first.status, 200);
    const [cookie = ''] = first.headers['set-cookie'] ?? [];
    assert.match(cookie, /HttpOnly; SameSite=Strict/);
    const [pair = ''] = cookie.split(';');
    assert.equal((await ask(local, { cookie: pair })).status, 200);
    assert.equal((await ask(`${local}tail`, { cookie: pair }, 'HEAD')).status, 200);
    assert.equal((await ask(`${local}tail`, { authorization: `Bearer ${TOKEN}` }, 'HEAD')).status, 200);
    assert.equal((await ask(`${local}tail`, { authorization: 'Bearer wrong' }, 'HEAD')).status, 401);
    // Any name: who knows the token may come by a name that we do not know.
    assert.equal((await ask(local, { cookie: pair, host: 'dashboard.example' })).status, 200);
    assert.equal(await daemon.stop(), 0);
    assert.ok(!daemon.stderr.includes(TOKEN) && !daemon.stdout.includes(TOKEN));
  });
});

test('wrong usage is one line', async () => {
  await World.run('dashboard-usage', async (world) => {
    const { url } = await startDashboard(world);
    const taken = new URL(url).host;
    const cases: [string[], number, RegExp][] = [
      [['--listen', '0.0.0.0:0'], 2, /needed: make one: .*openssl rand -hex 16/],
      [['--listen', '0.0.0.0:0', '--dashboard-token', 'short'], 2, /5 characters.*at least 16/],
      [['--listen', 'somewhere'], 2, /--listen is "somewhere", expected an address and a port/],
      [['--listen', taken], 1, /cannot listen on 127\.0\.0\.1:\d+: something else listens there/],
      [['--listen', '192.0.2.1:9600', '--dashboard-token', TOKEN], 1, /this machine has no such address/],
    ];
    for (const [args, code, says] of cases) {
      const daemon = world.start('wrong', ['dashboard', '--server', world.server.url, ...args]);
      assert.equal(await daemon.exited, code, args.join(' '));
      assert.match(daemon.stderr, says);
      assert.equal(daemon.stderr.trim().split('\n').length, 1, daemon.stderr);
      assert.equal(daemon.stdout, '');
    }
  });
});

test('without a server, a stream or a fleet it says so, and shows what comes later', async () => {
  await World.run('dashboard-empty', async (world) => {
    const { url } = await startDashboard(world);
    const none = await untilEvent(`${url}events`, ({ data }) => /no stream LOGS/.test(String(data.message)));
    assert.equal(none.event, 'problem');
    const json = await ask(`${url}status.json`);
    assert.equal(json.status, 503);
    assert.match(json.body, /no stream LOGS/);
    await untilEvent(`${url}tail`, ({ data }) => /no stream LOGS yet/.test(String(data.message)));
    await startFleet(world);
    await untilEvent(`${url}events`, ({ event, data }) => event === 'status' && data.hosts.length === 2);
    await world.server.kill();
    await untilEvent(`${url}events`, ({ event }) => event === 'problem');
    await world.restartServer();
    await untilEvent(`${url}events`, ({ event, data }) => event === 'status' && data.hostsBy.answers === 2);
  });
});

test('it sends what is there: hosts, receivers, partitions, lines; whatever they are called', async () => {
  await World.run('dashboard-fleet', async (world) => {
    const { hostile, web1 } = await startFleet(world);
    const { url } = await startDashboard(world);
    const isComplete = ({ data }: { data: any }): boolean =>
      data.hosts?.length === 2 &&
      data.hosts.every((host: { committedBytes: number }) => host.committedBytes > 0);
    const { data } = await untilEvent(`${url}events`, isComplete);
    assert.deepEqual(data.hosts.map(({ host }: { host: string }) => host).toSorted(), [HOSTILE_HOST, 'web1']);
    assert.equal(data.receivers[0].id, 'central-1');
    assert.equal(data.stream.partitions.length, PARTITIONS);
    await untilEvent(
      `${url}events`,
      ({ event, data: series }) => event === 'history' && series.hosts.web1?.lag.length > 0,
    );
    const status = await ask(`${url}status.json`);
    assert.equal(status.headers['content-type'], 'application/json; charset=utf-8');
    assert.equal(JSON.parse(status.body).hosts.length, 2);

    const linesOf = async (query: string, count: number): Promise<any[]> => {
      const lines: any[] = [];
      await untilEvent(`${url}tail?${query}`, ({ event, data: sent }) => {
        if (event === 'lines') lines.push(...sent.lines);
        return lines.length >= count;
      });
      return lines;
    };
    const [bad] = await linesOf(`host=${encodeURIComponent('<script>*')}`, 1);
    assert.deepEqual([bad.host, bad.path, bad.text], [HOSTILE_HOST, hostile.file, HOSTILE_LINE]);
    const found = await linesOf('host=web1&grep=ERROR&ignore-case', 1);
    assert.deepEqual(
      found.map(({ text }) => text),
      ['an error line'],
    );
    const others = await linesOf('host=web1&grep=error&invert', 1);
    assert.deepEqual(
      others.map(({ text }) => text),
      ['first line'],
    );
    // What comes later, at the end of what was there.
    const later = linesOf('path=app.log', 3);
    const writing = setInterval(() => web1.append('a later line\n'), 300);
    try {
      assert.deepEqual(
        (await later).slice(0, 3).map(({ text }) => text),
        ['first line', 'an error line', 'a later line'],
      );
    } finally {
      clearInterval(writing);
    }
  });
});

test('of more lines than anybody can read the newest are sent, and the others counted', async () => {
  await World.run('dashboard-flood', async (world) => {
    const { web1 } = await startFleet(world);
    const { url } = await startDashboard(world);
    let [lines, leftOut, events] = [0, 0, 0];
    let isReady = false;
    const flood = untilEvent(`${url}tail?host=web1&grep=flood`, ({ event, data }) => {
      if (event === 'ready') isReady = true;
      if (event !== 'lines') return false;
      if (isReady) events += 1;
      lines += data.lines.length;
      leftOut += data.leftOut;
      assert.ok(!isReady || data.lines.length <= 50);
      return lines + leftOut >= 20_000;
    });
    await until(() => isReady, { timeoutMs: WAIT_MS });
    web1.append(Array.from({ length: 20_000 }, (_, index) => `flood ${index}\n`).join(''));
    await flood;
    assert.equal(lines + leftOut, 20_000);
    assert.ok(leftOut > 0 && events > 0);
  });
});

test('an expression that would take for ever ends the tail of who asked, and nothing else', async () => {
  await World.run('dashboard-endless', async (world) => {
    const { web1 } = await startFleet(world);
    web1.append(`${'a'.repeat(200)}b\n`);
    const { url } = await startDashboard(world);
    const query = `host=web1&grep=${encodeURIComponent('(a+)+$')}`;
    const { data } = await untilEvent(`${url}tail?${query}`, ({ event }) => event === 'problem');
    assert.match(data.message, /takes too long/);
    assert.equal(data.isFinal, true);
    assert.equal((await ask(`${url}status.json`)).status, 200);
  });
});

test('it looks only while somebody looks, and ends at once whoever does', async () => {
  await World.run('dashboard-rest', async (world) => {
    await startFleet(world);
    const { daemon, url } = await startDashboard(world);
    const { nc } = await world.connection();
    let asked = 0;
    nc.subscribe('$SRV.STATS.*', { callback: () => void (asked += 1) });
    await nc.flush();
    const leave = new AbortController();
    const open = [
      await fetch(`${url}events`, { signal: leave.signal }),
      await fetch(`${url}events`, { signal: leave.signal }),
    ];
    assert.ok(await until(() => asked >= 6, { timeoutMs: WAIT_MS }));
    leave.abort();
    for (const { body } of open) await body?.cancel().catch(() => undefined);
    // One look may be on its way; then there are none for longer than the time between two of them.
    let [seen, quietSince] = [asked, performance.now()];
    const isQuiet = (): boolean => {
      if (asked !== seen) [seen, quietSince] = [asked, performance.now()];
      return performance.now() - quietSince > 5_000;
    };
    assert.ok(await until(isQuiet, { timeoutMs: WAIT_MS }));
    const watching = fetch(`${url}events`);
    const tailing = fetch(`${url}tail`);
    await Promise.all([watching, tailing]);
    assert.equal(await daemon.stop(), 0);
    for (const one of [watching, tailing]) await assert.rejects(async () => await (await one).text());
  });
});

/** A server without a fleet, whose viewers the test has in its hands. */
async function serveViewers(dropMs: number): Promise<{ served: Dashboard; viewers: Viewer[] }> {
  const viewers: Viewer[] = [];
  const served = await serveDashboard({
    page: await readPage(),
    listen: readListen('127.0.0.1:0', '--listen'),
    token: undefined,
    status: async () => await Promise.reject(new LogferryError('failed', 'nothing to see')),
    watch: (viewer) => viewers.push(viewer),
    tail: (viewer) => viewers.push(viewer),
    dropMs,
  });
  return { served, viewers };
}

test('who reads nothing is dropped, and holds one event at most', async () => {
  const { served, viewers } = await serveViewers(500);
  const { port } = new URL(served.url);
  const socket = connect(Number(port), '127.0.0.1');
  try {
    socket.pause();
    socket.write('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
    assert.ok(await until(() => viewers.length === 1, { timeoutMs: WAIT_MS }));
    const [viewer] = viewers;
    assert.ok(viewer);
    const json = JSON.stringify('x'.repeat(1_000_000));
    let sent = 0;
    // The kernel takes some megabytes.
    const isGone = (): boolean => {
      if (viewer.send('big', json)) sent += 1;
      return viewer.gone.aborted;
    };
    assert.ok(await until(isGone, { timeoutMs: WAIT_MS }));
    assert.ok(sent > 0 && sent < 100, `${sent} were taken`);
    assert.equal(viewer.send('more', json), false);
  } finally {
    socket.destroy();
    await served.close();
  }
});

test('no more tails than it can bear, and room again when one has left', async () => {
  const { served, viewers } = await serveViewers(20_000);
  try {
    const leave = new AbortController();
    await fetch(`${served.url}tail`, { signal: leave.signal });
    for (let tail = 1; tail < MOST_TAILS; tail += 1)
      assert.equal((await fetch(`${served.url}tail`)).status, 200);
    const refused = await ask(`${served.url}tail`);
    assert.equal(refused.status, 503);
    assert.match(refused.body, /8 tails open/);
    leave.abort();
    assert.ok(await until(() => viewers[0]?.gone.aborted === true, { timeoutMs: WAIT_MS }));
    assert.equal((await fetch(`${served.url}tail`)).status, 200);
  } finally {
    await served.close();
  }
});
