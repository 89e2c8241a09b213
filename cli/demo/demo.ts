// `logferry demo`: generated logs through a real server, a shipper and a receiver, both killed on the way, and then
// the comparison of every byte. Everything that it makes is below one directory.

import type { Command } from 'commander';
import { z } from 'zod';

import { LogferryError } from '../../common/runtime/errors.ts';
import { findNatsServer } from '../nats-server/nats-server.ts';
import { buildCommand } from '../flags/command.ts';
import { type Comparison, compareFile, strangeFiles } from './compare.ts';
import { type DemoDirectory, openDirectory } from './directory.ts';
import { differences, type Kill, summaryText, tableText } from './report.ts';
import { Screen } from './screen.ts';
import { HOST, shipAll } from './stage.ts';
import { type FilePlan, GrowingFile } from './writer.ts';
import { flag, text } from '../flags/flag.ts';

const MIB = 1024 * 1024;
const FILES: readonly FilePlan[] = [
  { name: 'access.log', bytesPerSecond: 3_000_000, rotateBytes: 5 * MIB },
  { name: 'api.log', bytesPerSecond: 1_800_000, rotateBytes: 4 * MIB },
  { name: 'static.log', bytesPerSecond: 1_000_000 },
  { name: 'admin.log', bytesPerSecond: 200_000 },
];

/** npm passes on the Ctrl-C that the terminal has sent to us already. */
const SAME_INTERRUPT_MS = 500;

const flags = z.strictObject({
  dir: flag(
    '--dir <dir>',
    { help: 'keep source/ and central/ here', otherwise: 'a temporary one, removed at the end' },
    text('a directory'),
  ),
});

export function demoCommand(): Command {
  return buildCommand({
    name: 'demo',
    usage: '[--dir <dir>]',
    description:
      'Writes generated logs, ships them through a nats-server of its own into central files, rotates them, kills ' +
      'the receiver and the shipper on the way, and then compares every byte. Exits with 0 when all are identical.',
    examples: [
      { does: 'see it work, in about 15 seconds', line: 'logferry demo' },
      {
        does: 'keep what was written and what arrived, and list which bytes lie where',
        line: 'logferry demo --dir ./demo && logferry segments --out ./demo/central',
      },
    ],
    flags,
    run: async ({ dir }) => {
      const signal = interruption();
      const directory = await openDirectory(dir);
      let keep = true;
      try {
        keep = await runIn(directory, dir !== undefined, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
        keep = false;
        throw new LogferryError('failed', 'stopped before anything was compared');
      } finally {
        await directory.close(keep);
      }
    },
  });
}

/** Returns whether the directory is worth keeping. Throws when a byte differs, and when a process fails. */
async function runIn(directory: DemoDirectory, isNamed: boolean, signal: AbortSignal): Promise<boolean> {
  const screen = new Screen(process.stdout);
  const files = FILES.map((plan) => new GrowingFile(directory.source, plan));
  try {
    const { path: binary, version } = await findNatsServer({ signal });
    screen.line(
      `${files.length} files, one shipper, nats-server ${version}, one receiver; ${directory.dir}` +
        (isNamed ? '' : ' (removed at the end)'),
    );
    const kills = await shipAll({ directory, binary, files, screen }, signal);
    const central = { out: directory.central, host: HOST };
    const comparisons: Comparison[] = [];
    for (const file of files) {
      signal.throwIfAborted();
      comparisons.push(await compareFile(file, central));
    }
    judge(screen, comparisons, kills, await strangeFiles(central), directory.dir);
    return false;
  } finally {
    screen.end();
    for (const file of files) await file.close();
  }
}

/** Fires at the first SIGINT or SIGTERM; a later one ends the process, and with it everything that it started. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  let firstAt = 0;
  for (const [name, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)
    process.on(name, () => {
      if (!controller.signal.aborted) firstAt = performance.now();
      else if (performance.now() - firstAt > SAME_INTERRUPT_MS) process.exit(code);
      controller.abort();
    });
  return controller.signal;
}

/** Prints the comparison and its last line. Throws `failed` when anything differs. */
function judge(
  screen: Screen,
  comparisons: readonly Comparison[],
  kills: readonly Kill[],
  strange: readonly string[],
  dir: string,
): void {
  for (const line of ['', ...tableText(comparisons), '']) screen.line(line);
  const wrong = differences(comparisons, strange);
  for (const line of wrong) screen.line(line);
  const summary = summaryText(comparisons, kills);
  if (wrong.length === 0) screen.good(`${summary}: identical`);
  else {
    screen.line(`${summary}: ${wrong.length} differences`);
    throw new LogferryError('failed', wrong[0] ?? '', `everything is kept in ${dir}; please report this`);
  }
}
