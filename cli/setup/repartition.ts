// `logferry repartition`: another number of partitions for a stream that is in use, while nobody ships or receives.

import type { Command } from 'commander';
import { z } from 'zod';

import { LogferryError } from '../../common/runtime/errors.ts';
import { openLink } from '../../common/nats/connection.ts';
import { repartition, type RepartitionReport } from '../../receiver/repartition.ts';
import { buildCommand, runUntilStopped } from '../flags/command.ts';
import { duration, flag, integer, toggle } from '../flags/flag.ts';
import { inClearWords } from '../../common/nats/failures.ts';
import { commonFlags, openLog, serverOptions, streamNames } from '../flags/options.ts';

const GIVE_UP_MS = 10_000;

const flags = z.strictObject({
  partitions: flag(
    '--partitions <n>',
    { help: 'shares that the hosts are divided into from now on' },
    integer(1, 4_096),
  ),
  lease: flag(
    '--lease <duration>',
    { help: 'who did not stop cleanly is gone when it has been silent for so long', default: '20s' },
    duration('2s', '10m'),
  ),
  json: toggle('--json', 'print one JSON object'),
  ...commonFlags,
});

export function repartitionCommand(): Command {
  return buildCommand({
    name: 'repartition',
    usage: '--partitions <n> [options]',
    description:
      'Divides the hosts of a stream into another number of partitions: more receivers can share them then. All ' +
      'shippers and receivers must be stopped, and what is in the stream committed; it looks, and changes nothing ' +
      'otherwise. Whoever starts meanwhile waits. Stopped or killed, it is run again. Receivers find their ' +
      'directories as they were, and go on.',
    examples: [
      { does: 'for several tens of receivers', line: 'logferry repartition --partitions 256' },
      {
        does: 'with the shippers stopped: write what is left, then change',
        line: 'logferry receive --once --out ./central && logferry repartition --partitions 256',
      },
    ],
    flags,
    run,
  });
}

async function run(options: z.output<typeof flags>): Promise<void> {
  const { partitions, lease: leaseMs, json } = options;
  if (partitions === undefined)
    throw new LogferryError('usage', 'how many partitions?', 'logferry repartition --partitions 256');
  const server = serverOptions(options);
  const log = openLog(options);
  const say = (line: string): void => {
    if (!json) process.stderr.write(`logferry: ${line}\n`);
  };
  await runUntilStopped(log, 'the partitions were changed', async (signal) => {
    const link = await openLink(server, { name: 'logferry repartition', log, signal, giveUpMs: GIVE_UP_MS });
    try {
      const asked = { ...streamNames(options), partitions, leaseMs, log, say };
      const report = await inClearWords(server, repartition(link, asked, signal));
      process.stdout.write(json ? jsonOf(report, partitions) : linesOf(report, asked.stream, partitions));
    } finally {
      await link.close();
    }
  });
}

function jsonOf(report: RepartitionReport | undefined, partitions: number): string {
  return `${JSON.stringify(report ?? { before: partitions, partitions, hosts: 0, files: 0 })}\n`;
}

function linesOf(report: RepartitionReport | undefined, stream: string, partitions: number): string {
  if (report === undefined) return `nothing to do: stream ${stream} has ${partitions} partitions\n`;
  const { before, hosts, files } = report;
  return (
    `stream ${stream} has ${partitions} partitions now, ${before} before; ${files} files of ${hosts} hosts\n` +
    'start the receivers, then the shippers; users with permissions for one host need new ones ' +
    `(logferry permissions --host NAME --partitions ${partitions})\n`
  );
}
