// `logferry receive`: receives until it is stopped.

import type { Command } from 'commander';

import { keepHeapSmall } from '../../common/runtime/memory.ts';
import { Changing } from '../../common/runtime/changing.ts';
import { receive } from '../../receiver/receive.ts';
import { buildConfigured, runUntilStopped } from '../flags/command.ts';
import type { CommandLine } from '../flags/flag.ts';
import { inClearWords } from '../../common/nats/failures.ts';
import { openReopening } from '../flags/options.ts';
import { receiveSettings } from '../config/settings.ts';
import { RECEIVE_CHANGES, reloadOnHangup, reopenOnSignals } from '../config/reload.ts';
import { receiveFlags } from '../flags/receive.ts';
import { watched } from './watched.ts';
import type { ReceiveLimits, ReceiveOptions, ReceiverReading } from '../../receiver/options.ts';

export function receiveCommand(): Command {
  return buildConfigured({
    name: 'receive',
    usage: '--out <dir> [options], or --config <file>',
    description:
      'Writes what hosts ship into files below a directory: <dir>/<host>/<path there>. A byte counts as delivered ' +
      'when it is on this disk and recorded; killed at any moment, it goes on at the exact byte.',
    examples: [
      { does: 'receive everything into ./central', line: 'logferry receive --out ./central' },
      {
        does: 'segments of 1 GiB or six hours, whichever comes first',
        line: 'logferry receive --out /srv/logs --rotate-size 1GiB --rotate-interval 6h',
      },
      {
        does: 'the first of four receivers that share by their numbers',
        line: 'logferry receive --out /srv/logs --index 0 --of 4',
      },
      {
        does: 'compressed, and removed after 30 days, or earlier where 500 GiB are full',
        line: 'logferry receive --out /srv/logs --compress zstd --keep-age 30d --keep-total 500GiB',
      },
      {
        does: 'with a file in place of flags; SIGHUP reads it again',
        line: 'logferry receive --config /etc/logferry.yaml',
      },
      { does: 'fetch what is there, then end', line: 'logferry receive --out ./central --once' },
    ],
    flags: receiveFlags,
    run,
  });
}

async function run(line: CommandLine): Promise<void> {
  keepHeapSmall();
  const settings = await receiveSettings(line, process.env);
  const { options, warnings, inWords } = settings;
  const { log, reopen } = openReopening(settings.log);
  reopenOnSignals(line, log, reopen);
  for (const warning of warnings) log.warn(warning);
  const changes = new Changing<ReceiveLimits>(options);
  const { shown, onCommit, reloading, ...watch } = await watched<ReceiverReading>({
    ...{ daemon: 'receive', listen: settings.metrics, log },
    figures: async () => (await import('./metrics/receiver-figures.ts')).receiverFigures,
    status: (reading) =>
      `receiving into ${options.out}: ${reading?.status?.partitions.length ?? 0} partitions`,
  });
  reloadOnHangup(line, settings, log, {
    once: options.once,
    around: reloading,
    read: async () => await receiveSettings(line, process.env),
    changes: RECEIVE_CHANGES,
    apply: ({ giveUpAfterMs, rotate, upkeep }) => {
      changes.change({ giveUpAfterMs, rotate, upkeep });
    },
  });
  try {
    const receiving: ReceiveOptions = {
      ...{ ...options, log, changes, shown },
      ...(onCommit === undefined ? {} : { onCommit }),
    };
    await runUntilStopped(log, options.once ? 'all was committed' : undefined, (signal) =>
      watch.run(() => inClearWords(options.server, receive(receiving, signal)), signal),
    );
  } catch (error) {
    throw inWords(error);
  } finally {
    await watch.close();
  }
}
