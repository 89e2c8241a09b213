// A writer of its own process: numbered lines at a steady rate into one file, rotated by a library or by somebody
// else. What it wrote is in its record, to which each piece goes first.
//
//   node write-lines.ts KIND FILE RECORD LINES-A-SECOND SECONDS
//
// `plain` goes on until it is told to end.

import { once } from 'node:events';
import { appendFileSync, closeSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';

import pino from 'pino';
import { createStream } from 'rotating-file-stream';

import { sleep } from '../../../common/runtime/run.ts';

const TICK_MS = 5;
/** A file of a library is rotated when it has about this much. */
const ROTATE_KB = 1_200;
/** Files with names of their own can be small: nobody can miss one. */
const ROLL_KB = 600;

interface Output {
  readonly write: (text: string) => Promise<void> | void;
  readonly end: () => Promise<void> | void;
}

const [kind = '', file = '', record = '', ...rates] = process.argv.slice(2);
const [rate = 0, seconds = 0] = rates.map(Number);
let paused = false;
let ended = false;

/** Opened again on SIGHUP, as daemons do; waits while it is told to. */
function plain(): Output {
  let fd = openSync(file, 'a');
  process.on('SIGHUP', () => {
    closeSync(fd);
    fd = openSync(file, 'a');
  });
  process.on('message', (message) => {
    paused = message === 'pause';
    ended = message === 'end';
    process.send?.(message);
  });
  const write = (text: string): void => {
    if (writeSync(fd, text) !== Buffer.byteLength(text)) throw new Error(`${file}: a short write`);
  };
  return { write, end: () => process.disconnect() };
}

function rotatingFileStream(): Output {
  const stream = createStream(path.basename(file), {
    path: path.dirname(file),
    size: `${ROTATE_KB}K`,
  });
  return {
    write: async (text) => await done((then) => stream.write(text, then)),
    end: async () => await done((then) => stream.end(then)),
  };
}

/** pino in front of pino-roll, which runs in a thread and numbers its files: `pino.1.log`, `pino.2.log`. */
function pinoRoll(): Output {
  const options = { file, size: `${ROLL_KB}k` };
  const transport = pino.transport<Record<string, unknown>>({ target: 'pino-roll', options });
  const recorded = (line: string): void => {
    appendFileSync(record, line);
    transport.write(line);
  };
  const logger = pino({ base: null }, { write: recorded });
  return {
    write: (text) => {
      for (const line of text.trimEnd().split('\n')) logger.info(line.slice(0, 60));
    },
    end: async () => {
      const closed = once(transport, 'close');
      // Its thread does not keep the process alive.
      const alive = setInterval(() => {}, 1_000);
      transport.end();
      await closed;
      clearInterval(alive);
    },
  };
}

async function done(call: (then: (error?: Error | null) => void) => void): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    call((error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

const kinds: Record<string, () => Output> = { plain, rotatingFileStream, pinoRoll };
const output = kinds[kind]?.() ?? plain();
const began = performance.now();
let lines = 0;
let pausedMs = 0;
const total = kind === 'plain' ? Number.POSITIVE_INFINITY : rate * seconds;
while (!ended && lines < total) {
  const before = performance.now();
  await sleep(TICK_MS);
  if (paused) {
    pausedMs += performance.now() - before;
    continue;
  }
  const due = Math.min(total, ((performance.now() - began - pausedMs) / 1_000) * rate);
  let text = '';
  for (; lines < due; lines += 1) text += `${path.basename(file)} line ${lines} `.padEnd(99, 'x') + '\n';
  if (text === '') continue;
  if (kind !== 'pinoRoll') appendFileSync(record, text);
  await output.write(text);
}
const took = (performance.now() - began) / 1_000;
console.log(`# ${kind}: ${lines} lines in ${took.toFixed(1)} s, ${Math.round(lines / took)} a second`);
await output.end();
