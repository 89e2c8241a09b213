// What systemd is told of a daemon whose unit is Type=notify: ready, a line of status, alive, stopping. Through
// systemd-notify, because Node has no such sockets; started beside the work, one at a time, and never waited for by it.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { oneLine, systemCode } from '../../common/runtime/errors.ts';
import { type Logger, Throttle } from '../../common/runtime/log.ts';
import type { Shown } from '../../common/health/shown.ts';
import { printable } from '../terminal/printable.ts';

const run = promisify(execFile);

/** How often it is looked whether there is anything to say. */
const LOOK_MS = 250;
/** A line of status at most this often; each costs a process. */
const STATUS_MS = 10_000;
/** systemd-notify waits until systemd has read it. */
const TIMEOUT_MS = 5_000;
const MICROS = 1_000;

export interface Systemd {
  /** Tells it around the reading of the configuration. */
  readonly reloading: <T>(read: () => Promise<T>) => Promise<T>;
  readonly stopping: () => void;
  /** Nothing is told any more when it resolves; it never throws. */
  readonly stop: () => Promise<void>;
}

const NOBODY: Systemd = {
  reloading: async (read) => await read(),
  stopping: () => {},
  stop: async () => {},
};

/** @param status what it does now, in a line, when it is ready */
export function tellSystemd(
  shown: Shown<unknown>,
  status: () => string,
  log: Logger,
  env: NodeJS.ProcessEnv = process.env,
): Systemd {
  // Another logferry's child (cli/demo/child.ts) is not what the unit is about.
  if ((env['NOTIFY_SOCKET'] ?? '') === '' || process.channel !== undefined) return NOBODY;
  const aliveMs = watchdogMs(env, process.pid);
  let isReady = false;
  let said = '';
  let saidAt = Number.NEGATIVE_INFINITY;
  let aliveAt = Number.NEGATIVE_INFINITY;
  let isMissing = false;
  let telling: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  const throttle = new Throttle();

  /** False when it was not heard and may be said again. */
  const tell = async (...assignments: readonly string[]): Promise<boolean> => {
    if (isMissing) return true;
    waiting += 1;
    const told = telling.then(async () => {
      try {
        await run('systemd-notify', assignments, { env, timeout: TIMEOUT_MS });
        return true;
      } catch (error) {
        isMissing = systemCode(error) === 'ENOENT';
        const then = isMissing ? 'nothing is told: install systemd-notify' : 'trying again';
        throttle.run('systemd', (repeated) => {
          log.warn({ repeated }, `cannot tell systemd how it is (${oneLine(error)}); ${then}`);
        });
        return isMissing;
      } finally {
        waiting -= 1;
      }
    });
    telling = told;
    return await told;
  };

  const look = async (): Promise<void> => {
    if (waiting > 0) return;
    const now = performance.now();
    const why = shown.whyNotReady();
    const news: string[] = [];
    if (why === undefined && !isReady) news.push('READY=1');
    if (aliveMs !== undefined && now - aliveAt >= aliveMs && shown.whatIsStuck(now) === undefined) {
      aliveAt = now;
      news.push('WATCHDOG=1');
    }
    isReady ||= why === undefined;
    // A status may take a look at every file.
    if (news.includes('READY=1') || now - saidAt >= STATUS_MS) {
      saidAt = now;
      const line = printable(why ?? status());
      if (line !== said) news.push(`STATUS=${line}`);
      said = line;
    }
    if (news.length === 0 || (await tell(...news))) return;
    if (news.includes('READY=1')) isReady = false;
    if (news.includes('WATCHDOG=1')) aliveAt = Number.NEGATIVE_INFINITY;
    said = '';
  };
  const timer = setInterval(() => void look(), LOOK_MS).unref();
  void look();

  return {
    reloading: async (read) => {
      // Until it was ready once, systemd waits for that.
      if (!isReady) return await read();
      const micros = process.hrtime.bigint() / BigInt(MICROS);
      void tell('RELOADING=1', `MONOTONIC_USEC=${micros}`);
      try {
        return await read();
      } finally {
        void tell('READY=1');
      }
    },
    stopping: () => {
      void tell('STOPPING=1', 'STATUS=stopping');
    },
    stop: async () => {
      clearInterval(timer);
      await telling;
    },
  };
}

/** How often systemd is to hear that it is alive: twice in its time; undefined when it does not wait for that. */
function watchdogMs(env: NodeJS.ProcessEnv, pid: number): number | undefined {
  const micros = Number(env['WATCHDOG_USEC'] ?? Number.NaN);
  const isOthers = env['WATCHDOG_PID'] !== undefined && env['WATCHDOG_PID'] !== String(pid);
  return micros > 0 && !isOthers ? micros / MICROS / 2 : undefined;
}
