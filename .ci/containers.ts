// Tries the Dockerfile and docker-compose.yml without a container engine: the image's steps as plain commands, the
// compose files in docker-compose, and then their services as plain processes, each with its own command. Once as
// docker-compose.yml has them, once with deploy/compose/secured.yml over it.
//
//   node .ci/containers.ts DIR     in this directory, which is empty and which other users may enter

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { findNatsServer } from '../cli/nats-server/nats-server.ts';
import { ComposeProcesses } from './compose-processes.ts';
import { findDockerCompose, type Service, servicesOf } from './docker-compose.ts';
import { buildImage } from './image.ts';
import { tryCluster } from './try-cluster.ts';
import { tryRefusals, tryStranger } from './try-refusals.ts';

const SOURCE = fileURLToPath(new URL('..', import.meta.url));
const COMPOSE = path.join(SOURCE, 'docker-compose.yml');
const ENCRYPTED = path.join(SOURCE, 'deploy/compose/encrypted.yml');
const SECURED = path.join(SOURCE, 'deploy/compose/secured.yml');

const work = path.resolve(process.argv[2] ?? assert.fail('usage: containers.ts DIR'));

const image = buildImage(SOURCE, work);
const { version } = JSON.parse(readFileSync(path.join(SOURCE, 'package.json'), 'utf8')) as {
  version: string;
};
assert.equal(outputOf(['--version']), `${version}\n`);
console.log(`as user ${image.user.uid}: ${image.entrypoint.join(' ')} --version says ${version}`);

for (const [file, args] of [
  ['shipper.conf', ['--host', 'demo']],
  ['receiver.conf', ['--receiver']],
] as const) {
  const committed = readFileSync(path.join(SOURCE, 'deploy/compose/nats', file), 'utf8');
  assert.equal(
    committed,
    outputOf(['permissions', ...args]),
    `${file} is not what logferry permissions prints`,
  );
}

const dockerCompose = await findDockerCompose();
if (dockerCompose === undefined)
  console.log('docker-compose.yml: not checked, there is no docker-compose and no apt');
else {
  // With three receivers, as `up --scale` makes them: docker-compose refuses that of a service with a container's
  // name, and would find out about a port of the machine only when the second one wants it too.
  const scaled = path.join(work, 'scaled.json');
  writeFileSync(scaled, JSON.stringify({ services: { receiver: { scale: 3 } } }));
  const open = await servicesOf(dockerCompose, [COMPOSE, scaled]);
  assert.equal(open['receiver']?.ports, undefined, 'ports of the receiver');
  for (const { volumes = [] } of Object.values(open))
    for (const { source, type } of volumes) assert.ok(type !== 'bind' || existsSync(source), `no ${source}`);
  console.log(`docker-compose.yml: ${Object.keys(open).join(', ')}; receiver can be scaled`);
  await inProcesses('open', open, tryCluster);

  await assert.rejects(servicesOf(dockerCompose, [COMPOSE, SECURED, scaled]), /required variable/);
  const secrets = makeSecrets();
  const secured = await servicesOf(dockerCompose, [COMPOSE, SECURED, scaled], secrets);
  await checkOwnLogs(dockerCompose, [COMPOSE, SECURED], secrets);
  await inProcesses('secured', secured, async (processes) => {
    await tryCluster(processes, tryRefusals);
  });

  if (spawnSync('openssl', ['version']).status !== 0)
    console.log('encrypted: not tried, there is no openssl');
  else {
    const certificates = makeCertificates(path.dirname(secrets));
    const files = [COMPOSE, SECURED, ENCRYPTED, scaled];
    const encrypted = withCertificates(await servicesOf(dockerCompose, files, secrets), certificates);
    await inProcesses('encrypted', encrypted, async (processes) => {
      await tryCluster(processes, tryStranger);
    });
  }
}

async function inProcesses(
  name: string,
  services: Record<string, Service>,
  attempt: (processes: ComposeProcesses) => Promise<void>,
): Promise<void> {
  const natsServer = await findNatsServer();
  const directory = path.join(work, name);
  const processes = await ComposeProcesses.make(image, services, natsServer.path, directory);
  const started = performance.now();
  try {
    await attempt(processes);
  } finally {
    processes.end();
  }
  console.log(`${name}: tried in ${((performance.now() - started) / 1_000).toFixed(1)} s`);
}

/** As docs/containers.md does it: .env, which names both compose files, and is never overwritten. */
function makeSecrets(): string {
  const directory = path.join(work, 'secrets');
  mkdirSync(directory);
  const make = (): number | null =>
    spawnSync('sh', [path.join(SOURCE, 'deploy/compose/make-secrets.sh')], { cwd: directory }).status;
  assert.equal(make(), 0, 'exit code of make-secrets.sh');
  const file = path.join(directory, '.env');
  assert.equal(statSync(file).mode & 0o777, 0o600, 'mode of .env');
  const made = readFileSync(file, 'utf8');
  assert.match(made, /^COMPOSE_FILE=docker-compose\.yml:deploy\/compose\/secured\.yml$/m);
  assert.equal(new Set(made.match(/=p[0-9a-f]{48}$/gm)).size, 5, 'passwords in .env');
  assert.equal(make(), 1, 'exit code of make-secrets.sh where .env is');
  assert.equal(readFileSync(file, 'utf8'), made);
  return file;
}

/** Beside .env, which names them too then. Returns their directory. */
function makeCertificates(directory: string): string {
  const script = path.join(SOURCE, 'deploy/compose/make-certificates.sh');
  for (let times = 0; times < 2; times += 1)
    assert.equal(
      spawnSync('sh', [script], { cwd: directory }).status,
      0,
      'exit code of make-certificates.sh',
    );
  const file = path.join(directory, '.env');
  assert.equal(statSync(file).mode & 0o777, 0o600, 'mode of .env');
  const named = readFileSync(file, 'utf8').match(/^COMPOSE_FILE=.*$/gm);
  assert.deepEqual(named, [
    'COMPOSE_FILE=docker-compose.yml:deploy/compose/secured.yml:deploy/compose/encrypted.yml',
  ]);
  return path.join(directory, 'deploy/compose/certificates');
}

/** The services with certificates that are not in the checkout. */
function withCertificates(
  services: Readonly<Record<string, Service>>,
  directory: string,
): Record<string, Service> {
  const inCheckout = path.join(SOURCE, 'deploy/compose/certificates');
  const there = ({ volumes = [], ...service }: Service): Service => ({
    ...service,
    volumes: volumes.map((volume) => ({ ...volume, source: volume.source.replace(inCheckout, directory) })),
  });
  return Object.fromEntries(Object.entries(services).map(([name, service]) => [name, there(service)]));
}

/** The file that docs/containers.md puts over the others, for logs of one's own. */
async function checkOwnLogs(binary: string, files: readonly string[], secrets: string): Promise<void> {
  const docs = readFileSync(path.join(SOURCE, 'docs/containers.md'), 'utf8');
  const [, text] = /^```yaml\n(services:\n[^`]*)^```$/m.exec(docs) ?? assert.fail('no yaml in containers.md');
  const override = path.join(work, 'compose.override.yaml');
  writeFileSync(override, text ?? '');
  const file = path.join(work, 'own.env');
  writeFileSync(file, `${readFileSync(secrets, 'utf8')}WEB1_PASSWORD=p1\n`);
  const { shipper, 'nats-3': server } = await servicesOf(binary, [...files, override], file);
  assert.deepEqual(
    shipper?.volumes?.map(({ target }) => target),
    ['/var/log', '/var/lib/logferry'],
  );
  assert.equal(shipper?.environment?.['NATS_PASSWORD'], 'p1');
  assert.equal(server?.environment?.['WEB1_PASSWORD'], 'p1');
  assert.equal(server.environment['SERVER_NAME'], 'nats-3');
  await assert.rejects(servicesOf(binary, [...files, override], secrets), /required variable/);
}

/** What a container of the image with these arguments writes to its stdout. */
function outputOf(args: readonly string[]): string {
  const [file = '', ...rest] = [...image.entrypoint, ...args];
  const PATH = `${image.root}/usr/local/bin:${path.dirname(process.execPath)}:/usr/bin:/bin`;
  const { status, stdout, stderr } = spawnSync(file, rest, {
    ...{ cwd: '/', encoding: 'utf8', env: { PATH, ...image.env } },
    ...image.user,
  });
  assert.equal(status, 0, stderr);
  return stdout;
}
