// `logferry status`: who ships, who receives, what waits, and what is at risk.

import type { Command } from 'commander';
import { z } from 'zod';

import { LogferryError } from '../common/errors.ts';
import { openLink } from '../common/nats.ts';
import { buildCommand, runUntilStopped } from './command.ts';
import { toggle } from './flag.ts';
import { inClearWords } from './nats-errors.ts';
import { commonFlags, openLog, serverOptions, streamNames } from './options.ts';
import { printable } from './printable.ts';
import { collectStatus, StatusMemory } from './status-collect.ts';
import { risksOf } from './status-risks.ts';

const GIVE_UP_MS = 3_000;

const flags = z.strictObject({
  json: toggle('--json', 'print one JSON object; its fields are in docs/status.md'),
  ...commonFlags,
});

export function statusCommand(): Command {
  return buildCommand({
    name: 'status',
    usage: '[options]',
    description: 'Says how far everybody is.',
    examples: [{ does: 'a look', line: 'logferry status' }],
    flags,
    run,
  });
}

async function run(options: z.output<typeof flags>): Promise<void> {
  const server = serverOptions(options);
  const names = streamNames(options);
  const log = openLog(options);
  await runUntilStopped(log, undefined, async (signal) => {
    const link = await openLink(server, { name: 'logferry status', log, signal, giveUpMs: GIVE_UP_MS });
    try {
      const status = await inClearWords(server, collectStatus(link, names, new StatusMemory()));
      process.stdout.write(`${JSON.stringify(status)}\n`);
      const risks = risksOf(status);
      if (risks.length > 0) throw new LogferryError('risk', `data is at risk: ${printable(risks[0] ?? '')}`);
    } finally {
      await link.close();
    }
  });
}
