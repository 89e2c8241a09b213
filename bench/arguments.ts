// What `npm run bench` is asked to do.

import { parseArgs } from 'node:util';

import { LogferryError, messageOf } from '../common/errors.ts';
import { parseBytes } from '../common/units.ts';

export const HELP = `npm run bench [-- --size 1GiB --runs 1 --json --keep --profile DIR]
npm run bench -- latency [--runs 1 --json --keep --profile DIR]
npm run bench -- scale [--size 1GiB --hosts 200 --rounds 10 --json --keep --profile DIR]
npm run bench -- many [--hosts 5000 --files 50000 --rounds 3 --json --keep --profile DIR]

  --size     how much to drain
  --runs     how often; of several the medians come last
  --hosts    scale, many: how many hosts are simulated
  --files    many: how many files the host has that is alone
  --rounds   scale: how often a receiver is killed, started, stopped; many: chunks of each file
  --json     one object instead of tables
  --keep     leave the scratch directory
  --profile  V8 CPU profiles of shipper and receiver, one pair a run, into DIR
`;

const MODES = ['drain', 'latency', 'scale', 'many'] as const;
export type Mode = (typeof MODES)[number];

export interface Options {
  readonly mode: Mode;
  readonly bytes: number;
  readonly runs: number;
  readonly hosts: number;
  readonly files: number;
  readonly rounds: number;
  readonly json: boolean;
  readonly keep: boolean;
  readonly profile: string | undefined;
}

/** The flags that some modes have and others do not. */
const FLAGS: Record<Mode, readonly ('size' | 'runs' | 'hosts' | 'files' | 'rounds')[]> = {
  drain: ['size', 'runs'],
  latency: ['runs'],
  scale: ['size', 'hosts', 'rounds'],
  many: ['hosts', 'files', 'rounds'],
};

/** Undefined when help was asked for. Throws `usage`. */
export function readArguments(args: readonly string[]): Options | undefined {
  const { values, positionals } = parse(args);
  if (values.help) return undefined;
  const [given = 'drain', ...more] = positionals;
  const mode = MODES.find((one) => one === given);
  if (mode === undefined) throw wrong(`there is no mode ${given}`);
  if (more.length > 0) throw wrong(`what is ${more.join(' ')}?`);
  for (const flag of ['size', 'runs', 'hosts', 'files', 'rounds'] as const)
    if (values[flag] !== undefined && !FLAGS[mode].includes(flag)) throw wrong(`${mode} has no --${flag}`);
  const bytes = parseBytes(values.size ?? '1GiB', '--size');
  if (bytes < 1) throw wrong('--size: there must be something to drain');
  return {
    mode,
    bytes,
    runs: count('--runs', values.runs ?? '1'),
    hosts: count('--hosts', values.hosts ?? (mode === 'many' ? '5000' : '200')),
    files: count('--files', values.files ?? '50000'),
    rounds: count('--rounds', values.rounds ?? (mode === 'many' ? '3' : '10')),
    json: values.json,
    keep: values.keep,
    profile: values.profile,
  };
}

function count(flag: string, text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw wrong(`${flag}: ${text} is not a number from 1 on`);
  return number;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        size: { type: 'string' },
        runs: { type: 'string' },
        hosts: { type: 'string' },
        files: { type: 'string' },
        rounds: { type: 'string' },
        json: { type: 'boolean', default: false },
        keep: { type: 'boolean', default: false },
        profile: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    throw wrong(messageOf(error));
  }
}

function wrong(what: string): LogferryError {
  return new LogferryError('usage', what, 'see npm run bench -- --help');
}
