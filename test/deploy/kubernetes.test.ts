// The manifests of deploy/kubernetes: kubectl builds them, what belongs together has the same names, nobody may do more
// than it must, and logferry takes what its containers are started with. No cluster is needed, and none is asked.

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';

import { z } from 'zod';

import { build, type Manifest, skipWithoutKubectl as skip, workload } from './kubernetes.ts';
import { fails, logs } from '../support/said.ts';
import { ENTRY } from '../support/paths.ts';
import { assertShared } from '../support/compare.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

const DOCS = path.resolve(import.meta.dirname, '../../docs/containers.md');
const DIRECTORIES = ['setup', 'shipper', 'receiver', 'overlays/example', 'overlays/credentials'];

type Workload = z.output<typeof workload>;

const built = new Map(skip === false ? DIRECTORIES.map((directory) => [directory, build(directory)]) : []);

function manifestsOf(directory: string): Manifest[] {
  return built.get(directory) ?? assert.fail(`BUG: ${directory} is not built`);
}

function workloadsOf(directory: string): Workload[] {
  const found = manifestsOf(directory).filter(({ spec }) => spec !== undefined && 'template' in spec);
  return found.map((one) => workload.parse(one));
}

function only<T>(things: readonly T[]): T {
  assert.equal(things.length, 1);
  return things[0] as T;
}

for (const directory of DIRECTORIES)
  describe(`deploy/kubernetes/${directory}`, { skip }, () => {
    test('what belongs together has the same names and labels', () => {
      const manifests = manifestsOf(directory);
      const names = (kind: string): string[] =>
        manifests.filter((one) => one.kind === kind).map(({ metadata }) => metadata.name);
      const allLabels = workloadsOf(directory).map(({ spec }) => spec.template.metadata.labels);
      for (const { spec, metadata } of workloadsOf(directory)) {
        const { template, selector, serviceName, volumeClaimTemplates } = spec;
        if (selector !== undefined) assert.deepEqual(selector.matchLabels, template.metadata.labels);
        assert.deepEqual(metadata.labels, template.metadata.labels);
        if (serviceName !== undefined) assert.ok(names('Service').includes(serviceName), serviceName);
        const account = template.spec.serviceAccountName;
        if (account !== undefined) assert.ok(names('ServiceAccount').includes(account), account);
        const volumes = new Set([
          ...template.spec.volumes.map(({ name }) => name),
          ...volumeClaimTemplates.map((claim) => claim.metadata.name),
        ]);
        for (const { configMap } of template.spec.volumes)
          if (configMap !== undefined) assert.ok(names('ConfigMap').includes(configMap.name), configMap.name);
        const [container] = template.spec.containers;
        assert.deepEqual(new Set(container.volumeMounts.map(({ name }) => name)), volumes);
      }
      const selector = z.looseObject({ matchLabels: z.record(z.string(), z.string()) });
      const selecting = z.looseObject({
        podSelector: selector.optional(),
        selector: z.union([selector, z.record(z.string(), z.string())]).optional(),
      });
      const isSelecting = ({ kind }: Manifest): boolean =>
        ['Service', 'NetworkPolicy', 'PodDisruptionBudget'].includes(kind);
      for (const { kind, spec } of manifests.filter(isSelecting)) {
        const parsed = selecting.parse(spec);
        const wanted = parsed.podSelector?.matchLabels ?? parsed.selector?.['matchLabels'] ?? parsed.selector;
        const selected = allLabels.filter((each) => JSON.stringify(each) === JSON.stringify(wanted));
        assert.equal(selected.length, 1, `what the ${kind} selects`);
      }
      const spaces = new Set(
        manifests.filter(({ kind }) => kind !== 'Namespace').map((one) => one.metadata.namespace),
      );
      assert.equal(spaces.size, 1, 'namespaces');
      const said = manifests.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
      assert.equal(new Set(said).size, said.length, 'two of a name');
    });

    test('nobody may do more than it must', () => {
      for (const { kind, automountServiceAccountToken } of manifestsOf(directory))
        if (kind === 'ServiceAccount') assert.equal(automountServiceAccountToken, false);
      const selected = manifestsOf(directory).filter(({ kind }) => kind === 'NetworkPolicy');
      for (const { spec } of selected) assert.deepEqual(spec?.['policyTypes'], ['Ingress', 'Egress']);
      for (const { metadata, spec } of workloadsOf(directory)) {
        const pod = spec.template.spec;
        for (const key of ['hostNetwork', 'hostPID', 'hostIPC']) assert.equal(pod[key], undefined, key);
        const [container] = pod.containers;
        assert.deepEqual(container.securityContext, {
          privileged: false,
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        const isShipper = metadata.name === 'logferry-shipper';
        const { runAsUser, runAsNonRoot, seccompProfile } = pod.securityContext;
        assert.deepEqual(seccompProfile, { type: 'RuntimeDefault' });
        assert.deepEqual([runAsUser, runAsNonRoot], isShipper ? [0, undefined] : [1000, true]);
        const hostPaths = pod.volumes.filter((volume) => 'hostPath' in volume).map(({ name }) => name);
        assert.deepEqual(hostPaths, isShipper ? ['logs', 'state'] : []);
        // logferry refuses secrets that everybody may read.
        for (const { secret } of pod.volumes)
          if (secret !== undefined) assert.equal(secret.defaultMode, 0o440);
        // It writes to its state, or to its volume, and to nothing else.
        const written = container.volumeMounts.filter(({ readOnly }) => readOnly !== true);
        assert.deepEqual(
          written.map(({ mountPath }) => mountPath),
          isShipper ? ['/var/lib/logferry'] : metadata.name === 'logferry-receiver' ? ['/central'] : [],
        );
      }
    });

    test('probes, policies and services name the port that the metrics are on', () => {
      const port = z.looseObject({ name: z.literal('metrics'), containerPort: z.number() });
      const probe = z.looseObject({
        httpGet: z.strictObject({ path: z.string(), port: z.literal('metrics') }),
      });
      for (const { spec, metadata } of workloadsOf(directory)) {
        const [container] = spec.template.spec.containers;
        if (metadata.name === 'logferry-setup') continue;
        const { containerPort } = only(z.array(port).parse(container['ports']));
        const at = container.args.indexOf('--metrics');
        assert.equal(container.args[at + 1], `0.0.0.0:${containerPort}`);
        const annotations = z.record(z.string(), z.string()).parse(spec.template.metadata['annotations']);
        assert.equal(annotations['prometheus.io/port'], String(containerPort));
        assert.equal(probe.parse(container['livenessProbe']).httpGet.path, '/healthz');
        assert.equal(probe.parse(container['readinessProbe']).httpGet.path, '/readyz');
      }
      for (const { kind, spec } of manifestsOf(directory)) {
        if (kind === 'Service')
          assert.deepEqual(spec?.['ports'], [{ name: 'metrics', port: 9602, targetPort: 'metrics' }]);
        if (kind === 'NetworkPolicy')
          assert.deepEqual(spec?.['ingress'], [{ ports: [{ port: 'metrics', protocol: 'TCP' }] }]);
      }
    });

    test('logferry takes the configuration files', async () => {
      await World.run('manifests', async (world) => {
        for (const { data, metadata } of manifestsOf(directory)) {
          if (data === undefined) continue;
          const file = path.join(world.dir, `${metadata.name}.yaml`);
          writeFileSync(file, data['logferry.yaml'] ?? assert.fail(`no logferry.yaml in ${metadata.name}`));
          const daemon = metadata.name.startsWith('logferry-shipper') ? 'ship' : 'receive';
          const args = [ENTRY, 'check-config', file, '--for', daemon];
          const env = { ...process.env, NODE_NAME: 'node-1', POD_NAME: 'logferry-receiver-0' };
          const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env });
          assert.equal(status, 0, stderr);
          assert.equal(stderr, '');
        }
      });
    });
  });

/** Starts the container of a workload with its own arguments and variables, in this world's directories. */
function startContainer(
  world: World,
  of: Workload,
  variables: Readonly<Record<string, string>>,
  data: string | undefined,
  here: (text: string) => string,
): Daemon {
  const [{ args, env }] = of.spec.template.spec.containers;
  const name = Object.values(variables)[0] ?? '';
  const file = path.join(world.dir, `${of.metadata.name}-${name}.yaml`);
  if (data !== undefined) writeFileSync(file, here(data));
  const wanted = env.map((variable) => variable.name);
  const given = Object.entries(variables).filter(([key]) => key.startsWith('NATS_') || wanted.includes(key));
  assert.deepEqual(given.length, Object.keys(variables).length, `variables of ${of.metadata.name}`);
  return world.start(
    `${of.metadata.name}-${name}`,
    // Several are on this machine: each has a port of its own.
    args.map((arg) =>
      arg.replace('/etc/logferry/logferry.yaml', file).replace(/^0\.0\.0\.0:\d+$/, '127.0.0.1:0'),
    ),
    ['env', ...given.map(([key, value]) => `${key}=${value}`)],
  );
}

test('the pods ship with the users of docs/containers.md, and nobody else', { skip }, async () => {
  const [commandLine = ''] =
    /^logferry permissions --host NODE \| .*$/m.exec(readFileSync(DOCS, 'utf8')) ?? [];
  const shell = `logferry() { '${process.execPath}' '${ENTRY}' "$@"; }; `;
  const print = async (line: string): Promise<string> =>
    (await promisify(execFile)('sh', ['-c', `${shell}${line}`])).stdout;
  const config = `authorization { users: [
    { user: admin, password: admin }
    { user: nodes, password: nodes, ${await print(commandLine)} }
    { user: receivers, password: receivers, ${await print('logferry permissions --receiver')} }
  ] }`;
  const login = (world: World, user: string): Record<string, string> => ({
    ...{ NATS_URL: world.server.url, NATS_USER: user, NATS_PASSWORD: user },
  });
  const dataOf = (directory: string): string =>
    only(manifestsOf(directory).flatMap(({ data }) => (data === undefined ? [] : [data])))['logferry.yaml'] ??
    '';

  await World.run(
    'kubernetes',
    async (world) => {
      // One server here has no replicas to give.
      const [job] = workloadsOf('setup');
      const [{ args }] = job?.spec.template.spec.containers ?? assert.fail();
      const env = ['env', ...Object.entries(login(world, 'admin')).map(([key, value]) => `${key}=${value}`)];
      const setup = world.start(
        'setup',
        args.map((arg) => (arg === '3' ? '1' : arg)),
        env,
      );
      assert.equal(await setup.exited, 0, setup.stderr);

      const receiver = only(workloadsOf('receiver'));
      const receiving = startContainer(
        world,
        receiver,
        { POD_NAME: 'logferry-receiver-0', ...login(world, 'receivers') },
        dataOf('receiver'),
        (text) => text.replace('/central', world.out),
      );
      await logs(receiving, /^receiving as logferry-receiver-0 /);

      const shipper = only(workloadsOf('shipper'));
      const ships = (node: string, user: string): Daemon =>
        startContainer(
          world,
          shipper,
          { NODE_NAME: node, ...login(world, user) },
          dataOf('shipper'),
          (text) =>
            text
              .replaceAll('/var/lib/logferry', path.join(world.dir, `state-${node}`))
              .replaceAll('/var/log', path.join(world.source, node)),
        );
      const files: Written[] = [];
      for (const node of ['node-1', 'node-2']) {
        const pod = `${node}/pods/shop_web_uid/app`;
        mkdirSync(path.join(world.source, pod), { recursive: true });
        const file = new Written(world, `${pod}/0.log`, node);
        for (let line = 0; line < 100; line += 1) file.line();
        files.push(file);
        ships(node, 'nodes');
      }
      await assertShared(files, [world.out]);
      await fails(ships('node-3', 'receivers'), /^logferry: nats-server at \S+ refuses/, 1);
    },
    config,
  );
});
