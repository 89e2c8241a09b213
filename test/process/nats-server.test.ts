// A nats-server without any set-up: found, fetched and checked, started, restarted. Real files, a real HTTP server and
// a real nats-server; where only the choice of a binary matters, a shell script stands for it.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';

import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';

import { LogferryError } from '../../common/runtime/errors.ts';
import { onPath } from '../../cli/nats-server/binary.ts';
import { fetchRelease, releasePlatform } from '../../cli/nats-server/release.ts';
import { distributionSources, parseClassic, parseDeb822, stanzaFor } from '../../cli/nats-server/sources.ts';
import { findNatsServer, startNatsServer } from '../../cli/nats-server/nats-server.ts';
import { until } from '../../common/runtime/run.ts';
import { WAIT_MS } from '../support/timeouts.ts';

const run = promisify(execFile);

/** A directory of the test's own; kept, and named, when it fails. */
async function scratch(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'logferry-nats-server-'));
  t.after(async () => {
    if ('passed' in t && t.passed === true) await rm(dir, { recursive: true, force: true });
    else t.diagnostic(`kept ${dir}`);
  });
  return dir;
}

/** A script that says it is nats-server of that version, and leaves a mark whenever it is run. */
function fakeServer(version: string, mark?: string): string {
  return `#!/bin/sh\n${mark === undefined ? '' : `: > '${mark}'\n`}echo "nats-server: v${version}"\n`;
}

/** A directory for a PATH with nothing but what unpacks a release: no nats-server and no apt. */
async function barePath(dir: string): Promise<string> {
  const bin = join(dir, 'bin');
  await mkdir(bin);
  for (const name of ['tar', 'gzip']) {
    const [path] = await onPath(name, process.env);
    if (path !== undefined) await symlink(path, join(bin, name));
  }
  return bin;
}

/** A URL with nobody behind it. */
async function closedUrl(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `http://127.0.0.1:${port}`;
}

async function serve(t: TestContext, answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** A release archive with a script in it, and the checksum that goes with it. */
async function fakeRelease(dir: string, version: string) {
  const name = `nats-server-v${version}-${releasePlatform()}`;
  await mkdir(join(dir, name));
  await writeFile(join(dir, name, 'nats-server'), fakeServer(version), { mode: 0o755 });
  await writeFile(join(dir, name, 'LICENSE'), 'as in the real one\n');
  await run('tar', ['-czf', join(dir, `${name}.tar.gz`), '-C', dir, name]);
  const archive = await readFile(join(dir, `${name}.tar.gz`));
  const sha256 = { [releasePlatform()]: createHash('sha256').update(archive).digest('hex') };
  return { archive, url: `/v${version}/${name}.tar.gz`, release: { version, sha256 } };
}

test('a server is found, starts with JetStream, and has its store again after a kill', async (t) => {
  const dir = await scratch(t);
  const said: string[] = [];
  const found = await findNatsServer({ say: (line) => said.push(line) });
  t.diagnostic(`${found.path} ${found.version} (${found.from})`);
  const first = await startNatsServer({ dir, binary: found.path });
  t.after(() => first.kill());
  let connection = await connect({ servers: first.url, reconnect: false });
  await (await jetstreamManager(connection)).streams.add({ name: 'KEPT', subjects: ['kept'] });
  await jetstream(connection).publish('kept', 'a line\n');
  await first.kill();
  await connection.closed();
  assert.throws(() => process.kill(first.pid, 0), { code: 'ESRCH' });

  const second = await startNatsServer({ dir, binary: found.path, port: first.port });
  t.after(() => second.kill());
  assert.equal(second.port, first.port);
  connection = await connect({ servers: second.url });
  const stream = await (await jetstreamManager(connection)).streams.get('KEPT');
  assert.equal((await stream.getMessage({ seq: 1 }))?.string(), 'a line\n');
  await connection.close();

  await assert.rejects(startNatsServer({ dir: join(dir, 'other'), binary: found.path, port: second.port }), {
    code: 'busy',
    message: `something listens on 127.0.0.1:${second.port} already`,
  });
  await assert.rejects(startNatsServer({ dir, binary: found.path }), (error: LogferryError) => {
    assert.equal(error.code, 'busy');
    assert.match(error.message, new RegExp(`process ${second.pid}`));
    return true;
  });
  await second.stop();
  await second.exited;
  assert.deepEqual(
    (await readdir(dir)).filter((name) => name.endsWith('.ports')),
    [],
  );
});

test('a server that does not start is an error with the end of its log', async (t) => {
  const dir = await scratch(t);
  const { path: binary } = await findNatsServer();
  const broken = startNatsServer({ dir, binary, config: 'no_such_option: 1' });
  await assert.rejects(broken, { code: 'failed', message: /no_such_option/ });
  const missing = startNatsServer({ dir, binary: join(dir, 'none') });
  await assert.rejects(missing, { code: 'failed', message: /could not be started.*ENOENT/ });
});

test('the server ends with its parent, and one that a killed parent left is replaced', async (t) => {
  const dir = await scratch(t);
  const { path: binary } = await findNatsServer();
  const script = `
    import { startNatsServer } from ${JSON.stringify(new URL('../../cli/nats-server/nats-server.ts', import.meta.url).href)};
    const server = await startNatsServer({ dir: process.argv[1], binary: process.argv[2] });
    console.log(server.pid);
    process.stdin.on('data', () => process.exit(0));`;
  const parent = async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, dir, binary], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    t.after(() => child.kill('SIGKILL'));
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    return { child, exited: once(child, 'exit'), pid: Number(line) };
  };
  // A corpse that init has not reaped yet can still be signalled; it is gone all the same.
  const isGone = async (pid: number): Promise<boolean> => {
    const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
    if (status !== undefined) return / [ZX] /.test(status);
    try {
      return !process.kill(pid, 0);
    } catch {
      return true;
    }
  };

  const polite = await parent();
  polite.child.stdin.write('\n');
  await polite.exited;
  assert.ok(await until(() => isGone(polite.pid), { timeoutMs: WAIT_MS }), 'the server outlived its parent');

  const killed = await parent();
  killed.child.kill('SIGKILL');
  await killed.exited;
  assert.equal(await isGone(killed.pid), false);
  const said: string[] = [];
  const next = await startNatsServer({ dir, binary, say: (line) => said.push(line) });
  t.after(() => next.kill());
  assert.equal(await isGone(killed.pid), true);
  assert.match(said.join('\n'), new RegExp(`process ${killed.pid}`));
  await next.stop();
});

test('a server on the PATH is used when it is new enough, and passed over when it is not', async (t) => {
  const dir = await scratch(t);
  const cacheDir = join(dir, 'cache');
  const bin = await barePath(dir);
  const said: string[] = [];
  const options = {
    env: { PATH: bin },
    cacheDir,
    releaseUrl: await closedUrl(),
    say: (line: string) => said.push(line),
  };
  await writeFile(join(bin, 'nats-server'), fakeServer('2.9.10'), { mode: 0o755 });
  await assert.rejects(findNatsServer(options), { code: 'failed' });
  assert.equal(said[0], `${join(bin, 'nats-server')} is 2.9.10, older than 2.10; passed over`);

  const newer = join(dir, 'newer');
  await mkdir(newer);
  await writeFile(join(newer, 'nats-server'), fakeServer('2.10.0'), { mode: 0o755 });
  assert.deepEqual(await findNatsServer({ ...options, env: { PATH: `${bin}:${newer}` } }), {
    path: join(newer, 'nats-server'),
    version: '2.10.0',
    from: 'path',
  });

  const named = await findNatsServer({ env: { LOGFERRY_NATS_SERVER: join(newer, 'nats-server') }, cacheDir });
  assert.equal(named.version, '2.10.0');
  const old = findNatsServer({ env: { LOGFERRY_NATS_SERVER: join(bin, 'nats-server') }, cacheDir });
  await assert.rejects(old, { code: 'failed', message: /which is 2\.9\.10, older than 2\.10$/ });
});

test('a cached binary that differs from its checksum is set aside and never run', async (t) => {
  const dir = await scratch(t);
  const cacheDir = join(dir, 'cache');
  const cached = join(cacheDir, 'nats-server-2.98.0');
  const mark = join(dir, 'was-run');
  const put = async (recorded: string, actual: string): Promise<void> => {
    await mkdir(cached, { recursive: true });
    await writeFile(join(cached, 'nats-server'), actual, { mode: 0o755 });
    const sha256 = createHash('sha256').update(recorded).digest('hex');
    await writeFile(join(cached, 'nats-server.sha256'), `${sha256}  nats-server\n`);
  };
  const env = { PATH: await barePath(dir) };
  const find = async () => findNatsServer({ env, cacheDir, releaseUrl: await closedUrl(), say: () => {} });

  await put(fakeServer('2.98.0'), fakeServer('2.98.0'));
  assert.deepEqual(await find(), { path: join(cached, 'nats-server'), version: '2.98.0', from: 'cache' });

  for (const altered of [fakeServer('2.98.0', mark), fakeServer('2.98.0').slice(0, -1), '']) {
    await put(fakeServer('2.98.0'), altered);
    await assert.rejects(find(), { code: 'failed' });
    assert.deepEqual(await readdir(cacheDir), ['nats-server-2.98.0.broken']);
  }
  await put(fakeServer('2.98.0'), fakeServer('2.98.0', mark));
  await rm(join(cached, 'nats-server.sha256'));
  await assert.rejects(find(), { code: 'failed' });
  assert.equal(await exists(mark), false);
});

test('a release with the right checksum goes into the cache, also when two fetch it at once', async (t) => {
  const dir = await scratch(t);
  const cacheDir = join(dir, 'cache');
  const { archive, url, release } = await fakeRelease(dir, '2.99.0');
  const baseUrl = await serve(t, (request, response) => {
    response.writeHead(request.url === url ? 200 : 404).end(archive);
  });
  const env = { PATH: await barePath(dir) };
  const fetchOne = () => fetchRelease({ cacheDir, env, say: () => {}, baseUrl, release });
  const expected = { path: join(cacheDir, 'nats-server-2.99.0', 'nats-server'), version: '2.99.0' };
  assert.deepEqual(await Promise.all([fetchOne(), fetchOne(), fetchOne()]), [expected, expected, expected]);
  assert.deepEqual(await readdir(cacheDir), ['nats-server-2.99.0']);
  assert.deepEqual(await findNatsServer({ env, cacheDir }), { ...expected, from: 'cache' });
});

test('a release that is altered, cut short, missing or too old leaves nothing in the cache', async (t) => {
  const dir = await scratch(t);
  const cacheDir = join(dir, 'cache');
  const { archive, release } = await fakeRelease(dir, '2.99.0');
  const old = await fakeRelease(dir, '2.9.1');
  const env = { PATH: await barePath(dir) };
  const fetchFrom = async (answer: RequestListener, pinned = release) =>
    fetchRelease({ cacheDir, env, say: () => {}, baseUrl: await serve(t, answer), release: pinned });
  const left = async (): Promise<string[]> => ((await exists(cacheDir)) ? readdir(cacheDir) : []);

  const altered = Buffer.from(archive);
  altered[altered.length - 1]! ^= 1;
  const sends = (body: Buffer): RequestListener => {
    return (_request, response) => {
      response.end(body);
    };
  };
  await assert.rejects(fetchFrom(sends(altered)), { code: 'corrupt' });
  await assert.rejects(fetchFrom(sends(archive.subarray(0, 100))), { code: 'corrupt' });
  const cut = fetchFrom((_request, response) => {
    response.writeHead(200, { 'content-length': archive.length });
    response.write(archive.subarray(0, 100), () => response.destroy());
  });
  await assert.rejects(cut, { code: 'unreachable' });
  const missing = fetchFrom((_request, response) => {
    response.writeHead(404).end();
  });
  await assert.rejects(missing, { code: 'unreachable', message: /the answer was 404/ });
  await assert.rejects(fetchFrom(sends(old.archive), old.release), { code: 'failed', message: /older than/ });
  assert.deepEqual(await left(), []);
});

test('with no way left the error names the ways', async (t) => {
  const dir = await scratch(t);
  const started = performance.now();
  const find = findNatsServer({
    env: { PATH: await barePath(dir) },
    cacheDir: join(dir, 'cache'),
    releaseUrl: await closedUrl(),
    say: () => {},
  });
  await assert.rejects(find, (error: LogferryError) => {
    assert.ok(error instanceof LogferryError);
    assert.equal(error.code, 'failed');
    assert.match(error.message, /ECONNREFUSED.*apt is not on the PATH/);
    for (const way of ['on the PATH', 'LOGFERRY_NATS_SERVER', '--server'])
      assert.ok(error.hint?.includes(way));
    return true;
  });
  assert.ok(performance.now() - started < 5_000);
});

test('apt sources are read in both styles, and only the suite and the components change', () => {
  const key =
    'Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ\n -----END PGP PUBLIC KEY BLOCK-----';
  const deb822 = parseDeb822(
    `# a comment\nTypes: deb deb-src\n# another\nURIs: http://one.example/debian\nSuites: bookworm bookworm-updates\n` +
      `Components: main contrib\nTrusted: yes\n${key}\n\nTypes: deb\nURIs: http://two.example\nSuites: bookworm-security\n` +
      `Components: main\n\nEnabled: no\nTypes: deb\nURIs: http://three.example\nSuites: bookworm\nComponents: main\n\n` +
      `Types: deb-src\nURIs: http://four.example\nSuites: bookworm\nComponents: main\n`,
  );
  assert.deepEqual(
    deb822.map((source) => source.uris),
    ['http://one.example/debian', 'http://two.example'],
  );
  const classic = parseClassic(
    '# deb http://off.example bookworm main\ndeb [arch=amd64 signed-by=/k.gpg] https://five.example bookworm main # x\n' +
      'deb https://six.example/apt bookworm stable\ndeb-src https://five.example bookworm main\n' +
      'deb cdrom:[Debian]/ bookworm main\n',
  );
  const chosen = distributionSources([...deb822, ...classic], 'bookworm');
  assert.deepEqual(
    chosen.map((source) => source.uris),
    ['http://one.example/debian', 'https://five.example'],
  );
  assert.deepEqual(
    chosen.map((source) => stanzaFor(source, 'testing', ['main'], 'arm64').split('\nLanguages: none\n')[1]),
    [`${key}\n`, 'Signed-By: /k.gpg\n'],
  );
  assert.match(
    stanzaFor(chosen[0]!, 'testing', ['main'], 'arm64'),
    /^Types: deb\nURIs: http:\/\/one\.example\/debian\nSuites: testing\nComponents: main\nArchitectures: arm64\n/,
  );
});
