// `npm run bench -- stop`: from SIGTERM to the end of a shipper and of a receiver, idle and busy, and with a server that
// is gone or answers nothing.

import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';

import { LogferryError } from '../common/runtime/errors.ts';
import { type NatsServer, startNatsServer } from '../cli/nats-server/nats-server.ts';
import { freePort } from '../cli/nats-server/port.ts';
import { inParallel, sleep, until } from '../common/runtime/run.ts';
import { DEFAULT_STREAM } from '../common/wire/topology.ts';
import { LogferryProcess } from './logferry-process.ts';
import type { Source } from './report.ts';
import { showStatus } from './status-line.ts';
import { table } from './table.ts';
import type { WorldOptions } from './world.ts';

export interface Stopped {
  readonly what: string;
  /** From SIGTERM to the end, of each run. */
  readonly ms: readonly number[];
  readonly codes: readonly (number | null)[];
}

/** Throws away what it made when it is done. */
class Stage {
  readonly dir: string;
  readonly server: NatsServer;
  readonly source: Source;
  readonly #started: LogferryProcess[] = [];

  constructor(dir: string, server: NatsServer, source: Source) {
    this.dir = dir;
    this.server = server;
    this.source = source;
  }

  start(name: string, args: readonly string[], url = this.server.url): LogferryProcess {
    const started = new LogferryProcess([...args, '--server', url], path.join(this.dir, `${name}.log`));
    this.#started.push(started);
    return started;
  }

  receive(extra: readonly string[] = [], url?: string): LogferryProcess {
    return this.start('receive', ['receive', '--out', this.out, ...extra], url);
  }

  ship(glob: string, extra: readonly string[] = [], url?: string): LogferryProcess {
    const own = ['--host', 'bench', '--state', path.join(this.dir, 'state')];
    return this.start('ship', ['ship', glob, ...own, ...extra], url);
  }

  get out(): string {
    return path.join(this.dir, 'out');
  }

  /** Whatever became of the server, it ends. */
  async end(): Promise<void> {
    for (const one of this.#started) await one.kill();
    await this.server.kill();
  }
}

/** What is measured: makes everything ready, and returns whom to stop. */
type Case = readonly [what: string, prepare: (stage: Stage) => Promise<LogferryProcess>];

/** A daemon that has begun has nothing more to do then. */
const SETTLE_MS = 2_500;
/** The share of the source that is in the stream when a daemon counts as busy; there it takes a seventh at most. */
const BACKLOG_SHARE = 10;
const LEAST_RATIO = 7;
const WAIT_MS = 60_000;
const FILES = 1_000;
const LONGEST_MS = 180_000;

const CASES: readonly Case[] = [
  ['ship, idle', async (stage) => await settled(stage.ship(path.join(stage.dir, '*.none')))],
  ['receive, idle', async (stage) => await settled(stage.receive())],
  ['ship, a backlog, no receiver', async (stage) => await busy(stage, stage.ship(stage.source.glob))],
  [
    'ship, a backlog and a receiver',
    async (stage) => {
      await settled(stage.receive());
      return await busy(stage, stage.ship(stage.source.glob));
    },
  ],
  ['receive, a backlog', backlogged],
  ['receive --format zstd, a backlog', async (stage) => await backlogged(stage, ['--format', 'zstd'])],
  [
    `ship, ${FILES} files`,
    async (stage) => {
      await settled(stage.receive());
      return await busy(stage, stage.ship(path.join(stage.dir, 'files', '*.log')), 1);
    },
  ],
  [
    'receive, 512 partitions',
    async (stage) => {
      await done(stage.start('setup', ['setup', '--partitions', '512']));
      return await settled(stage.receive());
    },
  ],
  ['receive, compressing a segment', compressing],
  ['ship, not connected yet', async (stage) => await unconnected(stage, 'ship')],
  ['receive, not connected yet', async (stage) => await unconnected(stage, 'receive')],
  ...(['dead', 'frozen'] as const).flatMap((what): Case[] => [
    [
      `ship, idle, nats-server ${what}`,
      async (stage) => {
        const shipper = await settled(stage.ship(path.join(stage.dir, '*.none')));
        return await without(stage, what, shipper);
      },
    ],
    [
      `receive, idle, nats-server ${what}`,
      async (stage) => await without(stage, what, await settled(stage.receive())),
    ],
    [
      `ship, a backlog, nats-server ${what}`,
      async (stage) => await without(stage, what, await busy(stage, stage.ship(stage.source.glob))),
    ],
    [
      `ship, ${FILES} files, nats-server ${what}`,
      async (stage) => {
        const shipper = await busy(stage, stage.ship(path.join(stage.dir, 'files', '*.log')), 1);
        return await without(stage, what, shipper);
      },
    ],
    [
      `receive, a backlog, nats-server ${what}`,
      async (stage) => await without(stage, what, await backlogged(stage)),
    ],
  ]),
];

/** Each case `runs` times, in a world of its own. */
export async function stops(
  options: WorldOptions,
  source: Source,
  runs: number,
  onCase: (one: Stopped) => void,
): Promise<readonly Stopped[]> {
  const all: Stopped[] = [];
  await mkdir(options.dir, { recursive: true });
  for (const [index, [what, prepare]] of CASES.entries()) {
    const ms: number[] = [];
    const codes: (number | null)[] = [];
    for (let run = 1; run <= runs; run += 1) {
      options.signal.throwIfAborted();
      showStatus(what);
      const dir = path.join(options.dir, `${index}-${run}`);
      await makeFiles(path.join(dir, 'files'));
      const server = await startNatsServer({ dir: path.join(dir, 'nats'), binary: options.binary });
      const stage = new Stage(dir, server, source);
      try {
        const running = await prepare(stage);
        const began = performance.now();
        running.signal('SIGTERM');
        const timer = setTimeout(() => {
          void running.kill();
        }, LONGEST_MS);
        codes.push(await running.exited);
        clearTimeout(timer);
        ms.push(performance.now() - began);
      } finally {
        await stage.end();
      }
    }
    showStatus('');
    const one = { what, ms, codes };
    all.push(one);
    onCase(one);
  }
  return all;
}

export function stopText({ what, ms, codes }: Stopped): string {
  const seconds = ms.map((each) => `${(each / 1_000).toFixed(2)} s`).join(', ');
  const odd = codes.every((code) => code === 0) ? '' : `, exit code ${codes.join(', ')}`;
  return table([[what.padEnd(48), `${seconds}${odd}`]]);
}

/** It has said something, and has nothing more to do: before that a signal ends it at once. */
async function settled(running: LogferryProcess): Promise<LogferryProcess> {
  const hasSpoken = (): boolean => running.log.length > 0;
  if (!(await until(hasSpoken, { timeoutMs: WAIT_MS })))
    throw new LogferryError('failed', 'a daemon does not start', 'run again with --keep');
  await sleep(SETTLE_MS);
  return running;
}

/** It is in the midst of what there is to ship. */
async function busy(
  stage: Stage,
  running: LogferryProcess,
  bytes = stage.source.bytes / BACKLOG_SHARE / LEAST_RATIO,
): Promise<LogferryProcess> {
  await published(stage, bytes);
  return running;
}

/** So many bytes are in the stream. */
async function published({ server }: Stage, bytes: number): Promise<void> {
  const nc = await connect({ servers: server.url });
  try {
    const jsm = await jetstreamManager(nc);
    const isThere = async (): Promise<boolean> => {
      for await (const { config, state } of jsm.streams.list())
        if (config.name === DEFAULT_STREAM && state.bytes >= bytes) return true;
      return false;
    };
    if (!(await until(isThere, { timeoutMs: WAIT_MS })))
      throw new LogferryError('failed', 'nothing is published', 'run again with --keep');
  } finally {
    await nc.close();
  }
}

async function done(running: LogferryProcess): Promise<void> {
  if ((await running.exited) !== 0) throw new LogferryError('failed', 'a command ended with an error');
}

/** A receiver that has everything before it. */
async function backlogged(stage: Stage, extra: readonly string[] = []): Promise<LogferryProcess> {
  const shipper = stage.ship(stage.source.glob);
  await published(stage, stage.source.bytes / LEAST_RATIO / 2);
  const receiver = stage.receive(extra);
  await somethingIn(path.join(stage.out, 'bench'));
  await shipper.kill();
  return receiver;
}

async function compressing(stage: Stage): Promise<LogferryProcess> {
  const shipper = stage.ship(stage.source.glob);
  const receiver = stage.receive(['--rotate-size', '200MiB', '--compress', 'gzip']);
  const copies = path.join(stage.out, '.logferry', 'compress');
  await somethingIn(copies);
  await shipper.kill();
  return receiver;
}

async function unconnected(stage: Stage, kind: 'ship' | 'receive'): Promise<LogferryProcess> {
  const nowhere = `nats://127.0.0.1:${await freePort()}`;
  return await settled(
    kind === 'ship' ? stage.ship(stage.source.glob, [], nowhere) : stage.receive([], nowhere),
  );
}

async function without(
  { server }: Stage,
  what: 'dead' | 'frozen',
  running: LogferryProcess,
): Promise<LogferryProcess> {
  if (what === 'dead') await server.kill();
  else process.kill(server.pid, 'SIGSTOP');
  await sleep(500);
  return running;
}

async function somethingIn(directory: string): Promise<void> {
  const isThere = async (): Promise<boolean> => (await readdir(directory).catch(() => [])).length > 0;
  if (!(await until(isThere, { timeoutMs: WAIT_MS, everyMs: 20 })))
    throw new LogferryError('failed', `nothing comes into ${directory}`, 'run again with --keep');
}

async function makeFiles(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const names = Array.from({ length: FILES }, (_, number) => path.join(directory, `app-${number}.log`));
  await inParallel(names, 32, async (name) => {
    await writeFile(name, `the only line of ${name}\n`);
  });
}
