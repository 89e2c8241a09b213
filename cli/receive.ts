// `logferry receive`: flags to ReceiveOptions.

import type { Command } from 'commander';
import { z } from 'zod';

import { LogferryError } from '../common/errors.ts';
import { keepHeapSmall } from '../common/memory.ts';
import { type FixedShare, receive, type ReceiveOptions } from '../receiver/receive.ts';
import { buildCommand, runUntilStopped } from './command.ts';
import { duration, flag, integer, orOff, parsed, text, toggle, wrongValue } from './flag.ts';
import { inClearWords } from './nats-errors.ts';
import { commonFlags, openLog, serverOptions, streamNames } from './options.ts';
import { segmentFlags, segmentOptions } from './segment-flags.ts';

const flags = z.strictObject({
  out: flag(
    '--out <dir>',
    { help: 'write below this directory, made when missing', required: true },
    text('a directory'),
  ),
  id: flag(
    '--id <name>',
    { help: "this receiver's name", otherwise: 'made at the first start and kept in --out' },
    parsed(readName),
  ),
  lease: flag(
    '--lease <duration>',
    { help: 'another receiver takes over when this one has been silent for so long', default: '6s' },
    duration('2s', '10m'),
  ),
  own: flag(
    '--own <ranges>',
    { help: 'own these partitions, like 0-31 or 0-15,40', otherwise: 'what the plan of all receivers gives' },
    parsed(readRanges),
  ),
  index: flag(
    '--index <n>',
    { help: 'own every partition whose number modulo --of is this: the ordinal of a StatefulSet' },
    integer(0, 65_535),
  ),
  of: flag('--of <n>', { help: 'how many receivers share by --index' }, integer(1, 65_536)),
  giveUpAfter: flag(
    '--give-up-after <duration>',
    {
      help: 'write what follows missing bytes when they have not come for so long',
      otherwise: 'an hour less than the stream keeps messages',
    },
    duration('1s', '3650d'),
  ),
  handOverAfter: flag(
    '--hand-over-after <duration>',
    {
      help: 'let other receivers have the partitions when the disk has taken nothing for so long, or off',
      default: '30s',
    },
    orOff(duration('1s', '24h')),
  ),
  ...segmentFlags,
  once: toggle('--once', 'end when everything in the stream is committed'),
  ...commonFlags,
});

export function receiveCommand(): Command {
  return buildCommand({
    name: 'receive',
    usage: '--out <dir> [options]',
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
      { does: 'fetch what is there, then end', line: 'logferry receive --out ./central --once' },
    ],
    flags,
    run,
  });
}

async function run(options: z.output<typeof flags>): Promise<void> {
  keepHeapSmall();
  const server = serverOptions(options);
  const names = streamNames(options);
  const log = openLog(options);
  const settings: ReceiveOptions = {
    server,
    ...names,
    out: options.out,
    id: options.id,
    leaseMs: options.lease,
    share: readShare(options),
    giveUpAfterMs: options.giveUpAfter,
    handOverAfterMs: options.handOverAfter,
    ...segmentOptions(options),
    once: options.once,
    log,
  };
  await runUntilStopped(log, options.once ? 'all was committed' : undefined, (signal) =>
    inClearWords(server, receive(settings, signal)),
  );
}

function readShare({ own, index, of }: z.output<typeof flags>): FixedShare | undefined {
  if (own !== undefined && (index !== undefined || of !== undefined))
    throw new LogferryError('usage', '--own and --index contradict each other', 'give only one of them');
  if (index === undefined && of === undefined) return own;
  if (index === undefined || of === undefined)
    throw new LogferryError(
      'usage',
      index === undefined ? '--of needs --index' : '--index needs --of',
      'give both, or neither',
    );
  if (index < of) return { index, of };
  throw wrongValue('--index', String(index), `less than --of, which is ${of}`);
}

/** `0-31`, `5`, `0-15,40-47`. */
function readRanges(value: string, name: string): FixedShare {
  const ranges = value.split(',').map((part): readonly [number, number] => {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    const from = Number(match?.[1]);
    const to = Number(match?.[2] ?? match?.[1]);
    if (match === null || from > to) throw wrongValue(name, value, 'partitions like 0-31 or 0-15,40');
    return [from, to];
  });
  return { ranges };
}

function readName(value: string, name: string): string {
  if (value.trim() !== '' && value.isWellFormed() && Buffer.byteLength(value) <= 200) return value;
  throw wrongValue(name, value, 'a name of at most 200 bytes');
}
