// What `docker compose up --scale receiver=3` starts, in its order: three nats-servers, setup, the log, the shipper and
// three receivers. One receiver and one nats-server are killed, and then every byte of the log is compared.

import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { ANSWER_MS, WAIT_MS } from '../test/support/timeouts.ts';
import type { ComposeProcesses } from './compose-processes.ts';

/** The log file was renamed at least twice by then. */
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
    await processes.until(() => processes.isHealthy(name), WAIT_MS, `${name} is healthy`);

  // At once, as depends_on has it: all servers are healthy, so nothing has to be tried again.
  assert.match(processes.run('setup'), /^created stream LOGS\n(.*\n)*.*3 replicas/m);
  assert.match(processes.run('setup'), /^nothing to do\n/);

  const log = processes.start('log', { env: { PAUSE: '0.002' } });
  const shipper = processes.start('shipper');
  const central = processes.volume('central', '/central');
  const begun = (number: number): number =>
    processes.logOf('receiver').split(`receiving as receiver-${number} `).length - 1;
  const receivers: ChildProcess[] = [];
  for (const number of [1, 2, 3]) {
    receivers.push(processes.start('receiver'));
    await processes.until(
      () => begun(number) === 1,
      WAIT_MS,
      `receiver ${number} has a directory of its own`,
    );
  }
  assert.deepEqual(readdirSync(central).toSorted(), ['receiver-1', 'receiver-2', 'receiver-3']);

  // One that is created again, whatever it is called then, has the directory that is free.
  await processes.kill(receivers[1] ?? assert.fail());
  receivers[1] = processes.start('receiver');
  await processes.until(() => begun(2) === 2, WAIT_MS, 'the second receiver is there again');
  assert.equal(readdirSync(central).length, 3);

  for (const name of ['shipper', 'receiver']) await tryMetrics(processes, name);
  await meanwhile(processes);

  // Two of three servers go on without the one that is killed.
  const [victim = ''] = natsServers;
  await processes.kill(servers.get(victim) ?? assert.fail());
  const directory = processes.volume('log', LOG);
  const written = (): string => linesOf(directory);
  await processes.until(() => written().split('\n').length > LINES, WAIT_MS, `${LINES} lines are written`);
  await processes.stop(log);
  const read = (): string => {
    const { code, stdout } = processes.tryRun('read', {
      command: ['cat', 'demo', path.join(directory, 'app.log')],
    });
    return code === 0 ? stdout : '';
  };
  const isWhole = (): boolean => {
    const lines = read();
    return lines.endsWith(written()) && areAllFromTheFirst(lines);
  };
  await processes.until(isWhole, WAIT_MS, 'the receivers have the log');

  servers.set(victim, processes.start(victim));
  await processes.until(() => processes.isHealthy(victim), WAIT_MS, `${victim} is back`);
  for (const child of [shipper, ...receivers])
    assert.equal(await processes.stop(child), 0, `exit code of ${child.spawnargs.join(' ')}`);
  for (const server of servers.values()) await processes.stop(server);
  const lines = written().split('\n').length - 1;
  console.log(`as processes: ${lines} lines, ${readdirSync(directory).length} files left of them, identical`);
}

/** The newest process of a service is ready, healthy, and says how far it is. */
async function tryMetrics(processes: ComposeProcesses, name: string): Promise<void> {
  const url =
    processes
      .logOf(name)
      .match(/http:\/\/127\.0\.0\.1:\d+\//g)
      ?.at(-1) ?? assert.fail(`no metrics of ${name}`);
  const ask = async (route: string): Promise<Response> =>
    await fetch(`${url}${route}`, { signal: AbortSignal.timeout(ANSWER_MS) });
  const isOk = async (route: string): Promise<boolean> => (await ask(route)).ok;
  await processes.until(
    async () => (await isOk('readyz')) && (await isOk('healthz')),
    WAIT_MS,
    `${name} is ready`,
  );
  assert.match(await (await ask('metrics')).text(), new RegExp(`^logferry_${name}_`, 'm'));
}

/** What the service `log` has written, with none missing, none twice and all in order. */
function areAllFromTheFirst(lines: string): boolean {
  const numbers = lines
    .split('\n')
    .slice(0, -1)
    .map((line) => Number(/ line (\d+)$/.exec(line)?.[1]));
  return numbers.length > LINES && numbers.every((number, index) => number === index + 1);
}

/** What the files of the log still hold, the old ones first. */
function linesOf(directory: string): string {
  return ['app.log.5', 'app.log.4', 'app.log.3', 'app.log.2', 'app.log.1', 'app.log']
    .map((name) => path.join(directory, name))
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, 'utf8'))
    .join('');
}
