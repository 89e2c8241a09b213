// The middle part of `demo`: server, receiver and shipper run, files are written and rotated, processes are killed and
// started again, until everything has arrived. Never compares anything.

import path from 'node:path';

import { LogferryError } from '../../common/runtime/errors.ts';
import { type NatsServer, startNatsServer } from '../nats-server/nats-server.ts';
import { sleep, until } from '../../common/runtime/run.ts';
import type { DemoDirectory } from './directory.ts';
import { type Flight, FlightWatch } from './flight.ts';
import { Pace } from './pace.ts';
import { DemoProcess } from './process.ts';
import { type Kill, killText, progressText } from './report.ts';
import type { Screen } from './screen.ts';
import { type GrowingFile, keepWriting } from './writer.ts';

/** The name to ship as. */
export const HOST = 'web1';

const WRITE_MS = 10_000;
/** One is killed in each quarter of that time. */
const VICTIMS = ['receiver', 'shipper', 'receiver', 'shipper'] as const;
const LONGEST_DEAD_MS = 500;
/** A kill waits until so much is on its way: nobody commits that between the look and the kill. */
const LEAST_IN_FLIGHT = 256 * 1024;
const LEASE = '2s';
/** Central files are rotated as well. */
const ROTATE_SIZE = '4MiB';

/** Without progress for so long something is wrong. */
const PATIENCE_MS = 15_000;
const LOOK_MS = 100;

export interface Stage {
  readonly directory: DemoDirectory;
  /** The nats-server to run. */
  readonly binary: string;
  readonly files: readonly GrowingFile[];
  readonly screen: Screen;
}

type Processes = Readonly<Record<(typeof VICTIMS)[number], DemoProcess>>;

/** Resolves when all has arrived, or nothing does any more; everything is stopped then, and when it throws. */
export async function shipAll(stage: Stage, interrupted: AbortSignal): Promise<Kill[]> {
  const failed = new AbortController();
  const fail = (error: unknown): void => {
    failed.abort(error);
  };
  const signal = AbortSignal.any([interrupted, failed.signal]);
  const { directory, binary } = stage;
  const server = await startNatsServer({ dir: directory.nats, binary, signal });
  void server.exited.then(() => {
    fail(new LogferryError('failed', 'nats-server ended', `its log is in ${directory.nats}`));
  });
  const processes: Processes = {
    receiver: new DemoProcess(
      'receiver',
      receiverArgs(directory, server),
      logOf(directory, 'receiver'),
      fail,
    ),
    shipper: new DemoProcess('shipper', shipperArgs(directory, server), logOf(directory, 'shipper'), fail),
  };
  let watch: FlightWatch | undefined;
  try {
    processes.receiver.start();
    processes.shipper.start();
    watch = await FlightWatch.open(server.url, HOST, signal);
    await shipFirstLines(stage, watch, signal);
    const kills = await shipWhileShown(stage, processes, watch, { signal, fail });
    await processes.shipper.stop();
    await processes.receiver.stop();
    return kills;
  } finally {
    // Only after a failure does anything still run here.
    await processes.shipper.kill();
    await processes.receiver.kill();
    await watch?.close();
    await server.stop();
  }
}

/** What is rotated away before the very first start is named by no glob: every file's first line arrives before that. */
async function shipFirstLines(stage: Stage, watch: FlightWatch, signal: AbortSignal): Promise<void> {
  for (const file of stage.files) await file.append(1);
  if (await until(() => haveArrived(stage, watch), { timeoutMs: PATIENCE_MS, signal })) return;
  signal.throwIfAborted();
  throw new LogferryError(
    'failed',
    `no line arrived in ${PATIENCE_MS / 1_000} s`,
    `the logs are in ${stage.directory.own}`,
  );
}

/** The writing, the killing and the progress line side by side, then the rest of the way; the first failure stops all. */
async function shipWhileShown(
  stage: Stage,
  processes: Processes,
  watch: FlightWatch,
  stop: { readonly signal: AbortSignal; readonly fail: (error: unknown) => void },
): Promise<Kill[]> {
  const { signal, fail } = stop;
  const began = performance.now();
  const atMs = (): number => performance.now() - began;
  const kills: Kill[] = [];
  const written = new AbortController();
  const done = new AbortController();
  const killAll = async (): Promise<void> => {
    for await (const kill of killInTurn(processes, watch, atMs, signal)) {
      kills.push(kill);
      stage.screen.line(killText(kill));
    }
    await sleep(Math.max(0, WRITE_MS - atMs()), signal);
    written.abort();
  };
  const showing = keepShowing(stage, watch, atMs, AbortSignal.any([signal, done.signal])).catch(fail);
  const writing = keepWriting(stage.files, AbortSignal.any([signal, written.signal])).catch(fail);
  await Promise.all([killAll().catch(fail), writing]);
  if (!signal.aborted) await waitForTheRest(stage, watch, signal).catch(fail);
  done.abort();
  await showing;
  signal.throwIfAborted();
  return kills;
}

/** Kills each victim in its part of the time, while bytes are in flight, and starts it again a moment later. */
async function* killInTurn(
  processes: Processes,
  watch: FlightWatch,
  atMs: () => number,
  signal: AbortSignal,
): AsyncGenerator<Kill> {
  const part = WRITE_MS / VICTIMS.length;
  for (const [index, what] of VICTIMS.entries()) {
    const due = part * (index + 0.2 + Math.random() / 2);
    await sleep(Math.max(0, due - atMs()), signal);
    let flight: Flight = { messages: 0, bytes: 0 };
    const isEnough = async (): Promise<boolean> => (flight = await watch.inFlight()).bytes >= LEAST_IN_FLIGHT;
    const seen = await until(isEnough, { timeoutMs: PATIENCE_MS, everyMs: 5, signal });
    signal.throwIfAborted();
    if (!seen) throw new LogferryError('failed', `nothing was in flight when the ${what} was to be killed`);
    const killed = processes[what].kill();
    yield { what, atMs: atMs(), flight };
    await killed;
    await sleep(Math.random() * LONGEST_DEAD_MS, signal);
    signal.throwIfAborted();
    processes[what].start();
  }
}

/** Returns when all has arrived, or when nothing has for a while: then the comparison says what is missing. */
async function waitForTheRest(stage: Stage, watch: FlightWatch, signal: AbortSignal): Promise<void> {
  let committed = 0;
  let movedAt = performance.now();
  while (!signal.aborted && performance.now() - movedAt < PATIENCE_MS) {
    const now = await watch.committed();
    if (now >= writtenTo(stage.files).bytes) return;
    if (now > committed) movedAt = performance.now();
    committed = now;
    await sleep(LOOK_MS, signal);
  }
}

async function keepShowing(
  stage: Stage,
  watch: FlightWatch,
  atMs: () => number,
  signal: AbortSignal,
): Promise<void> {
  const pace = new Pace();
  while (!signal.aborted) {
    const moment = pace.look(atMs(), writtenTo(stage.files), await watch.committed());
    stage.screen.progress(() => progressText(moment), atMs());
    await sleep(LOOK_MS, signal);
  }
}

async function haveArrived(stage: Stage, watch: FlightWatch): Promise<boolean> {
  return (await watch.committed()) >= writtenTo(stage.files).bytes;
}

function writtenTo(files: readonly GrowingFile[]): { bytes: number; lines: number } {
  return {
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    lines: files.reduce((sum, file) => sum + file.lines, 0),
  };
}

function receiverArgs({ central }: DemoDirectory, { url }: NatsServer): string[] {
  return ['receive', '--out', central, '--rotate-size', ROTATE_SIZE, '--lease', LEASE, '--server', url];
}

function shipperArgs({ source, own }: DemoDirectory, { url }: NatsServer): string[] {
  const state = path.join(own, 'state');
  return [
    'ship',
    ...['--host', HOST, '--state', state, '--lease', LEASE, '--server', url],
    '--',
    // Globs have no escape: what is special in the directory's own name stands for any character.
    path.join(source.replaceAll(/[[\]*?{}()!+@\\]/g, '?'), '*.log'),
  ];
}

function logOf({ own }: DemoDirectory, what: string): string {
  return path.join(own, `${what}.log`);
}
