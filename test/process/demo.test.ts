// The demo as a newcomer runs it: a real process that must end with `identical`, and what it leaves behind.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';

import { until } from '../../common/runtime/run.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { ENTRY } from '../support/paths.ts';
import { centralFiles } from '../support/central-files.ts';

const HOST = 'web1';

interface Demo {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
}

function demo(args: readonly string[], env: NodeJS.ProcessEnv = {}): Demo {
  const child = spawn(process.execPath, [ENTRY, 'demo', ...args], { env: { ...process.env, ...env } });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { child, stdout: () => stdout, ended };
}

/** A directory of the test's own; kept, and named, when it fails. */
async function inScratch(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(path.join(tmpdir(), 'logferry-demo-test-'));
  try {
    await run(dir);
  } catch (error) {
    console.error(`# kept for inspection: ${dir}`);
    throw error;
  }
  await rm(dir, { recursive: true });
}

/** The generations of a source file as one, the oldest (with the highest number) first. */
async function written(source: string, name: string): Promise<Buffer> {
  const number = (file: string): number => Number(/\.(\d+)$/.exec(file)?.[1] ?? 0);
  const names = (await readdir(source)).filter((file) => file === name || file.startsWith(`${name}.`));
  const files = names.toSorted((a, b) => number(b) - number(a));
  return Buffer.concat(await Promise.all(files.map(async (file) => await readFile(path.join(source, file)))));
}

test('the demo ends identical, and what it leaves is', { timeout: TEST_MS }, async () => {
  await inScratch(async (dir) => {
    const { code, stdout, stderr } = await demo(['--dir', dir]).ended;
    assert.equal(code, 0, stdout + stderr);
    const lines = stdout.trimEnd().split('\n');
    assert.match(lines.at(-1) ?? '', /^4 files, [\d,]{9,} bytes, 4 kills: identical$/);
    const kills = lines.filter((line) => line.includes('SIGKILL'));
    assert.equal(kills.filter((line) => line.includes('SIGKILL receiver')).length, 2);
    assert.equal(kills.filter((line) => line.includes('SIGKILL shipper')).length, 2);
    for (const line of kills) assert.match(line, / [1-9][\d,]{2,} bytes \([1-9][\d,]* messages?\) /);
    const isPlain = !stdout.includes('\u001B') && !stdout.includes('\r');
    assert.ok(isPlain, 'neither colours nor a live line in a pipe');
    const source = path.join(dir, 'source');
    const names = (await readdir(source)).filter((name) => name.endsWith('.log'));
    assert.equal(names.length, 4);
    let segments = 0;
    for (const name of names) {
      const central = await centralFiles(path.join(dir, 'central'), HOST, path.join(source, name));
      const arrived = Buffer.concat(await Promise.all(central.map(async (file) => await readFile(file))));
      assert.ok(arrived.equals(await written(source, name)), `${name} differs`);
      segments += central.length;
    }
    assert.ok((await readdir(source)).length > names.length, 'no source file was rotated');
    assert.ok(segments > names.length, 'no central file was rotated');
  });
});

test('a directory with other things in it is refused in one line', async () => {
  await inScratch(async (dir) => {
    const mine = path.join(dir, 'mine.txt');
    await writeFile(mine, 'precious');
    const { code, stdout, stderr } = await demo(['--dir', dir]).ended;
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /^logferry: --dir \S+ is not empty, and not an earlier demo's: [^\n]+\n$/);
    assert.deepEqual(await readdir(dir), ['mine.txt']);
  });
});

test('Ctrl-C ends everything and removes the temporary directory', { timeout: TEST_MS }, async () => {
  await inScratch(async (dir) => {
    // The server may have to be fetched first: the cache stays where it is.
    const running = demo([], { TMPDIR: dir });
    const isShipping = (): boolean => running.stdout().includes('SIGKILL');
    assert.ok(await until(isShipping, { timeoutMs: WAIT_MS }), 'it never came so far as to kill anything');
    running.child.kill('SIGINT');
    // As npm does, which passes on the signal that the terminal has sent already.
    running.child.kill('SIGINT');
    const { code, stderr } = await running.ended;
    assert.equal(code, 1);
    assert.equal(stderr.split('\n').at(-2), 'logferry: stopped before anything was compared');
    assert.deepEqual(await readdir(dir), [], 'what it made is gone');
    assert.deepEqual(await processesOn(dir), [], 'what it started is gone');
  });
});

/** The command lines of processes that name this directory. Linux only; elsewhere none are seen. */
async function processesOn(dir: string): Promise<string[]> {
  if (process.platform !== 'linux') return [];
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(dir)) found.push(command.replaceAll('\0', ' '));
  }
  return found;
}
