// What `logferry receive` takes: the flags, and the options that they and the keys of a configuration file make.

import { z } from 'zod';

import { LogferryError } from '../../common/runtime/errors.ts';
import { duration, flag, integer, orOff, parsed, text, toggle, wrongValue } from './flag.ts';
import { metricsFlag } from './metrics.ts';
import { commonFlags, configFlag, serverOptions, streamNames } from './options.ts';
import { segmentFlags, segmentOptions } from './segment.ts';
import type { FixedShare, ReceiveOptions } from '../../receiver/options.ts';

export const receiveFlags = z.strictObject({
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
  metrics: metricsFlag,
  config: configFlag,
  ...commonFlags,
});

type Flags = z.output<typeof receiveFlags>;

/** What a receiver does with these. Throws `usage` for contradictions. */
export function receiveOptionsOf(flags: Flags): Omit<ReceiveOptions, 'log'> {
  return {
    server: serverOptions(flags),
    ...streamNames(flags),
    out: flags.out,
    id: flags.id,
    leaseMs: flags.lease,
    share: readShare(flags),
    giveUpAfterMs: flags.giveUpAfter,
    handOverAfterMs: flags.handOverAfter,
    ...segmentOptions(flags),
    once: flags.once,
  };
}

function readShare({ own, index, of }: Flags): FixedShare | undefined {
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
