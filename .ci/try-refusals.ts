// What deploy/compose/secured.yml refuses while its services run: a wrong password, no password, another host's name,
// more than one's permissions, and a nats-server that does not know the password of the cluster.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

import type { ComposeProcesses } from './compose-processes.ts';

export async function tryRefusals(processes: ComposeProcesses): Promise<void> {
  const refused = (what: string, env: Record<string, string>, command: readonly string[]): void => {
    const { code, stderr } = processes.tryRun('shipper', { env, command });
    const said = stderr.split('\n').filter((line) => line.startsWith('logferry: '));
    assert.equal(code, 1, `exit code with ${what}: ${stderr}`);
    assert.match(said.join('\n'), /^logferry: nats-server at \S+ refuses[^\n]*$/, stderr);
    console.log(`refused: ${what}`);
  };
  const ship = ['ship', '/var/log/demo/app.log', '--once', '--timeout', '60s'];
  const other = ['--state', '/var/lib/logferry/other'];
  refused('a wrong password', { NATS_PASSWORD: 'wrong' }, [...ship, ...other, '--host', 'demo']);
  refused('no password', { NATS_USER: '', NATS_PASSWORD: '' }, [...ship, ...other, '--host', 'demo']);
  refused("another host's name", {}, [...ship, ...other, '--host', 'other']);
  refused('a shipper that would alter the stream', {}, ['setup', '--max-age', '1h', '--alter']);
  assert.match(await asServer(processes), /-ERR 'Authorization Violation'/);
  console.log('refused: a nats-server without the password of the cluster');
}

/** Whoever does not know the authority of deploy/compose/encrypted.yml does not talk to its servers. */
export async function tryStranger(processes: ComposeProcesses): Promise<void> {
  const { code, stderr } = processes.tryRun('setup', { env: { NATS_CA: '' } });
  assert.equal(code, 1, stderr);
  assert.match(stderr, /^logferry: nats-server at \S+ [^\n]*certificate[^\n]*\n$/);
  console.log('refused: servers whose authority is not known');
  await Promise.resolve();
}

/** What a server of the cluster answers to another one that gives no password. */
async function asServer(processes: ComposeProcesses): Promise<string> {
  const [host = '', port = ''] = processes.here('nats-1', 'nats-1:6222').split(':');
  const socket = connect({ host, port: Number(port) });
  socket.setTimeout(20_000, () => socket.destroy(new Error('no answer to another server')));
  await once(socket, 'connect');
  socket.write(
    'CONNECT {"verbose":false,"pedantic":false,"name":"stranger","cluster":"logferry"}\r\nPING\r\n',
  );
  return await text(socket);
}
