// Real rotators upon files that are written at 20,000 lines a second in total: what arrives is what the writers say
// that they wrote.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { sleep, until } from '../../common/runtime/run.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { findLogrotate, type Logrotate } from './rotators/logrotate.ts';
import { assertIdentical, type Truth } from '../support/compare.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

const LINES_A_SECOND = 20_000;
const SECONDS = 5;
const ROTATIONS = 4;

/** How logrotate is told to rotate a file. */
const CONFIGURATIONS: Readonly<Record<string, string>> = {
  create: 'create',
  copytruncate: 'copytruncate',
  // The writer may have the old file for a while after gzip has read it.
  compress: 'create\n compress',
  delaycompress: 'create\n compress\n delaycompress',
  dateext: 'create\n dateext\n dateformat -%Y%m%d-%s',
};

/** A process that writes one file, and the record of what it wrote. */
class RotatedWriter implements Truth {
  readonly file: string;
  readonly #record: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown[]>;

  /** @param file as it is shipped */
  constructor(world: World, name: string, kind: string, linesASecond: number) {
    this.file = path.join(world.source, name);
    this.#record = path.join(world.dir, `record-${name}`);
    const args = [this.file, this.#record, String(linesASecond), String(SECONDS)];
    const [command, script] =
      kind === 'python' ? ['python3', ['write_lines.py']] : [process.execPath, ['write-lines.ts', kind]];
    const directory = fileURLToPath(new URL('rotators', import.meta.url));
    const child = spawn(command, [...script, ...args], {
      cwd: directory,
      stdio: ['ignore', 'inherit', 'inherit', ...(kind === 'plain' ? (['ipc'] as const) : [])],
    });
    this.#child = child;
    this.#exited = once(child, 'close');
    world.atEnd(async () => {
      child.kill('SIGKILL');
      await Promise.allSettled([this.#exited]);
    });
  }

  get pid(): number {
    return this.#child.pid ?? assert.fail(`the writer of ${this.file} was not started`);
  }

  get bytes(): number {
    return statSync(this.#record).size;
  }

  get rotations(): number {
    const base = path.basename(this.file);
    const stem = base.slice(0, base.lastIndexOf('.'));
    const names = readdirSync(path.dirname(this.file));
    return names.filter((name) => name.startsWith(stem) || name.endsWith(`-${base}`)).length - 1;
  }

  async truth(): Promise<Buffer> {
    return await readFile(this.#record);
  }

  /** Resolves when it has done so. */
  async tell(what: 'pause' | 'go on' | 'end'): Promise<void> {
    const answer = once(this.#child, 'message');
    this.#child.send(what);
    await answer;
  }

  async finished(): Promise<void> {
    const [code] = await this.#exited;
    assert.equal(code, 0, `the writer of ${this.file}`);
  }
}

/** A receiver and a shipper that watches: what is rotated away before its very first look is not shipped. */
async function begin(world: World): Promise<Truth> {
  const file = new Written(world, 'first.log');
  file.line();
  world.receive();
  world.ship();
  await assertIdentical(world, [file]);
  return file;
}

/** `logrotate -f` of one file; the writer of a file that is copied and truncated waits meanwhile, or bytes are lost. */
async function rotate(world: World, logrotate: Logrotate, writer: RotatedWriter): Promise<void> {
  const name = path.basename(writer.file, '.log');
  const config = path.join(world.dir, `${name}.conf`);
  const hangUp = `postrotate\n kill -HUP ${writer.pid}\n endscript`;
  await writeFile(
    config,
    `"${writer.file}" {\n rotate 100\n ${CONFIGURATIONS[name]}\n ${name === 'copytruncate' ? '' : hangUp}\n}\n`,
    { mode: 0o600 },
  );
  if (name === 'copytruncate') await writer.tell('pause');
  await logrotate(['-f', '-s', path.join(world.dir, `${name}.status`), config]);
  if (name === 'copytruncate') await writer.tell('go on');
}

test('logrotate in all its ways, while the writer goes on: identical', { timeout: TEST_MS }, async () => {
  const logrotate = await findLogrotate();
  await World.run('logrotate', async (world) => {
    const first = await begin(world);
    const names = Object.keys(CONFIGURATIONS);
    const writers = names.map(
      (name) => new RotatedWriter(world, `${name}.log`, 'plain', LINES_A_SECOND / names.length),
    );
    const isWritten = (writer: RotatedWriter): boolean => existsSync(writer.file);
    assert.ok(
      await until(() => writers.every(isWritten), { timeoutMs: WAIT_MS }),
      'the writers do not write',
    );
    for (let rotation = 0; rotation < ROTATIONS; rotation += 1) {
      // A date of whole seconds names one file each.
      await sleep(1_100);
      for (const writer of writers) await rotate(world, logrotate, writer);
    }
    for (const writer of writers) await writer.tell('end');
    for (const writer of writers) await writer.finished();
    await assertIdentical(world, [first, ...writers]);
    for (const writer of writers) assert.equal(writer.rotations, ROTATIONS, writer.file);
  });
});

test(
  'rotating-file-stream and RotatingFileHandler rotate what they write: identical',
  { timeout: TEST_MS },
  async () => {
    await World.run('libraries', async (world) => {
      const first = await begin(world);
      const writers = [
        new RotatedWriter(world, 'rfs.log', 'rotatingFileStream', LINES_A_SECOND / 2),
        new RotatedWriter(world, 'handler.log', 'python', LINES_A_SECOND / 2),
      ];
      for (const writer of writers) await writer.finished();
      await assertIdentical(world, [first, ...writers]);
      for (const writer of writers) assert.ok(writer.rotations >= 2, writer.file);
    });
  },
);

test(
  'pino-roll, which begins each file under a name of its own: identical',
  { timeout: TEST_MS },
  async () => {
    await World.run('pino-roll', async (world) => {
      const first = await begin(world);
      const writer = new RotatedWriter(world, 'pino.log', 'pinoRoll', LINES_A_SECOND);
      await writer.finished();
      const record = await writer.truth();
      const files: Truth[] = [];
      let at = 0;
      // The files are numbered as they were begun, and hold the record one after the other.
      for (let number = 1; at < record.length; number += 1) {
        const file = path.join(world.source, `pino.${number}.log`);
        const bytes = statSync(file).size;
        const truth = record.subarray(at, at + bytes);
        files.push({ file, bytes, rotations: 0, truth: async () => await Promise.resolve(truth) });
        at += bytes;
      }
      assert.ok(files.length >= 3, `${files.length} files`);
      await assertIdentical(world, [first, ...files]);
    });
  },
);
