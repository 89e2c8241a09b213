// What `docker compose up --scale receiver=3` starts, in its order: three nats-servers, setup, the log, the shipper and
// three receivers. One receiver and one nats-server are killed, and then every byte of the log is compared.

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import type { ComposeProcesses } from './compose-processes.ts';

/** The log file was renamed at least twice by then, and none of its old files is gone yet. */
const LINES = 500;
const LOG = '/var/log/demo';

/** @param meanwhile what else is tried while everything runs */
export async function tryCluster(
  processes: ComposeProcesses,
  meanwhile: (processes: ComposeProcesses) => Promise<void> = async () => {},
): Promise<void> {
  const { natsServers } = processes;
  assert.equal(natsServers.length, 3, 'nats-servers');
  const servers = new Map(natsServers.map((name) => [name, processes.start(name)]));
  for (const name of natsServers)
    await processes.until(() => processes.isHealthy(name), 30_000, `${name} is healthy`);

  // At once, as depends_on has it: all servers are healthy, so nothing has to be tried again.
  assert.match(processes.run('setup'), /^created stream LOGS\n(.*\n)*.*3 replicas/m);
  assert.match(processes.run('setup'), /^nothing to do\n/);

  const log = processes.start('log', { env: { PAUSE: '0.002' } });
  const shipper = processes.start('shipper');
  const central = processes.volume('central', '/central');
  const receivers: ChildProcess[] = [];
  for (const number of [1, 2, 3]) {
    receivers.push(processes.start('receiver'));
    const state = path.join(central, `receiver-${number}`, '.logferry', 'directory.json');
    await processes.until(() => existsSync(state), 15_000, `receiver ${number} has a directory of its own`);
  }
  assert.deepEqual(readdirSync(central).toSorted(), ['receiver-1', 'receiver-2', 'receiver-3']);

  // One that is created again, whatever it is called then, has the directory that is free.
  await processes.kill(receivers[1] ?? assert.fail());
  receivers[1] = processes.start('receiver');
  const begun = (): number => processes.logOf('receiver').split('receiving as receiver-2 ').length - 1;
  await processes.until(() => begun() === 2, 20_000, 'the second receiver is there again');
  assert.equal(readdirSync(central).length, 3);

  for (const name of ['shipper', 'receiver']) await tryMetrics(processes, name);
  await meanwhile(processes);

  // Two of three servers go on without the one that is killed.
  const [victim = ''] = natsServers;
  await processes.kill(servers.get(victim) ?? assert.fail());
  const directory = processes.volume('log', LOG);
  const written = (): string => linesOf(directory);
  await processes.until(() => written().split('\n').length > LINES, 30_000, `${LINES} lines are written`);
  await processes.stop(log);
  const read = (): string => {
    const { code, stdout } = processes.tryRun('read', {
      command: ['cat', 'demo', path.join(directory, 'app.log')],
    });
    return code === 0 ? stdout : '';
  };
  await processes.until(() => read() === written(), 60_000, 'the receivers have the log');

  servers.set(victim, processes.start(victim));
  await processes.until(() => processes.isHealthy(victim), 60_000, `${victim} is back`);
  for (const child of [shipper, ...receivers])
    assert.equal(await processes.stop(child), 0, `exit code of ${child.spawnargs.join(' ')}`);
  for (const server of servers.values()) await processes.stop(server);
  const lines = written().split('\n').length - 1;
  console.log(`as processes: ${lines} lines of ${readdirSync(directory).length} files, identical`);
}

/** The newest process of a service is ready, healthy, and says how far it is. */
async function tryMetrics(processes: ComposeProcesses, name: string): Promise<void> {
  const url =
    processes
      .logOf(name)
      .match(/http:\/\/127\.0\.0\.1:\d+\//g)
      ?.at(-1) ?? assert.fail(`no metrics of ${name}`);
  const isOk = async (route: string): Promise<boolean> => (await fetch(`${url}${route}`)).ok;
  await processes.until(
    async () => (await isOk('readyz')) && (await isOk('healthz')),
    15_000,
    `${name} is ready`,
  );
  assert.match(await (await fetch(`${url}metrics`)).text(), new RegExp(`^logferry_${name}_`, 'm'));
}

/** The log as it was written: the old files first. */
function linesOf(directory: string): string {
  return ['app.log.5', 'app.log.4', 'app.log.3', 'app.log.2', 'app.log.1', 'app.log']
    .map((name) => path.join(directory, name))
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, 'utf8'))
    .join('');
}
