// The command line as users meet it: real processes, what they print, where, and what they exit with.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';

import { excludeOutput } from '../../cli/demo/own-output.ts';
import { progressText } from '../../cli/terminal/progress-line.ts';
import { startNatsServer } from '../../cli/nats-server/nats-server.ts';
import { until } from '../../common/runtime/run.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { ROOT, ENTRY } from '../support/paths.ts';
import { PARTITIONS } from '../support/tuned.ts';

/** A line of a stack trace. */
const STACK = /^\s+at .*:\d+:\d+\)?$/m;

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs logferry to its end. Whatever happens, nothing of it is a stack trace. */
async function logferry(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Result> {
  const result = await new Promise<Result>((resolve) => {
    const options = { env: { ...process.env, NATS_URL: '', ...env }, timeout: WAIT_MS };
    const child = execFile(process.execPath, [ENTRY, ...args], options, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode, stdout, stderr });
    });
  });
  assert.doesNotMatch(result.stdout + result.stderr, STACK, 'a stack trace');
  return result;
}

/** Wrong usage: exit 2, nothing on stdout, one line on stderr, with each of these in it. */
async function refused(args: readonly string[], ...parts: string[]): Promise<void> {
  const { code, stdout, stderr } = await logferry(args);
  const said = `logferry ${args.join(' ')} said: ${stderr}`;
  assert.equal(code, 2, said);
  assert.equal(stdout, '', said);
  assert.match(stderr, /^logferry: [^\n]+\n$/, said);
  for (const part of parts) assert.ok(stderr.includes(part), `${part} is missing, ${said}`);
}

/** A directory of the test's own; kept, and named, when it fails. */
async function scratch(t: TestContext): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'logferry-cli-'));
  t.after(async () => {
    if ('passed' in t && t.passed === true) await rm(directory, { recursive: true, force: true });
    else t.diagnostic(`kept ${directory}`);
  });
  return directory;
}

/** A port with nobody behind it. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function commandNames(): Promise<string[]> {
  const { stdout } = await logferry(['--help']);
  const commands = stdout.slice(stdout.indexOf('Commands:')).split('\n');
  return commands.map((line) => /^ {2}([a-z]+) /.exec(line)?.[1] ?? '').filter((name) => name !== '');
}

test('--version is the package version', async () => {
  const manifest: unknown = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8'));
  assert.ok(typeof manifest === 'object' && manifest !== null && 'version' in manifest);
  assert.deepEqual(await logferry(['--version']), {
    code: 0,
    stdout: `${String(manifest.version)}\n`,
    stderr: '',
  });
});

test('--help lists the commands on stdout', async () => {
  const { code, stderr } = await logferry(['--help']);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  const names = await commandNames();
  for (const name of ['local', 'setup', 'ship', 'receive', 'status', 'segments', 'cat', 'help'])
    assert.ok(names.includes(name), name);
});

test('every command explains itself with two examples', async () => {
  for (const name of await commandNames()) {
    if (name === 'help') continue;
    const asked = await logferry([name, '--help']);
    assert.deepEqual([asked.code, asked.stderr], [0, ''], name);
    const examples = asked.stdout.slice(asked.stdout.indexOf('Examples:'));
    assert.ok(
      (examples.match(new RegExp(`^  [^#]*\\blogferry ${name}\\b`, 'gm')) ?? []).length >= 2,
      asked.stdout,
    );
    assert.equal((await logferry(['help', name])).stdout, asked.stdout);
  }
});

test('without a command: the help on stderr, exit 2', async () => {
  const { code, stdout, stderr } = await logferry([]);
  assert.deepEqual([code, stdout], [2, '']);
  assert.match(stderr, /^Usage: logferry/);
});

test('wrong usage is one line and exit 2', { concurrency: 4 }, async (t) => {
  const out = ['receive', '--out', 'never-made'];
  const cases: readonly (readonly [readonly string[], ...string[]])[] = [
    [['sip'], 'sip', 'ship'],
    [['ship', 'x', '--compresion', 'none'], '--compresion', '--compression'],
    [['setup', 'extra'], 'too many arguments'],
    [['ship'], 'glob'],
    [['receive'], '--out is missing'],
    [['receive', '--out'], '--out'],
    [['receive', '--out', '--once'], '--out', '--once'],
    [['receive', '--out', ''], '--out'],
    [[...out, '--lease', '1s'], '--lease', '"1s"', 'from 2s to 10m'],
    [[...out, '--lease', '6'], '--lease', '"6"', 'like 30s'],
    [[...out, '--rotate-size', 'big'], '--rotate-size', '"big"', 'like 100MiB'],
    [[...out, '--rotate-size', '1B'], '--rotate-size', '"1B"', 'at least'],
    [[...out, '--rotate-interval', '7h'], '--rotate-interval', '"7h"', '24'],
    [[...out, '--rotate-interval', '45m'], '--rotate-interval', '"45m"', '60'],
    [[...out, '--rotate-interval', '1w'], '--rotate-interval', '"1w"', 'off'],
    [[...out, '--log-level', 'loud'], '--log-level', '"loud"', 'debug'],
    [['ship', 'x', '--timeout', '9s'], '--timeout', '--once'],
    [['ship', 'x', '--from', 'middle'], '--from', '"middle"', 'beginning or end'],
    [['ship', 'x', '--max-rate', '10'], '--max-rate', '"10"'],
    [['ship', 'x', '--host', ' '], '--host'],
    [['ship', '-'], '--as is missing', '--as /var/log/app.log'],
    [['ship', '-', '--as', 'app'], '--as', '"app"', 'absolute'],
    [['ship', 'x', '--as', '/app'], '--as', 'standard input'],
    [['ship', '-', 'x', '--as', '/app'], '- and globs', '--host'],
    [['ship', '-', '--as', '/app', '--once'], '--once'],
    [['ship', 'x', '--path-prefix', 'host'], '--path-prefix', '"host"', '/host'],
    [['ship', 'x', '--ignore-older', '5'], '--ignore-older', '"5"'],
    [['setup', '--partitions', '0'], '--partitions', '"0"', '4096'],
    [['setup', '--replicas', '1.5'], '--replicas', '"1.5"'],
    [['setup', '--max-age', '1s'], '--max-age', '"1s"', '1m'],
    [['setup', '--stream', 'a.b'], '--stream', '"a.b"'],
    [['setup', '--stream', 'a b'], '--stream', '"a b"'],
    [['setup', '--stream', 'logferry'], '--prefix', '--stream'],
    [['setup', '--prefix', 'a.*'], '--prefix', '"a.*"'],
    [['setup', '--server', 'http://x'], '--server', 'http://x', 'nats://host:4222'],
    [['setup', '--server', 'nats://h:99999'], '--server', 'nats://h:99999'],
    [['setup', '--server', 'nats://a:b@h', '--token', 'c'], '--server', '--token'],
    [['setup', '--server', 'nats://a:b@h,nats://c:d@h'], '--server', 'different users'],
    [['setup', '--creds', 'x', '--nkey', 'y'], '--creds', '--nkey'],
    [['setup', '--user', 'me'], '--user', '--password'],
    [['setup', '--tls-key', 'x'], '--tls-key', '--tls-cert'],
    [['setup', '--creds', '/no/such.creds'], '--creds', '/no/such.creds'],
    [['cat', '--out', 'x'], 'the host and the path'],
    [['segments'], '--out'],
    [['local', 'x'], '--out'],
    [['local', 'x', '--out', ROOT, '--port', '70000'], '--port', '"70000"'],
    [['local', path.join(ROOT, '*.log'), '--out', ROOT], '*.log', '--out a directory of its own'],
  ];
  const checks = cases.map(async ([args, ...parts]) => {
    await t.test(args.join(' '), async () => {
      await refused(args, ...parts);
    });
  });
  await Promise.all(checks);
});

test('a password in a URL is never shown', async () => {
  const { stderr } = await logferry(['setup', '--server', 'nats://me:hunter2@host:port']);
  assert.doesNotMatch(stderr, /hunter2/);
});

test('NATS_URL counts when --server is not given, and is checked the same', async () => {
  const wrong = { NATS_URL: 'gopher://x' };
  assert.match((await logferry(['setup'], wrong)).stderr, /gopher:\/\/x/);
  const ignored = await logferry(['setup', '--server', 'http://y'], wrong);
  assert.match(ignored.stderr, /http:\/\/y/);
});

test('a log file that cannot be written is one line and exit 1', async () => {
  const { code, stderr } = await logferry(['setup', '--log-file', path.join(ENTRY, 'below-a-file')]);
  assert.equal(code, 1);
  assert.match(stderr, /^logferry: cannot write the log to [^\n]+--log-file\n$/);
});

test('an output directory that cannot be made is one line and exit 1', async () => {
  const { code, stderr } = await logferry(['receive', '--out', path.join(ENTRY, 'below-a-file')]);
  assert.equal(code, 1);
  assert.match(stderr, /^logferry: cannot use [^\n]+--out[^\n]+\n$/);
});

test('a daemon without a server says what it tries, and stops cleanly at SIGTERM', async (t) => {
  const directory = await scratch(t);
  const server = `nats://127.0.0.1:${await closedPort()}`;
  for (const args of [
    ['receive', '--out', directory],
    ['ship', '/no/such/*.log', '--state', path.join(directory, 'state')],
  ]) {
    const child = spawn(process.execPath, [ENTRY, ...args, '--server', server], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: WAIT_MS,
      killSignal: 'SIGKILL',
    });
    let said = '';
    child.stdout.on('data', (data: Buffer) => (said += data.toString()));
    child.stderr.on('data', (data: Buffer) => {
      said += data.toString();
      if (!child.killed && said.includes(`${server} `) && said.includes('trying again'))
        child.kill('SIGTERM');
    });
    await once(child, 'close');
    assert.deepEqual([child.exitCode, child.signalCode], [0, null], said);
    assert.doesNotMatch(said, STACK);
  }
});

test('stopping what was to end by itself is a failure', async (t) => {
  const directory = await scratch(t);
  const server = `nats://127.0.0.1:${await closedPort()}`;
  const child = spawn(
    process.execPath,
    [ENTRY, 'receive', '--out', directory, '--once', '--server', server],
    { stdio: ['ignore', 'ignore', 'pipe'], timeout: WAIT_MS, killSignal: 'SIGKILL' },
  );
  let said = '';
  child.stderr.on('data', (data: Buffer) => {
    said += data.toString();
    if (!child.killed && said.includes('trying again')) child.kill('SIGINT');
  });
  await once(child, 'close');
  assert.equal(child.exitCode, 1, said);
  assert.match(said, /logferry: stopped before all was committed: [^\n]+\n$/);
});

test('a reader that goes away ends the command quietly', async () => {
  const child = spawn('sh', ['-c', '"$0" "$1" ship --help | true', process.execPath, ENTRY], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (data: Buffer) => (said += data.toString()));
  await once(child, 'close');
  assert.equal(said, '');
});

test('setup says what it created and alters only when asked to', async (t) => {
  const directory = await scratch(t);
  const server = await startNatsServer({ dir: directory, say: () => undefined });
  t.after(async () => {
    await server.stop();
  });
  const env = { NATS_URL: server.url };
  const first = await logferry(['setup', '--stream', 'APP', '--max-bytes', '64MiB'], env);
  assert.deepEqual([first.code, first.stderr], [0, '']);
  assert.equal(
    first.stdout,
    'created stream APP\ncreated bucket APP_partitions\ncreated bucket APP_members\n' +
      `stream APP: subjects app.*.*, ${PARTITIONS} partitions, 1 replica, kept 7d, at most 64.0 MiB\n`,
  );
  const again = await logferry(['setup', '--stream', 'APP'], env);
  assert.match(again.stdout, /^nothing to do\nstream APP/);
  const differs = await logferry(['setup', '--stream', 'APP', '--max-age', '3d'], env);
  assert.deepEqual([differs.code, differs.stdout], [1, '']);
  assert.match(differs.stderr, /^logferry: [^\n]*APP[^\n]*max_age[^\n]*--alter[^\n]*\n$/);
  const altered = await logferry(['setup', '--stream', 'APP', '--max-age', '3d', '--alter', '--json'], env);
  assert.equal(altered.code, 0, altered.stderr);
  assert.match(altered.stdout, /^\{"stream":"APP",.*"created":\[\],"altered":\["max_age [^\]]*"\]\}\n$/);
  const asked = await logferry(['setup', '--stream', 'APP', '--max-age', '3d'], env);
  assert.match(asked.stdout, /^nothing to do\nstream APP: .*kept 3d/);
  const partitions = await logferry(['setup', '--stream', 'APP', '--partitions', '8', '--alter'], env);
  assert.deepEqual([partitions.code, partitions.stdout], [1, '']);
  assert.match(partitions.stderr, new RegExp(`^logferry: [^\\n]*${PARTITIONS} partitions, not 8[^\\n]*\\n$`));
});

test('local ships into its directory, survives a killed receiver, stops in order, and goes on', async (t) => {
  const directory = await scratch(t);
  const source = path.join(directory, 'source', 'a.log');
  const central = path.join(directory, 'central');
  await mkdir(path.dirname(source));
  await writeFile(source, 'one\n');
  const arrived = async (): Promise<boolean> => {
    const file = path.join(central, 'web1', source);
    const read = await readFile(file, 'utf8').catch(() => '');
    return read === (await readFile(source, 'utf8'));
  };
  const args = ['local', path.join(directory, '**', '*.log'), '--out', central, '--host', 'web1'];
  for (const round of ['first', 'second']) {
    const child = spawn(process.execPath, [ENTRY, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
    const closed = once(child, 'close');
    try {
      assert.ok(await until(arrived, { timeoutMs: WAIT_MS }), `${round}: not arrived: ${stderr}`);
      assert.match(stdout, /^nats:\/\/127\.0\.0\.1:\d+\n$/);
      process.kill(Number(/"pid":(\d+),"msg":"receiver started"/.exec(stderr)?.[1]), 'SIGKILL');
      await appendFile(source, `after the kill, ${round}\n`);
      assert.ok(await until(arrived, { timeoutMs: WAIT_MS }), `${round}: not after the kill: ${stderr}`);
      assert.match(stderr, /receiver ended with SIGKILL; starting it again/);
    } finally {
      child.kill('SIGINT');
      await closed;
    }
    assert.equal(child.exitCode, 0, stderr);
    assert.doesNotMatch(stderr, STACK);
    await appendFile(source, `while nothing runs, ${round}\n`);
  }
  const { stdout } = await logferry(['cat', 'web1', source, '--out', central]);
  assert.equal(stdout, 'one\nafter the kill, first\nwhile nothing runs, first\nafter the kill, second\n');
  const listed = await logferry(['segments', '--json', '--out', central]);
  for (const line of listed.stdout.trimEnd().split('\n'))
    assert.ok(line.includes(`"path":"${source}"`), line);
});

test('the output directory is left out of every glob that reaches it', async (t) => {
  const directory = await scratch(t);
  const out = path.join(directory, 'a[1] {b}', 'central');
  await mkdir(out, { recursive: true });
  await symlink(directory, path.join(directory, 'link'));
  const file = path.join('web1', 'var', 'log', 'a.log');
  for (const base of [directory, path.dirname(out), path.join(directory, 'link')]) {
    const below = base.endsWith('link') ? path.join(base, 'a[1] {b}', 'central') : out;
    const { exclude, reaching } = excludeOutput([path.join(base, '**', '*.log')], out);
    assert.equal(reaching.length, 1);
    assert.ok(
      exclude.some((glob) => path.matchesGlob(path.join(below, file), glob)),
      exclude.join(' '),
    );
    assert.ok(exclude.some((glob) => path.matchesGlob(path.join(below, '.web1', 'a.log'), glob)));
    assert.ok(!exclude.some((glob) => path.matchesGlob(path.join(base, 'var', 'a.log'), glob)));
  }
  const beside = excludeOutput([path.join(directory, 'other', '*.log')], out);
  assert.deepEqual(beside, { exclude: [], reaching: [] });
  const plain = path.join(directory, 'plain');
  await mkdir(plain);
  assert.deepEqual(excludeOutput([`${plain}2/*.log`], plain).reaching, []);
  assert.throws(() => excludeOutput([path.join(plain, 'web1', '*.log')], plain), { code: 'usage' });
});

test('the progress line fits a terminal', () => {
  const line = progressText(1024 ** 4 - 1, 1024 ** 4, 150 * 1024 ** 2);
  assert.equal(line, '[############### ] 99 %  1024.0 GiB of 1.0 TiB  150.0 MiB/s  1s left');
  assert.ok(line.length < 80);
  assert.equal(progressText(0, 0, 0), '[################] 100 %  0 B of 0 B');
});
