// `logferry ship`: ships until it is stopped.

import type { Command } from 'commander';

import { keepHeapSmall } from '../../common/runtime/memory.ts';
import { Changing } from '../../common/runtime/changing.ts';
import { ship, type ShipOptions } from '../../shipper/ship.ts';
import { buildConfigured, runUntilStopped } from '../flags/command.ts';
import type { CommandLine } from '../flags/flag.ts';
import { inClearWords } from '../../common/nats/failures.ts';
import { openReopening } from '../flags/options.ts';
import { ProgressLine } from '../terminal/progress-line.ts';
import { shipSettings } from '../config/settings.ts';
import { reloadOnHangup, reopenOnSignals, SHIP_CHANGES } from '../config/reload.ts';
import { shipFlags } from '../flags/ship.ts';
import { globsArgument } from '../flags/sources.ts';
import { watched } from './watched.ts';
import type { ShipperReading } from '../../shipper/options.ts';

export function shipCommand(): Command {
  return buildConfigured({
    name: 'ship',
    arguments: [globsArgument],
    usage: '<glob...> [options], or --config <file>, or - --as <path> [options]',
    description:
      'Ships log files as they grow, across rotations, and goes on at the exact byte after any stop. Quote the ' +
      'globs: files that appear later are shipped too.',
    examples: [
      { does: "ship this host's logs", line: "logferry ship '/var/log/*.log' --server nats://central" },
      {
        does: 'everything below a directory but debug logs and what nobody has written to for a week, as another host',
        line: "logferry ship '/srv/app/**/*.log' --exclude '*debug*' --ignore-older 7d --host app-1",
      },
      {
        does: "from a container that has the host's root at /host",
        line: "logferry ship '/host/var/log/pods/*/*/*.log' --path-prefix /host --host node-1",
      },
      {
        does: 'ship what a program prints; as another host where one ships already',
        line: 'app | logferry ship - --as /var/log/app.log --host app-1',
      },
      {
        does: 'several sources with options of their own; SIGHUP reads the file again',
        line: 'logferry ship --config /etc/logferry.yaml',
      },
      {
        does: 'ship what is there, wait until it has arrived, end',
        line: "logferry ship '/var/log/*.log' --once --timeout 60s",
      },
    ],
    flags: shipFlags,
    run,
  });
}

async function run(line: CommandLine): Promise<void> {
  keepHeapSmall();
  const settings = await shipSettings(line, process.env);
  const { options, warnings, inWords } = settings;
  const { log, reopen } = openReopening(settings.log);
  reopenOnSignals(line, log, reopen);
  for (const warning of warnings) log.warn(warning);
  const progress = options.once && process.stderr.isTTY ? new ProgressLine(process.stderr) : undefined;
  const changes = new Changing({ sources: options.sources, maxRate: options.maxRate });
  const { shown, reloading, ...watch } = await watched<ShipperReading>({
    ...{ daemon: 'ship', listen: settings.metrics, log },
    figures: async () => (await import('./metrics/shipper-figures.ts')).shipperFigures,
    status: (reading) => `shipping as ${options.host}: ${reading?.now?.status.files ?? 0} files`,
  });
  const shipOptions: ShipOptions = {
    ...options,
    log,
    changes,
    shown,
    ...(progress === undefined
      ? {}
      : {
          onProgress: ({ size: total, committed }) => {
            progress.show(committed, total, performance.now());
          },
        }),
  };
  reloadOnHangup(line, settings, log, {
    once: options.once,
    around: reloading,
    read: async () => await shipSettings(line, process.env),
    changes: SHIP_CHANGES,
    apply: ({ sources, maxRate }) => {
      changes.change({ sources, maxRate });
    },
  });
  try {
    await runUntilStopped(log, options.once ? 'all was committed' : undefined, (signal) =>
      watch.run(() => inClearWords(options.server, ship(shipOptions, signal)), signal),
    );
  } catch (error) {
    throw inWords(error);
  } finally {
    progress?.end();
    await watch.close();
  }
}
