// `logferry status` end to end, with real daemons: what it says of a healthy fleet, of one that was killed, stopped or
// paused, of bytes that are gone, and its exit codes.

import assert from 'node:assert/strict';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

import type { HostRow, Status } from '../../cli/status/types.ts';
import { until } from '../../common/runtime/run.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { assertIdentical } from '../support/compare.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';
import { PARTITIONS } from '../support/tuned.ts';
import { partitionOf } from '../../common/wire/subjects.ts';

interface Looked {
  readonly code: number | null;
  readonly status: Status;
  readonly stderr: string;
}

let looks = 0;

/** Runs it to its end. */
async function run(world: World, ...args: readonly string[]): Promise<Daemon> {
  looks += 1;
  const server = args.includes('--server') ? [] : ['--server', world.server.url];
  const command = world.start(`status-${looks}`, ['status', ...server, ...args]);
  await command.exited;
  return command;
}

async function look(world: World): Promise<Looked> {
  const command = await run(world, '--json');
  const status = JSON.parse(command.stdout) as Status;
  return { code: command.child.exitCode, status, stderr: command.stderr };
}

/** Looks until it is as expected; fails with what it was last. */
async function looksUntil(
  world: World,
  isIt: (looked: Looked) => boolean,
  timeoutMs = WAIT_MS,
): Promise<Looked> {
  let looked = await look(world);
  await until(async () => isIt(looked) || isIt((looked = await look(world))), { timeoutMs, everyMs: 400 });
  assert.ok(isIt(looked), `${looked.code} ${looked.stderr} ${JSON.stringify(looked.status, null, 1)}`);
  return looked;
}

function web1({ status }: Looked): HostRow | undefined {
  return status.hosts.find(({ host }) => host === 'web1');
}

/** A shipper and a receiver whose first lines are committed. */
async function fleet(world: World): Promise<{ file: Written; shipper: Daemon; receiver: Daemon }> {
  const file = new Written(world, 'app.log');
  for (let line = 0; line < 100; line += 1) file.line();
  const receiver = world.receive(['--id', 'central-1']);
  const shipper = world.ship();
  await assertIdentical(world, [file]);
  await looksUntil(world, (one) => web1(one)?.committedBytes === file.bytes);
  return { file, shipper, receiver };
}

test(
  'a healthy fleet: exit 0, every documented key, and the numbers are right',
  { timeout: TEST_MS },
  async () => {
    await World.run('healthy', async (world) => {
      const { file } = await fleet(world);
      const looked = await looksUntil(
        world,
        (one) =>
          one.code === 0 &&
          web1(one)?.committedBytes === file.bytes &&
          one.status.receivers[0]?.state === 'answers',
      );
      const { status, stderr } = looked;
      assert.equal(stderr, '');
      assert.deepEqual(Object.keys(status), ['receivers', 'hosts', 'stream']);
      const page = readFileSync(new URL('../../docs/status.md', import.meta.url), 'utf8');
      const documented = new Set([...page.matchAll(/^\| `([^`]+)`/gm)].map(([, field]) => field));
      assert.deepEqual(
        fieldsOf(status).filter((field) => !documented.has(field)),
        [],
        'not in docs/status.md',
      );
      const host = web1(looked);
      assert.equal(host?.state, 'answers');
      assert.equal(host.partition, partitionOf('web1', PARTITIONS));
      assert.equal(host.owner, 'central-1');
      assert.deepEqual(
        [host.files, host.sizeBytes, host.publishedBytes, host.lagBytes],
        [1, file.bytes, file.bytes, 0],
      );
      assert.equal(host.worst[0]?.path, file.file);
      const [receiver] = status.receivers;
      assert.equal(receiver?.id, 'central-1');
      assert.equal(receiver.state, 'answers');
      assert.equal(receiver.partitions.length, PARTITIONS);
      assert.equal(receiver.bytes, file.bytes);
      assert.equal(receiver.hasRoom, true);
      assert.ok(receiver.disk !== null && receiver.disk.free > 0 && receiver.disk.total > receiver.disk.free);
      assert.equal(status.stream.partitions.length, PARTITIONS);
      assert.deepEqual(status.stream.uncommitted, { messages: 0, oldest: null, dropsInSeconds: null });
      assert.equal(status.stream.maxAgeSeconds, 604_800);

      const screen = await run(world);
      assert.equal(screen.child.exitCode, 0, screen.stderr);
      assert.match(screen.stdout, /^no data is at risk\nstream LOGS: /);
      assert.match(screen.stdout, new RegExp(`^central-1 .* ${PARTITIONS} `, 'm'));
      assert.match(screen.stdout, /^web1 +1 +0 B .* now$/m);
      assert.equal(screen.stdout.includes('\u001B'), false, 'no colour in a pipe');
    });
  },
);

/** Every field, with where it is: `hosts[].worst[].path`. */
function fieldsOf(value: unknown, at = ''): string[] {
  if (Array.isArray(value)) return fieldsOf(value[0], `${at}[]`);
  if (typeof value !== 'object' || value === null) return at === '' || at.endsWith('[]') ? [] : [at];
  const inside = Object.entries(value).flatMap(([key, each]) =>
    fieldsOf(each, at === '' ? key : `${at}.${key}`),
  );
  return at === '' || at === 'stream' || at.endsWith('[]') ? inside : [at, ...inside];
}

test(
  'the receiver is killed while data is uncommitted: exit 3 and the sentence',
  { timeout: TEST_MS },
  async () => {
    await World.run('no-receiver', async (world) => {
      const { file, receiver } = await fleet(world);
      await receiver.kill();
      file.line();
      const looked = await looksUntil(world, (one) => one.code === 3);
      const sentence = `partition ${partitionOf('web1', PARTITIONS)} has uncommitted data and no living receiver`;
      assert.deepEqual(looked.status.stream.risks, [sentence]);
      assert.equal(looked.stderr, `logferry: data is at risk: ${sentence}\n`);
      const { uncommitted, partitions } = looked.status.stream;
      assert.ok(uncommitted.messages >= 1 && uncommitted.dropsInSeconds !== null);
      assert.equal(partitions[partitionOf('web1', PARTITIONS)]?.uncommittedMessages, uncommitted.messages);
      assert.equal(web1(looked)?.lagBytes, 100);
      assert.equal(looked.status.receivers[0]?.state, 'silent');
      const screen = await run(world);
      assert.equal(screen.child.exitCode, 3);
      assert.match(screen.stdout, new RegExp(`^1 risk: data may be lost\n  ${sentence}\n`));

      world.receive(['--id', 'central-1']);
      await assertIdentical(world, [file]);
      await looksUntil(world, (one) => one.code === 0);
    });
  },
);

test(
  'a shipper that is killed is silent since its last heartbeat, and --forget takes it off the list',
  { timeout: TEST_MS },
  async () => {
    await World.run('silent', async (world) => {
      const { shipper } = await fleet(world);
      const before = Date.now();
      await shipper.kill();
      const silent = await looksUntil(world, (one) => web1(one)?.state === 'silent');
      assert.ok(Date.parse(web1(silent)?.lastSeen ?? '') <= before + 1_000);
      const looked = await looksUntil(world, (one) => one.code === 3, 90_000);
      assert.match(
        looked.stderr,
        /data is at risk: host web1 is silent since \d{4}-\d\d-\d\dT\S+Z \(\d+s\)\n$/,
      );
      const screen = await run(world);
      assert.match(screen.stdout, /^web1 .* silent since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \(\d+s\)$/m);
      const forgotten = await run(world, '--forget', 'web1');
      assert.deepEqual([forgotten.child.exitCode, forgotten.stdout], [0, 'forgot host web1\n']);
      const after = await look(world);
      assert.deepEqual([after.code, after.status.hosts], [0, []]);
    });
  },
);

test(
  'a shipper that stops is stopped; --forget refuses one that answers, and knows the others',
  { timeout: TEST_MS },
  async () => {
    await World.run('stopped', async (world) => {
      const { shipper } = await fleet(world);
      const living = await run(world, '--forget', 'web1');
      assert.deepEqual([living.child.exitCode, living.stdout], [1, '']);
      assert.equal(living.stderr, 'logferry: host web1 answers: stop its shipper first\n');
      const unknown = await run(world, '--forget', 'web2');
      assert.deepEqual(
        [unknown.child.exitCode, unknown.stderr],
        [1, 'logferry: there is no host and no receiver web2: there is web1, central-1\n'],
      );
      const before = Date.now();
      assert.equal(await shipper.stop(), 0);
      const looked = await look(world);
      assert.equal(looked.code, 0, looked.stderr);
      const host = web1(looked);
      assert.equal(host?.state, 'stopped');
      assert.ok(Date.parse(host.lastSeen ?? '') >= before - 1_000);
      assert.deepEqual([host.files, host.lagBytes, host.worst], [null, null, []]);
      const forgotten = await run(world, '--forget', 'web1');
      assert.equal(forgotten.stdout, 'forgot host web1\n');
      assert.deepEqual((await look(world)).status.hosts, []);
    });
  },
);

test(
  'a receiver that is gone for good is forgotten, killed or stopped; not one that answers',
  { timeout: TEST_MS },
  async () => {
    await World.run('retired', async (world) => {
      const { receiver } = await fleet(world);
      const retired = world.receive(['--id', 'central-2'], path.join(world.dir, 'other'));
      const names = ({ status }: Looked): string[] => status.receivers.map(({ id }) => id).toSorted();
      await looksUntil(world, (one) => names(one).length === 2);
      const living = await run(world, '--forget', 'central-2');
      assert.deepEqual(
        [living.child.exitCode, living.stderr],
        [1, 'logferry: receiver central-2 answers: stop it first\n'],
      );
      await retired.kill();
      const forgotten = await run(world, '--forget', 'central-2');
      assert.deepEqual([forgotten.child.exitCode, forgotten.stdout], [0, 'forgot receiver central-2\n']);
      // What it owned is taken by the other.
      const looked = await looksUntil(
        world,
        (one) => one.code === 0 && one.status.receivers[0]?.state === 'answers',
      );
      assert.deepEqual(names(looked), ['central-1']);
      assert.equal(await receiver.stop(), 0);
      const stopped = await run(world, '--forget', 'central-1');
      assert.equal(stopped.stdout, 'forgot receiver central-1\n');
      assert.deepEqual(names(await look(world)), []);
    });
  },
);

test('a shipper and a receiver that are paused hang nothing', { timeout: TEST_MS }, async () => {
  await World.run('paused', async (world) => {
    const { shipper, receiver } = await fleet(world);
    for (const daemon of [shipper, receiver]) daemon.child.kill('SIGSTOP');
    try {
      const looked = await look(world);
      assert.equal(web1(looked)?.state, 'silent');
      assert.equal(looked.status.receivers[0]?.state, 'silent');
    } finally {
      for (const daemon of [shipper, receiver]) daemon.child.kill('SIGCONT');
    }
    await looksUntil(world, (one) => one.code === 0 && web1(one)?.state === 'answers');
  });
});

test(
  'bytes that are gone are reported lost, by the shipper and, when it has stopped, by the receiver',
  { timeout: TEST_MS },
  async () => {
    await World.run('lost', async (world) => {
      const file = new Written(world, 'app.log');
      file.line();
      world.receive();
      // The first line passes at once; what follows would take an hour.
      const slow = world.ship(['--max-rate', '1kB']);
      await assertIdentical(world, [file]);
      file.append('x'.repeat(3_000_000));
      const isSeen = (): boolean => stateOf(world).includes(`"size":${statSync(file.file).size}`);
      assert.ok(await until(isSeen, { timeoutMs: WAIT_MS }), 'the size is in the state');
      assert.equal(await slow.stop(), 0);
      rmSync(file.file);
      // What is written there next says that it will not come back.
      writeFileSync(file.file, 'another file\n');
      const shipper = world.ship();
      const sentence = 'host web1: 3000000 bytes are reported lost';
      const looked = await looksUntil(
        world,
        (one) => one.code === 3 && one.status.receivers[0]?.lostBytes === 3_000_000,
      );
      // And what was written to it after it was seen last, nobody can tell.
      assert.equal(web1(looked)?.risks[0], sentence);
      assert.equal(web1(looked)?.lostBytes, 3_000_000);
      assert.equal(await shipper.stop(), 0);
      const after = await look(world);
      assert.deepEqual([after.code, web1(after)?.state, web1(after)?.risks], [3, 'stopped', [sentence]]);
      await run(world, '--forget', 'web1');
      const forgotten = await look(world);
      assert.match(forgotten.stderr, /: 3000000 bytes of host web1 are reported lost\n$/);
    });
  },
);

function stateOf(world: World): string {
  return readFileSync(path.join(world.state, 'state.json'), 'utf8');
}

test('what became of a file that nobody can tell is data at risk', { timeout: TEST_MS }, async () => {
  await World.run('untold', async (world) => {
    const { file, shipper } = await fleet(world);
    await shipper.stop();
    rmSync(file.file);
    file.close();
    writeFileSync(file.file, 'another file\n');
    world.ship();
    const looked = await looksUntil(world, (one) => one.code === 3 && web1(one)?.untold === 1);
    const said = `host web1 could not tell once what became of a file (${file.file}: the file that was read up to byte ${file.bytes} is nowhere`;
    assert.ok(looked.stderr.includes(said), looked.stderr);
  });
});

test(
  '--watch in a pipe prints a screen each time, and ends well at SIGINT',
  { timeout: TEST_MS },
  async () => {
    await World.run('watch', async (world) => {
      await fleet(world);
      const watch = world.start('watch', ['status', '--watch', '--server', world.server.url]);
      const screens = (): number => watch.stdout.split('no data is at risk\n').length - 1;
      assert.ok(await until(() => screens() >= 2, { timeoutMs: WAIT_MS }), watch.stdout + watch.stderr);
      // Once there was an answer, no answer is no end.
      await world.server.kill();
      assert.ok(
        await until(() => watch.stderr.includes('unreachable') || /cannot reach|lost/.test(watch.stderr), {
          timeoutMs: WAIT_MS,
        }),
      );
      await world.restartServer();
      const before = screens();
      assert.ok(await until(() => screens() > before, { timeoutMs: WAIT_MS }), watch.stderr);
      watch.child.kill('SIGINT');
      assert.equal(await watch.exited, 0);
      assert.equal(watch.stdout.includes('\u001B'), false);
    });
  },
);

test('other streams of the same server are not mixed in', { timeout: TEST_MS }, async () => {
  await World.run('streams', async (world) => {
    await fleet(world);
    const other = path.join(world.dir, 'out-other');
    world.receive(['--stream', 'OTHER', '--id', 'other-1'], other);
    const command = async (): Promise<Status> => {
      const said = await run(world, '--json', '--stream', 'OTHER');
      return said.stdout === ''
        ? { receivers: [], hosts: [], stream: {} as Status['stream'] }
        : JSON.parse(said.stdout);
    };
    let status = await command();
    await until(async () => (status = await command()).receivers.length > 0, { timeoutMs: WAIT_MS });
    assert.deepEqual(
      status.receivers.map(({ id }) => id),
      ['other-1'],
    );
    assert.deepEqual(status.hosts, []);
    const { receivers, hosts } = (await look(world)).status;
    assert.deepEqual(
      [receivers.map(({ id }) => id), hosts.map((row) => row.host)],
      [['central-1'], ['web1']],
    );
  });
});

test('no server, no stream, contradicting flags: one line each', { timeout: TEST_MS }, async () => {
  await World.run('refused', async (world) => {
    const cases = [
      [['--server', 'nats://127.0.0.1:1'], 1, /^logferry: cannot reach nats-server at [^\n]*\n$/],
      [[], 1, /^logferry: there is no stream LOGS on nats-server at [^\n]*\n$/],
      [
        ['--forget', 'web1'],
        1,
        /^logferry: there is no host and no receiver web1: nobody has ever registered there\n$/,
      ],
      [['--forget', 'web1', '--json'], 2, /^logferry: --forget goes with neither [^\n]*\n$/],
    ] as const;
    for (const [args, code, line] of cases) {
      const said = await run(world, ...args);
      assert.deepEqual([said.child.exitCode, said.stdout], [code, ''], args.join(' '));
      assert.match(said.stderr, line);
    }
  });
});

test(
  'a user who may not ask the services is told so: nobody counts as silent',
  { timeout: TEST_MS },
  async () => {
    const users =
      'authorization { users: [ { user: all, password: a }, ' +
      '{ user: few, password: b, permissions: { publish: { deny: "$SRV.>" } } }, ' +
      '{ user: half, password: c, permissions: { publish: { deny: "logferry.status.>" } } } ] }';
    await World.run(
      'may-not',
      async (world) => {
        const as = ['--user', 'all', '--password', 'a'];
        const file = new Written(world, 'app.log');
        file.line();
        world.receive(as);
        const shipper = world.ship(as);
        await assertIdentical(world, [file]);
        const healthy = await run(world, ...as);
        assert.equal(healthy.child.exitCode, 0, healthy.stderr);
        const said = await run(world, '--user', 'few', '--password', 'b');
        assert.deepEqual([said.child.exitCode, said.stdout], [1, '']);
        assert.match(
          said.stderr,
          /^logferry: nats-server at \S+ refuses: [^\n]*\$SRV\.STATS\.[^\n]*: give this user the permissions that logferry needs\n$/,
        );
        // Whoever does not answer what all are asked may have an account of its own.
        await shipper.kill();
        const half = await run(world, '--user', 'half', '--password', 'c');
        assert.deepEqual([half.child.exitCode, half.stdout], [1, '']);
        assert.match(half.stderr, /^logferry: [^\n]*"logferry\.status\.logs\.shipper\.web1"[^\n]*\n$/);
      },
      users,
    );
  },
);
