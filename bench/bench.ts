// `npm run bench`: how fast logferry drains a file and what that costs, next to what the machine can do at best; and
// `npm run bench -- replay`, `latency`, `idle`, `compare`, `rotations`, `scale`, `many`, `many-files`, `status`, `tail`,
// `stop` and `reconnect`.
// See bench/README.md.

import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import path from 'node:path';

import { ProgressLine } from '../cli/terminal/progress-line.ts';
import { exitCodeOf, LogferryError, messageOf, oneLine } from '../common/runtime/errors.ts';
import { findNatsServer } from '../cli/nats-server/nats-server.ts';
import { stopSignal } from '../common/runtime/run.ts';
import { HELP, type Mode, readArguments } from './arguments.ts';
import { drain } from './drain.ts';
import { compressAlone, copyAndSync } from './floors.ts';
import { idle } from './idle.ts';
import { latency } from './latency.ts';
import { machine, machineText } from './machine.ts';
import {
  type DrainRun,
  drainText,
  figuresOf,
  latencyMediansOf,
  latencyText,
  mediansOf,
  sourceText,
} from './report.ts';
import { many } from './many.ts';
import { handOverText, manyText, scaleDrainText, takeOverText } from './scale-report.ts';
import { scale } from './scale.ts';
import { compareRuns, manyFilesRun, quickRun } from './peer-modes.ts';
import { reconnect, reconnectText } from './reconnect.ts';
import { rotations } from './rotations.ts';
import { replayAgain, type Replayed, type ReplayRun, replayText } from './replay.ts';
import { type Setting, today } from './setting.ts';
import { makeSource } from './source.ts';
import { tail, tailText } from './tail.ts';
import { statusOf, statusText } from './status.ts';
import { stops, stopText } from './stop.ts';
import { idleText, rotationsText } from './tailing-report.ts';

const MODES: Record<Mode, (setting: Setting) => Promise<object>> = {
  drain: drainRuns,
  replay: replayRuns,
  latency: latencyRuns,
  idle: idleRun,
  rotations: rotationsRun,
  compare: compareRuns,
  quick: quickRun,
  scale: scaleRun,
  many: manyRun,
  'many-files': manyFilesRun,
  tail: tailRuns,
  status: statusRun,
  stop: stopRun,
  reconnect: reconnectRun,
};

const signal = stopSignal();
try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!signal.aborted) process.stderr.write(`bench: ${describe(error)}\n`);
  process.exitCode = signal.aborted ? 130 : exitCodeOf(error);
}
process.exit();

function describe(error: unknown): string {
  if (error instanceof LogferryError) return oneLine(error);
  return error instanceof Error ? (error.stack ?? error.message) : messageOf(error);
}

async function main(args: readonly string[]): Promise<void> {
  const options = readArguments(args);
  if (options === undefined) {
    process.stdout.write(HELP);
    return;
  }
  const server = await findNatsServer({ signal });
  const scratch = await mkdtemp(path.join(tmpdir(), 'logferry-bench-'));
  const setting: Setting = {
    options,
    machine: machine(server.version),
    signal,
    scratch,
    worldOf: (run) => ({
      dir: path.join(scratch, `run-${run}`),
      format: options.format,
      servers: options.servers,
      binary: server.path,
      profile: options.profile === undefined ? undefined : path.resolve(options.profile, `run-${run}`),
      signal,
    }),
    say: (text) => {
      if (!options.json) process.stdout.write(text);
    },
  };
  setting.say(`${today()} on ${machineText(setting.machine)}\n`);
  try {
    const result = await MODES[options.mode](setting);
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  } finally {
    if (options.keep) process.stderr.write(`kept ${scratch}\n`);
    else await rm(scratch, { recursive: true });
  }
}

async function drainRuns({ options, machine: on, scratch, worldOf, say }: Setting): Promise<object> {
  const generating = progressTo(options.bytes);
  const { source, empty } = await makeSource(options.lines, options.bytes, options.files, signal, (done) => {
    generating?.(done);
  });
  say(sourceText(source));
  const runs: DrainRun[] = [];
  for (let run = 1; run <= options.runs; run += 1) {
    const load = loadavg()[0] ?? 0;
    const copyMs = await copyAndSync(source.files, scratch, signal);
    const zstd = await compressAlone(source.files, signal);
    const world = worldOf(run);
    const onProgress = progressTo(source.bytes);
    const drained = await drain({ ...world, source, empty, onProgress });
    if (!options.keep) await rm(world.dir, { recursive: true });
    const result = { ...drained, load, copyMs, zstdMs: zstd.ms, zstdBy: zstd.by };
    runs.push(result);
    say(drainText(`run ${run} of ${options.runs}`, zstd.by, figuresOf(source, result), options.files));
  }
  const figures = runs.map((run) => figuresOf(source, run));
  const medians = mediansOf(figures);
  if (runs.length > 1)
    say(drainText(`median of ${runs.length}`, runs[0]?.zstdBy ?? '', medians, options.files));
  say('central files: identical\n');
  return { date: today(), machine: on, source, runs, figures, medians };
}

/** A drain, then what it has left in the stream is replayed, while its receiver is idle. */
async function replayRuns({ options, machine: on, worldOf, say }: Setting): Promise<object> {
  const { source, empty } = await makeSource(options.lines, options.bytes, options.files, signal, () => {});
  say(sourceText(source));
  const runs: ReplayRun[] = [];
  for (let run = 1; run <= options.runs; run += 1) {
    const world = worldOf(run);
    let replayed: Replayed | undefined;
    const drained = await drain({
      ...world,
      source,
      empty,
      onProgress: undefined,
      afterwards: async (left) => {
        replayed = await replayAgain(left, source, signal);
      },
    });
    if (!options.keep) await rm(world.dir, { recursive: true });
    if (replayed === undefined) throw new Error('BUG: a drain that left nothing');
    const result = { drained, replayed };
    runs.push(result);
    say(replayText(`run ${run} of ${options.runs}`, source, result));
  }
  say('central files: identical\n');
  return { date: today(), machine: on, source, runs };
}

async function latencyRuns({ options, machine: on, worldOf, say }: Setting): Promise<object> {
  const backlog = options.backlog
    ? (await makeSource('access', options.bytes, 1, signal, () => {})).source
    : undefined;
  const runs = [];
  for (let run = 1; run <= options.runs; run += 1) {
    const result = await latency(worldOf(run), backlog?.glob);
    runs.push(result);
    say(latencyText(`run ${run} of ${options.runs}`, result));
  }
  const medians = latencyMediansOf(runs);
  if (runs.length > 1) say(latencyText(`median of ${runs.length}`, medians));
  return { date: today(), machine: on, runs, medians };
}

async function idleRun({ options, machine: on, worldOf, say }: Setting): Promise<object> {
  const result = await idle(worldOf(1), options.files);
  say(idleText(result));
  return { date: today(), machine: on, ...result };
}

async function rotationsRun({ options, machine: on, worldOf, say }: Setting): Promise<object> {
  const { seconds, perMinute, rate } = options;
  const result = await rotations(worldOf(1), seconds, perMinute, rate);
  say(rotationsText(result));
  return { date: today(), machine: on, ...result };
}

async function scaleRun({ options, machine: on, worldOf, say }: Setting): Promise<object> {
  const result = await scale(worldOf(1), options, {
    drain: (drained) => {
      say(scaleDrainText(options.hosts, drained));
    },
    takeOver: (taken) => {
      say(takeOverText(taken));
    },
    handOver: (handed) => {
      say(handOverText(handed));
    },
  });
  say('central files: identical\n');
  return { date: today(), machine: on, ...result };
}

async function manyRun({ options, machine: on, worldOf, say }: Setting): Promise<object> {
  const worlds = await many(worldOf(1), options, (one) => {
    say(manyText(one));
  });
  say('central files: identical\n');
  return { date: today(), machine: on, worlds };
}

async function tailRuns({ options, machine: on, worldOf, say }: Setting): Promise<object> {
  const { source } = await makeSource(options.lines, options.bytes, 1, signal, () => {});
  say(sourceText(source));
  const rounds = [];
  for (let run = 1; run <= options.runs; run += 1) {
    const runs = await tail({ ...worldOf(run), source });
    say(tailText(runs));
    rounds.push(runs);
  }
  return { date: today(), machine: on, source, rounds };
}

async function statusRun({ options, machine: on, worldOf, say }: Setting): Promise<object> {
  const result = await statusOf(worldOf(1), options);
  say(statusText(result));
  return { date: today(), machine: on, ...result };
}

async function stopRun({ options, machine: on, worldOf, say }: Setting): Promise<object> {
  const { source } = await makeSource('access', options.bytes, 1, signal, () => {});
  const cases = await stops(worldOf(1), source, options.runs, (one) => {
    say(stopText(one));
  });
  return { date: today(), machine: on, source, cases };
}

async function reconnectRun({ options, machine: on, worldOf, say }: Setting): Promise<object> {
  const result = await reconnect(worldOf(1), options);
  say(reconnectText(result));
  return { date: today(), machine: on, ...result };
}

/** Shows how far it is on one line of a terminal, and nowhere else. */
function progressTo(total: number): ((done: number) => void) | undefined {
  if (!process.stderr.isTTY) return undefined;
  const line = new ProgressLine(process.stderr);
  return (done) => {
    line.show(done, total, performance.now());
    if (done >= total) process.stderr.write('\u001B[K');
  };
}
