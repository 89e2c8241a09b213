// A wrong password is said in one line, also where a cluster tells of servers that nobody has named.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { connect } from '@nats-io/transport-node';

import { freePort } from '../../cli/nats-server/port.ts';
import { type NatsServer, startNatsServer } from '../../cli/nats-server/nats-server.ts';
import { until } from '../../common/runtime/run.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { ended, fails } from '../support/said.ts';
import { Daemon } from '../support/daemon.ts';

const LOGIN = { user: 'me', password: 'right' };

/** Whether a server tells its clients of as many servers as there are. */
async function tellsOf(server: NatsServer, count: number): Promise<boolean> {
  const nc = await connect({ servers: server.url, user: LOGIN.user, pass: LOGIN.password });
  try {
    return nc.info?.connect_urls?.length === count;
  } finally {
    await nc.close();
  }
}

test('a wrong password is refused by a cluster', async (t) => {
  const dir = await mkdtemp(path.join(tmpdir(), 'logferry-cluster-login-'));
  const ports = [await freePort(), await freePort()];
  const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(', ');
  const servers: NatsServer[] = [];
  t.after(async () => {
    for (const server of servers) await server.kill();
    await rm(dir, { recursive: true });
  });
  for (const port of ports)
    servers.push(
      await startNatsServer({
        dir: path.join(dir, String(port)),
        say: () => {},
        config: `
          jetstream: disabled
          cluster { name: two, listen: "127.0.0.1:${port}", routes: [${routes}] }
          authorization { user: ${LOGIN.user}, password: ${LOGIN.password} }`,
      }),
    );
  for (const server of servers)
    assert.ok(await until(async () => await tellsOf(server, 2), { timeoutMs: WAIT_MS }), 'no cluster');

  for (const url of [servers[0]?.url ?? '', servers.map((server) => server.url).join(',')]) {
    const args = ['setup', '--server', url, '--user', LOGIN.user, '--password', 'wrong'];
    const daemon = new Daemon(args, path.join(dir, 'setup.log'));
    t.after(async () => await daemon.kill());
    await ended(daemon);
    await fails(daemon, /^logferry: nats-server at \S+ refuses these credentials \(.*\): check --creds/, 1);
  }
});
