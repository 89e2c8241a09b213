// What `npm run bench` is asked to do.

import { parseArgs } from 'node:util';

import { LogferryError, messageOf } from '../common/runtime/errors.ts';
import { parseBytes } from '../common/text/units.ts';
import { type Format, FORMATS } from '../receiver/ledger/names.ts';
import { LINES, type Lines } from './generate.ts';
import type { Workload } from './many-files.ts';

export const HELP = `npm run bench [-- --size 1GiB --files 1 --lines access --format plain --servers 1 --runs 1 --json --keep --profile DIR]
npm run bench -- replay [--size 1GiB --files 1 --lines access --runs 1 --json --keep --profile DIR]
npm run bench -- latency [--backlog --runs 1 --json --keep --profile DIR]
npm run bench -- idle [--files 2000 --json --keep --profile DIR]
npm run bench -- rotations [--seconds 180 --per-minute 100 --rate 50MB --json --keep --profile DIR]
npm run bench -- compare [--size 512MiB --lines access --runs 3 --peers DIR --json --keep]
npm run bench -- quick [--peers DIR --json]
npm run bench -- scale [--size 1GiB --hosts 200 --rounds 10 --json --keep --profile DIR]
npm run bench -- tail [--size 1GiB --lines access --runs 1 --json --keep --profile DIR]
npm run bench -- status [--hosts 1000 --files 20 --runs 5 --json --keep]
npm run bench -- stop [--size 1GiB --runs 1 --json --keep]
npm run bench -- reconnect [--hosts 10000 --tls --json --keep]
npm run bench -- many [--hosts 5000 --files 50000 --rounds 3 --json --keep --profile DIR]
npm run bench -- many-files [--only 200x20,1000x2 --seconds 10 --peers all|none|DIR --json --keep --profile DIR]

  --size     how much to drain, or to print
  --lines    drain, replay, compare, tail: access (205 bytes), short (90) or json (450)
  --servers  drain: 1, or a cluster of 3 with as many replicas
  --backlog  latency: while 1 GiB of another file is drained
  --format   drain: how the receiver writes, plain or zstd
  --runs     how often; of several the medians come last
  --hosts    scale, many, status, reconnect: how many hosts are simulated
  --tls      reconnect: with TLS
  --files    drain, replay: in how many files; idle: how many; many: how many files the host has that is alone; status: how
             many files each host names
  --peers    compare, many-files: a directory into which packages of other shippers were unpacked; none for no other one
  --seconds, --per-minute, --rate
             rotations: how long, how often, and the most that is written a second; many-files: how long is measured
  --only     many-files: some workloads, files x lines a second of each
  --rounds   scale: how often a receiver is killed, started, stopped; many: chunks of each file
  --json     one object instead of tables
  --keep     leave the scratch directory
  --profile  V8 CPU profiles of shipper and receiver (tail: of the last tail too), one pair a run, into DIR
`;

const MODES = [
  'drain',
  'replay',
  'latency',
  'idle',
  'rotations',
  'compare',
  'quick',
  'scale',
  'many',
  'many-files',
  'status',
  'tail',
  'stop',
  'reconnect',
] as const;
export type Mode = (typeof MODES)[number];

export interface Options {
  readonly mode: Mode;
  readonly bytes: number;
  readonly format: Format;
  readonly lines: Lines;
  readonly servers: number;
  readonly backlog: boolean;
  readonly tls: boolean;
  readonly runs: number;
  readonly hosts: number;
  readonly files: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly perMinute: number;
  /** Bytes a second. */
  readonly rate: number;
  readonly peers: string | undefined;
  readonly only: readonly Workload[] | undefined;
  readonly json: boolean;
  readonly keep: boolean;
  readonly profile: string | undefined;
}

/** The flags that some modes have and others do not. */
const SOME = [
  'size',
  'lines',
  'servers',
  'backlog',
  'tls',
  'format',
  'runs',
  'hosts',
  'files',
  'rounds',
  'seconds',
  'per-minute',
  'rate',
  'peers',
  'only',
] as const;
const FLAGS: Record<Mode, readonly (typeof SOME)[number][]> = {
  drain: ['size', 'files', 'lines', 'format', 'servers', 'runs'],
  replay: ['size', 'files', 'lines', 'runs'],
  latency: ['backlog', 'runs'],
  idle: ['files'],
  rotations: ['seconds', 'per-minute', 'rate'],
  compare: ['size', 'lines', 'runs', 'peers'],
  quick: ['peers'],
  scale: ['size', 'hosts', 'rounds'],
  many: ['hosts', 'files', 'rounds'],
  'many-files': ['only', 'seconds', 'peers'],
  tail: ['size', 'lines', 'runs'],
  status: ['hosts', 'files', 'runs'],
  stop: ['size', 'runs'],
  reconnect: ['hosts', 'tls'],
};

/** What is not asked for otherwise. */
const SIZES: Partial<Record<Mode, string>> = { compare: '512MiB', quick: '128MiB' };
const FILES: Partial<Record<Mode, number>> = { idle: 2_000, many: 50_000, status: 20 };
const HOSTS: Partial<Record<Mode, string>> = { many: '5000', status: '1000', reconnect: '10000' };
const RUNS: Partial<Record<Mode, string>> = { compare: '3', status: '5' };

/** Undefined when help was asked for. Throws `usage`. */
export function readArguments(args: readonly string[]): Options | undefined {
  const { values, positionals } = parse(args);
  if (values.help) return undefined;
  const [given = 'drain', ...more] = positionals;
  const mode = MODES.find((one) => one === given);
  if (mode === undefined) throw wrong(`there is no mode ${given}`);
  if (more.length > 0) throw wrong(`what is ${more.join(' ')}?`);
  for (const flag of SOME)
    if (values[flag] !== undefined && !FLAGS[mode].includes(flag)) throw wrong(`${mode} has no --${flag}`);
  const bytes = parseBytes(values.size ?? SIZES[mode] ?? '1GiB', '--size');
  if (bytes < 1) throw wrong('--size: there must be something to drain');
  const format = FORMATS.find((one) => one === (values.format ?? 'plain'));
  if (format === undefined) throw wrong(`--format is ${FORMATS.join(' or ')}`);
  const lines = Object.keys(LINES).find((one) => one === (values.lines ?? 'access')) as Lines | undefined;
  if (lines === undefined) throw wrong(`--lines is ${Object.keys(LINES).join(', ')}`);
  const servers = count('--servers', values.servers ?? '1');
  if (servers !== 1 && servers !== 3) throw wrong('--servers is 1 or 3');
  return {
    mode,
    bytes,
    format,
    lines,
    servers,
    backlog: values.backlog ?? false,
    tls: values.tls ?? false,
    runs: count('--runs', values.runs ?? RUNS[mode] ?? '1'),
    hosts: count('--hosts', values.hosts ?? HOSTS[mode] ?? '200'),
    files: count('--files', values.files ?? String(FILES[mode] ?? 1)),
    rounds: count('--rounds', values.rounds ?? (mode === 'many' ? '3' : '10')),
    seconds: count('--seconds', values.seconds ?? (mode === 'many-files' ? '10' : '180')),
    perMinute: count('--per-minute', values['per-minute'] ?? '100'),
    rate: parseBytes(values.rate ?? '50MB', '--rate'),
    peers: values.peers,
    only: values.only?.split(',').map(workload),
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

function workload(text: string): Workload {
  const [, files, linesPerSecond] = /^(\d+)[x×](\d+)$/.exec(text) ?? [];
  if (files === undefined || linesPerSecond === undefined)
    throw wrong(`--only: ${text} is not of the form 200x20`);
  return { files: count('--only', files), linesPerSecond: count('--only', linesPerSecond) };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        size: { type: 'string' },
        format: { type: 'string' },
        lines: { type: 'string' },
        servers: { type: 'string' },
        backlog: { type: 'boolean' },
        tls: { type: 'boolean' },
        runs: { type: 'string' },
        hosts: { type: 'string' },
        files: { type: 'string' },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        'per-minute': { type: 'string' },
        rate: { type: 'string' },
        peers: { type: 'string' },
        only: { type: 'string' },
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
