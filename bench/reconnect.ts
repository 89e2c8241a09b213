// `npm run bench -- reconnect`: nats-server is killed under thousands of shippers, and started again. How long until all
// are back and answered, how many at once, and what the server had to say; a real shipper and receiver are among them.

import { type ChildProcess, execFile, fork } from 'node:child_process';
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { LogferryError } from '../common/runtime/errors.ts';
import { type NatsServer, startNatsServer } from '../cli/nats-server/nats-server.ts';
import { sleep, until } from '../common/runtime/run.ts';
import type { Back } from './light-shippers.ts';
import { LogferryProcess } from './logferry-process.ts';
import { usageOf } from './process-usage.ts';
import { quantile, table, whole } from './table.ts';
import { HOST, type WorldOptions } from './world.ts';

/** One outage; times in ms since the server was ready again. */
export interface Outage {
  readonly downMs: number;
  readonly back: readonly number[];
  readonly answered: readonly number[];
  readonly failed: number;
  readonly serverCpuMs: number;
  /** What the server wrote at level WRN or ERR, each kind once. */
  readonly complaints: readonly string[];
}

export interface ReconnectResult {
  readonly hosts: number;
  readonly tls: boolean;
  readonly outages: readonly Outage[];
}

const CLIENTS = fileURLToPath(new URL('light-shippers.ts', import.meta.url));
const PROCESSES = 4;
const DOWN_MS = [0, 10_000, 30_000];
const SLICE_MS = 100;
const BACK_TIMEOUT_MS = 400_000;
const LINES = 1_000;

/** Throws `failed` when somebody does not come back, or the real shipper's bytes are not identical. */
export async function reconnect(
  world: WorldOptions,
  options: { readonly hosts: number; readonly tls: boolean },
): Promise<ReconnectResult> {
  const { dir, binary, signal } = world;
  const { hosts, tls } = options;
  await mkdir(path.join(dir, 'source'), { recursive: true });
  const certificate = tls ? await makeCertificate(dir) : undefined;
  const config =
    certificate === undefined
      ? ''
      : `tls { cert_file: "${certificate}.crt", key_file: "${certificate}.key" }`;
  const nats = { dir: path.join(dir, 'nats'), binary, config, signal };
  let server: NatsServer = await startNatsServer(nats);
  const ca = certificate === undefined ? [] : ['--tls-ca', `${certificate}.crt`];
  const to = ['--server', server.url, ...ca];
  const file = path.join(dir, 'source', 'app.log');
  await appendFile(file, lines(0));
  const receiver = new LogferryProcess(
    ['receive', '--out', path.join(dir, 'out'), ...to],
    path.join(dir, 'receive.log'),
  );
  const state = path.join(dir, 'state');
  const ship = ['ship', file, '--host', HOST, '--state', state, ...to];
  const shipper = new LogferryProcess(ship, path.join(dir, 'ship.log'));
  const clients: ChildProcess[] = [];
  try {
    await identical(dir, file);
    const each = Math.ceil(hosts / PROCESSES);
    for (let first = 0; first < hosts; first += each) {
      const args = [server.url, String(first), String(Math.min(each, hosts - first)), ...ca.slice(1)];
      clients.push(fork(CLIENTS, args));
    }
    await Promise.all(
      clients.map(
        async (client) => await nextMessage(client, 'not all simulated shippers could begin', signal),
      ),
    );
    const outages: Outage[] = [];
    for (const downMs of DOWN_MS) {
      const told = clients.map(
        async (client) => (await nextMessage(client, 'not all simulated shippers came back', signal)) as Back,
      );
      for (const client of clients) client.send('begin');
      const { port } = server;
      const log = path.join(nats.dir, 'nats-server.log');
      await server.kill();
      const logged = (await readFile(log)).length;
      await appendFile(file, lines(outages.length + 1));
      await sleep(downMs, signal);
      server = await startNatsServer({ ...nats, port });
      const ready = Date.now();
      const all = await Promise.all(told);
      const serverCpuMs = usageOf(server.pid)?.cpuMs ?? 0;
      await identical(dir, file);
      outages.push({
        downMs,
        back: all.flatMap(({ back }) => back.map((at) => at - ready)),
        answered: all.flatMap(({ answered }) => answered.map((at) => at - ready)),
        failed: all.reduce((sum, { failed }) => sum + failed, 0),
        serverCpuMs,
        complaints: complaintsIn((await readFile(log)).subarray(logged).toString()),
      });
      // What an outage leaves behind is not the next one's.
      await sleep(5_000, signal);
    }
    return { hosts, tls, outages };
  } finally {
    for (const client of clients) client.kill('SIGKILL');
    await shipper.stop();
    await receiver.stop();
    await server.stop();
  }
}

export function reconnectText({ hosts, tls, outages }: ReconnectResult): string {
  const rows = outages.map(({ downMs, back, answered, failed, serverCpuMs }) => [
    `${downMs / 1_000} s`,
    ...[0.5, 0.99, 1].map((share) => whole(quantile(back, share))),
    whole(mostAtOnce(back)),
    whole(quantile(answered, 1)),
    whole(failed),
    whole(serverCpuMs),
  ]);
  const head = [
    'server away',
    'back: half',
    '99 %',
    'all, ms',
    `most in ${SLICE_MS} ms`,
    'answered, ms',
    'unanswered',
    'server CPU ms',
  ];
  const said = [...new Set(outages.flatMap(({ complaints }) => complaints))];
  return `\n${hosts} shippers${tls ? ', TLS with RSA 2048' : ''}\n${table([head, ...rows])}nats-server: ${said.join('; ') || 'no warnings'}\n`;
}

function mostAtOnce(back: readonly number[]): number {
  const slices = new Map<number, number>();
  for (const at of back)
    slices.set(Math.floor(at / SLICE_MS), (slices.get(Math.floor(at / SLICE_MS)) ?? 0) + 1);
  return Math.max(...slices.values());
}

/** Without time, process and addresses. */
function complaintsIn(log: string): string[] {
  const found = log.split('\n').filter((line) => / \[(?:WRN|ERR)\] /.test(line));
  const kinds = found.map((line) => line.replace(/^.*\[(?:WRN|ERR)\] /, '').replace(/^.* - cid:\d+ - /, ''));
  const counted = new Map<string, number>();
  for (const kind of kinds) counted.set(kind.slice(0, 80), (counted.get(kind.slice(0, 80)) ?? 0) + 1);
  return [...counted].map(([kind, times]) => `${kind} (${times} times)`);
}

/** Throws `failed`, saying what was waited for. */
async function nextMessage(client: ChildProcess, what: string, signal: AbortSignal): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    const fail = (): void => {
      reject(new LogferryError('failed', what, 'try fewer --hosts'));
    };
    const timer = setTimeout(fail, BACK_TIMEOUT_MS);
    client.once('exit', fail);
    signal.addEventListener('abort', fail, { once: true });
    client.once('message', (message) => {
      clearTimeout(timer);
      client.off('exit', fail);
      signal.removeEventListener('abort', fail);
      resolve(message);
    });
  });
}

async function identical(dir: string, file: string): Promise<void> {
  const want = await readFile(file);
  const isThere = async (): Promise<boolean> => {
    const got = await readFile(path.join(dir, 'out', HOST, file)).catch(() => Buffer.alloc(0));
    return got.equals(want);
  };
  if (!(await until(isThere, { timeoutMs: 60_000, everyMs: 100 })))
    throw new LogferryError('failed', `${file} is not identical at the receiver`, 'run again with --keep');
}

function lines(part: number): string {
  return Array.from({ length: LINES }, (_, line) => `${part} ${line} ${'x'.repeat(180)}\n`).join('');
}

async function makeCertificate(dir: string): Promise<string> {
  const base = path.join(dir, 'server');
  const out = ['-keyout', `${base}.key`, '-out', `${base}.crt`, '-days', '2', '-subj', '/CN=bench'];
  const args = [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    ...out,
    '-addext',
    'subjectAltName=IP:127.0.0.1',
  ];
  await promisify(execFile)('openssl', args);
  return base;
}
