// The metrics address: what is served there and what is refused, and what a wrong or a busy one says. Health, where a part
// of the work does not go on.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { describe, test } from 'node:test';

import { metricsFlag } from '../../cli/flags/metrics.ts';
import { serveMetrics } from '../../cli/daemon/metrics/server.ts';
import { LogferryError } from '../../common/runtime/errors.ts';
import { silentLogger } from '../../common/runtime/log.ts';
import { openLink } from '../../common/nats/connection.ts';
import { Pulse, STUCK_MS } from '../../common/health/pulse.ts';
import { until } from '../../common/runtime/run.ts';
import { Shown } from '../../common/health/shown.ts';
import { ask } from '../support/http.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { fails } from '../support/said.ts';
import { World } from '../support/world.ts';

const LISTEN = { host: '127.0.0.1', port: 0, isLoopback: true };

/** A server whose health and readiness are those of `shown`. */
async function served(
  shown: Shown<unknown>,
  run: (url: string) => Promise<void>,
  metrics = async () => await Promise.resolve('some_metric 1\n'),
): Promise<void> {
  const server = await serveMetrics(LISTEN, {
    contentType: 'text/plain; version=0.0.4',
    metrics,
    whatIsStuck: () => shown.whatIsStuck(),
    whyNotReady: () => shown.whyNotReady(),
  });
  try {
    await run(server.url);
  } finally {
    await server.close();
  }
}

/** Everything that a connection says until it is closed. */
async function saidTo(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return await new Promise((resolve, reject) => {
    let said = '';
    const socket = connect(Number(port), hostname, () => socket.write(text));
    socket.on('data', (data) => (said += data.toString()));
    socket.on('error', reject);
    socket.on('close', () => {
      resolve(said);
    });
  });
}

test('an address is a port of this machine, or an address and a port, or off', () => {
  const read = (text: string): unknown => metricsFlag.parse(text);
  assert.deepEqual(read('9601'), { host: '127.0.0.1', port: 9601, isLoopback: true });
  assert.deepEqual(read('0'), { host: '127.0.0.1', port: 0, isLoopback: true });
  assert.deepEqual(read('0.0.0.0:9601'), { host: '0.0.0.0', port: 9601, isLoopback: false });
  assert.deepEqual(read('[::]:1'), { host: '::', port: 1, isLoopback: false });
  assert.equal(read('off'), undefined);
  for (const wrong of ['', 'on', '65536', '-1', '1.5', ':9601', 'central:9601', '127.0.0.1', '127.0.0.1:x'])
    assert.throws(
      () => read(wrong),
      (error: unknown) =>
        error instanceof LogferryError &&
        error.code === 'usage' &&
        error.message.startsWith(`--metrics is ${JSON.stringify(wrong)}, expected a port like 9601`),
    );
});

test('three routes, for reading only', async () => {
  const shown = new Shown<unknown>();
  await served(shown, async (url) => {
    const metrics = await ask(`${url}metrics`);
    assert.deepEqual([metrics.status, metrics.body], [200, 'some_metric 1\n']);
    assert.equal(metrics.headers['content-type'], 'text/plain; version=0.0.4');
    const head = await ask(`${url}metrics?x=1`, {}, 'HEAD');
    assert.deepEqual([head.status, head.body, head.headers['content-length']], [200, '', '14']);
    assert.equal((await ask(`${url}healthz`)).body, 'ok\n');
    assert.deepEqual((await ask(`${url}readyz`)).body, 'starting\n');
    shown.waitsFor = () => undefined;
    assert.equal((await ask(`${url}readyz`)).status, 200);
    shown.isStopping = true;
    assert.equal((await ask(`${url}readyz`)).body, 'stopping\n');
    for (const path of ['favicon.ico', 'metrics/', 'metrics/x', 'Metrics'])
      assert.equal((await ask(`${url}${path}`)).status, 404, path);
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH']) {
      const { status, headers } = await ask(`${url}metrics`, {}, method);
      assert.deepEqual(
        [status, headers['allow'], headers['connection']],
        [405, 'GET, HEAD', 'close'],
        method,
      );
    }
  });
});

test('what is not HTTP, or too long, ends the connection and nothing else', async () => {
  await served(new Shown(), async (url) => {
    assert.match(await saidTo(url, 'hello\r\n\r\n'), /^HTTP\/1\.1 400 /);
    const long = `GET /metrics HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(9_000)}\r\n\r\n`;
    assert.match(await saidTo(url, long), /^HTTP\/1\.1 431 /);
    const { port } = new URL(url);
    const sockets = Array.from({ length: 60 }, () => connect(Number(port), '127.0.0.1'));
    let closed = 0;
    for (const socket of sockets) socket.on('error', () => {}).on('close', () => (closed += 1));
    assert.ok(await until(() => closed > 0, { timeoutMs: WAIT_MS }), 'more than it serves');
    for (const socket of sockets) socket.destroy();
    const isServed = async (): Promise<boolean> =>
      await ask(`${url}healthz`).then(
        ({ status }) => status === 200,
        () => false,
      );
    assert.ok(await until(isServed, { timeoutMs: WAIT_MS }));
  });
});

test('metrics that cannot be collected are one line, and the next scrape is tried again', async () => {
  let fail = true;
  const metrics = async (): Promise<string> => {
    if (fail) throw new Error('no\nvalue');
    return await Promise.resolve('x 1\n');
  };
  await served(
    new Shown(),
    async (url) => {
      const failed = await ask(`${url}metrics`);
      assert.deepEqual([failed.status, failed.body], [500, 'no\\x0avalue\n']);
      fail = false;
      assert.equal((await ask(`${url}metrics`)).body, 'x 1\n');
    },
    metrics,
  );
});

describe('health', () => {
  test('a loop that does not go round is stuck, one that waits for the server is not', () => {
    const pulse = new Pulse();
    const [sweep, beat] = [pulse.begin('looking at the files', 0), pulse.begin('the heartbeat', 0)];
    assert.equal(pulse.stuck(STUCK_MS - 1), undefined);
    beat.beat(STUCK_MS);
    assert.equal(pulse.stuck(STUCK_MS + 1_000), 'looking at the files has not gone on for 2m1s');
    assert.equal(pulse.stuck(STUCK_MS + 1_000, 1_001), undefined, 'the server was away');
    assert.equal(pulse.stuck(STUCK_MS + 1_000, 1_000), 'looking at the files has not gone on for 2m1s');
    sweep.beat(STUCK_MS);
    assert.equal(pulse.stuck(STUCK_MS + 1_000), undefined);
    sweep.end();
    beat.end();
    assert.equal(pulse.stuck(100 * STUCK_MS), undefined, 'nothing is to be done');
  });

  test('stuck is 503 with what is stuck, where there is a connection', async () => {
    await World.run('metrics-stuck', async (world) => {
      const link = await openLink({ server: world.server.url }, { name: 'test', log: silentLogger() });
      world.atEnd(async () => {
        await link.close();
      });
      const shown = new Shown<unknown>();
      const silent = shown.pulse.begin('partition 3', performance.now() - 3 * STUCK_MS);
      await served(shown, async (url) => {
        assert.equal((await ask(`${url}healthz`)).status, 200, 'there was no connection');
        shown.link = { ...link, awayAt: () => Number.NEGATIVE_INFINITY };
        const { status, body } = await ask(`${url}healthz`);
        assert.equal(status, 503);
        assert.match(body, /^partition 3 has not gone on for 6m\S*\n$/);
        silent.beat();
        assert.equal((await ask(`${url}healthz`)).status, 200);
      });
    });
  });
});

test('a busy port ends a daemon with one line, a wrong address too', async () => {
  await World.run('metrics-busy', async (world) => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const why = new RegExp(
      `^logferry: cannot listen on 127\\.0\\.0\\.1:${port}: something else listens there: give another --metrics, or end what does$`,
    );
    await fails(world.receive(['--metrics', String(port)]), why);
    await fails(world.ship(['--metrics', `127.0.0.1:${port}`]), why);
    await fails(
      world.ship(['--metrics', 'central']),
      /^logferry: --metrics is "central", expected a port/,
      2,
    );
    const elsewhere = world.receive(['--metrics', '203.0.113.1:9601']);
    await fails(
      elsewhere,
      /^logferry: cannot listen on 203\.0\.113\.1:9601: this machine has no such address/,
    );
    await new Promise<void>((resolve) => other.close(() => resolve()));
  });
});
