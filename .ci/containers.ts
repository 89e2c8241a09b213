// Tries the Dockerfile and docker-compose.yml without a container engine: the image's steps as plain commands, the
// compose file in docker-compose, and then its services as plain processes, each with its own entrypoint.
//
//   node .ci/containers.ts DIR     in this directory, which is empty and which other users may enter

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { freePort } from '../common/nats-server-port.ts';
import { findNatsServer } from '../common/nats-server.ts';
import { until as comesTrue } from '../common/run.ts';
import { findDockerCompose, type Service, servicesOf } from './docker-compose.ts';
import { buildImage, type Image } from './image.ts';

const SOURCE = fileURLToPath(new URL('..', import.meta.url));
/** The log file was renamed at least twice by then, and none of its old files is gone yet. */
const LINES = 500;

const work = path.resolve(process.argv[2] ?? assert.fail('usage: containers.ts DIR'));

const image = buildImage(SOURCE, work);
const { version } = JSON.parse(readFileSync(path.join(SOURCE, 'package.json'), 'utf8')) as {
  version: string;
};
assert.equal(output(image, image.entrypoint, ['--version']), `${version}\n`);
console.log(`as user ${image.user.uid}: ${image.entrypoint.join(' ')} --version says ${version}`);

const dockerCompose = await findDockerCompose();
if (dockerCompose === undefined)
  console.log('docker-compose.yml: not checked, there is no docker-compose and no apt');
else {
  // With three receivers, as `up --scale` makes them: docker-compose refuses that of a service with a container's
  // name, and would find out about a port of the machine only when the second one wants it too.
  const scaled = path.join(work, 'scaled.json');
  writeFileSync(scaled, JSON.stringify({ services: { receiver: { scale: 3 } } }));
  const services = await servicesOf(dockerCompose, [path.join(SOURCE, 'docker-compose.yml'), scaled]);
  assert.equal(services['receiver']?.ports, undefined, 'ports of the receiver');
  console.log(`docker-compose.yml: ${Object.keys(services).join(', ')}; receiver can be scaled`);
  const running: ChildProcess[] = [];
  try {
    await tryServices(services, running);
  } finally {
    for (const child of running) child.kill('SIGKILL');
  }
}

async function tryServices(services: Record<string, Service>, running: ChildProcess[]): Promise<void> {
  const [port, httpPort] = [await freePort(), await freePort()];
  const natsServer = await findNatsServer();
  const targets = new Set(
    Object.values(services).flatMap(({ volumes = [] }) => volumes.map(({ target }) => target)),
  );
  // A new volume takes what the image has at its place, so the image's own directories stand for the volumes.
  for (const target of targets) mkdirSync(path.join(image.root, target), { recursive: true });
  const here = (text: string): string => {
    for (const target of targets) text = text.replaceAll(target, path.join(image.root, target));
    return text.replaceAll('nats:4222', `127.0.0.1:${port}`).replaceAll('8222', String(httpPort));
  };
  const service = (name: string): Service => services[name] ?? assert.fail(`no service ${name}`);
  const start = (
    name: string,
    command: readonly string[],
    env: Readonly<Record<string, string>>,
    user = {},
  ) => {
    const log = openSync(path.join(work, `${name}.log`), 'a');
    const [file = '', ...args] = command.map(here);
    const child = spawn(file, args, { env, stdio: ['ignore', log, log], ...user });
    running.push(child);
    return child;
  };
  const environmentOf = (name: string): Record<string, string> => {
    const entries = Object.entries(service(name).environment ?? {});
    return {
      ...environment(image),
      ...Object.fromEntries(entries.map(([key, value]) => [key, here(value)])),
    };
  };
  const startLogferry = (name: string): ChildProcess => {
    const { entrypoint, command } = service(name);
    return start(
      name,
      [...(entrypoint ?? image.entrypoint), ...(command ?? [])],
      environmentOf(name),
      image.user,
    );
  };

  const nats = start(
    'nats',
    [natsServer.path, '--addr', '127.0.0.1', '--port', String(port), ...(service('nats').command ?? [])],
    {},
  );
  const health = here(service('nats').healthcheck?.test.at(-1) ?? '');
  await until(async () => await isHealthy(health), 10_000, 'nats is healthy');

  const log = start('log', service('log').command ?? [], {
    ...environment(image),
    ...environmentOf('log'),
    PAUSE: '0.002',
  });
  const shipper = startLogferry('shipper');
  const receivers: ChildProcess[] = [];
  const central = path.join(image.root, 'central');
  for (const number of [1, 2, 3]) {
    receivers.push(startLogferry('receiver'));
    const state = path.join(central, `receiver-${number}`, '.logferry', 'directory.json');
    await until(() => existsSync(state), 10_000, `receiver ${number} has a directory of its own`);
  }
  assert.deepEqual(readdirSync(central).toSorted(), ['receiver-1', 'receiver-2', 'receiver-3']);

  // One that is created again, whatever it is called then, has the directory that is free.
  receivers[1]?.kill('SIGKILL');
  await once(receivers[1] ?? assert.fail(), 'close');
  receivers[1] = startLogferry('receiver');
  const receiverLog = path.join(work, 'receiver.log');
  const begun = (): number => readFileSync(receiverLog, 'utf8').split('receiving as receiver-2 ').length - 1;
  await until(() => begun() === 2, 15_000, 'the second receiver is there again');
  assert.equal(readdirSync(central).length, 3);

  const directory = path.join(image.root, '/var/log/demo');
  await until(() => linesOf(directory).split('\n').length > LINES, 20_000, `${LINES} lines are written`);
  log.kill('SIGTERM');
  await once(log, 'close');
  const written = linesOf(directory);
  const { entrypoint } = service('read');
  const read = (): string =>
    output(image, (entrypoint ?? []).map(here), ['cat', 'demo', here('/var/log/demo/app.log')]);
  await until(() => read() === written, 20_000, 'the receivers have the log');
  for (const child of [shipper, ...receivers, nats]) {
    child.kill('SIGTERM');
    const [code] = (await once(child, 'close')) as [number | null];
    if (child !== nats) assert.equal(code, 0, `exit code of ${child.spawnargs.join(' ')}`);
  }
  console.log(
    `as processes: ${written.split('\n').length - 1} lines of ${readdirSync(directory).length} files, identical`,
  );
}

async function until(
  condition: () => boolean | Promise<boolean>,
  timeoutMs: number,
  what: string,
): Promise<void> {
  if (await comesTrue(condition, { timeoutMs })) return;
  for (const name of readdirSync(work).filter((entry) => entry.endsWith('.log')))
    console.log(`${name}: ${readFileSync(path.join(work, name), 'utf8').slice(-2_000)}`);
  assert.fail(`not within ${timeoutMs / 1_000} s: ${what}`);
}

/** The log as it was written: the old files first. */
function linesOf(directory: string): string {
  return ['app.log.5', 'app.log.4', 'app.log.3', 'app.log.2', 'app.log.1', 'app.log']
    .map((name) => path.join(directory, name))
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, 'utf8'))
    .join('');
}

function environment({ root, env }: Image): Record<string, string> {
  const node = path.dirname(process.execPath);
  return { PATH: `${root}/usr/local/bin:${node}:/usr/bin:/bin`, HOSTNAME: 'container', ...env };
}

/** What a container with this command writes to its stdout; its stderr when it fails. */
function output(of: Image, entrypoint: readonly string[], args: readonly string[]): string {
  const [file = '', ...rest] = [...entrypoint, ...args];
  const { status, stdout, stderr, error } = spawnSync(file, rest, {
    cwd: '/',
    env: environment(of),
    encoding: 'utf8',
    maxBuffer: 100_000_000,
    ...of.user,
  });
  if (error !== undefined) throw error;
  return status === 0 ? stdout : stderr;
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    // Not up yet.
    return false;
  }
}
