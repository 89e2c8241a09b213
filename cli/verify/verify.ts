// `logferry verify`: whether central files hold what their sources do, byte for byte, without moving the bytes.

import type { Command } from 'commander';
import { z } from 'zod';

import { LogferryError } from '../../common/runtime/errors.ts';
import { type Link, openLink } from '../../common/nats/connection.ts';
import { bytesOf } from '../../common/wire/ranges.ts';
import { type Selection, selectionOf } from '../../common/fleet/selection.ts';
import { buildCommand, runUntilStopped } from '../flags/command.ts';
import { flag, repeated, text, toggle } from '../flags/flag.ts';
import { inClearWords } from '../../common/nats/failures.ts';
import { commonFlags, openLog, serverOptions, streamNames } from '../flags/options.ts';
import { ProgressLine } from '../terminal/progress-line.ts';
import { sayErrors } from '../terminal/say-errors.ts';
import { SEE_ABOVE } from '../read/unread.ts';
import { askShippers, findDaemons } from './daemons.ts';
import { openDirectories } from './directories.ts';
import { type Plan, verifyHosts } from './hosts.ts';
import { wantedByRecords } from './records.ts';
import { addTo, emptySummary, failureOf, jsonOf, linesOf, summaryLine } from './report.ts';

const GIVE_UP_MS = 10_000;
const SEE_STDOUT = 'stdout says which bytes of which files';

const flags = z.strictObject({
  host: repeated('--host <glob>', 'only these hosts; may be given several times', text('a host or a glob')),
  path: repeated('--path <glob>', 'only these paths; may be given several times', text('a path or a glob')),
  json: toggle('--json', 'print one JSON object a line: one for each generation, then a summary'),
  out: flag(
    '--out <dir...>',
    { help: 'read what these output directories hold here, instead of asking the receivers' },
    (name) => z.array(text('a directory')(name)),
  ),
  offline: toggle('--offline', 'with --out: ask nobody, only check what the ledgers keep checksums of'),
  ...commonFlags,
});

type Flags = z.output<typeof flags>;

/** What is to be done, and how to let go of what was opened for it. */
type Opened = Pick<Plan, 'wanted' | 'sources' | 'holders' | 'silent'> & {
  /** What could not be read of what has to be verified, one for each partition. */
  readonly unread: readonly LogferryError[];
  readonly close: () => Promise<void>;
};

export function verifyCommand(): Command {
  return buildCommand({
    name: 'verify',
    usage: '[--host <glob>] [--path <glob>] [--out <dir...>] [options]',
    description:
      'Compares what receivers hold with what is on the hosts, byte for byte, without moving it: shippers and ' +
      'receivers hash the same ranges, of what is committed, while everything runs. What a host does not have any ' +
      'more is checked by the checksums that the ledgers keep. Exits 1 when a byte differs, is missing or could not ' +
      'be verified, and says where.',
    examples: [
      { does: 'everything', line: 'logferry verify' },
      {
        does: 'the logs of nginx on some hosts',
        line: "logferry verify --host 'web*' --path '/var/log/nginx/**'",
      },
      { does: 'a copy of an output directory against the hosts', line: 'logferry verify --out ./copy' },
      { does: 'a directory for itself', line: 'logferry verify --out ./central --offline' },
    ],
    flags,
    run,
  });
}

async function run(options: Flags): Promise<void> {
  const { out, offline } = options;
  if (offline && out === undefined)
    throw new LogferryError('usage', '--offline needs --out', 'say which directories are to be checked');
  const selection = selectionOf(options.host, options.path, []);
  const server = serverOptions(options);
  const log = openLog(options);
  await runUntilStopped(log, undefined, async (signal) => {
    if (offline) {
      await verifyOpened(options, await openPlan(options, undefined, selection, signal), signal);
      return;
    }
    const link = await openLink(server, { name: 'logferry verify', log, signal, giveUpMs: GIVE_UP_MS });
    try {
      const open = async (): Promise<void> => {
        await verifyOpened(options, await openPlan(options, link, selection, signal), signal);
      };
      await inClearWords(server, open());
    } finally {
      await link.close();
    }
  });
}

async function openPlan(
  options: Flags,
  link: Link | undefined,
  selection: Selection,
  signal: AbortSignal,
): Promise<Opened> {
  const names = streamNames(options);
  const isSelected = remembered((host, file) => selection.matches(host, file));
  if (options.out !== undefined) {
    const sources = link === undefined ? undefined : askShippers(link, names.prefix, signal);
    return { ...(await openDirectories(options.out, isSelected)), sources, silent: new Map() };
  }
  if (link === undefined) throw new Error('BUG: neither directories nor a server');
  // Before the receivers are asked: what is committed by now, they hold.
  const committed = await wantedByRecords(link, names.stream, openLog(options), isSelected);
  const { sources, receivers, silent } = await findDaemons(link, names, signal);
  return { ...committed, sources, holders: receivers, silent, close: async () => {} };
}

/** A file has many generations, and a pattern is compiled at each question. */
function remembered(
  matches: (host: string, file: string) => boolean,
): (host: string, file: string) => boolean {
  const known = new Map<string, boolean>();
  return (host, file) => {
    const key = JSON.stringify([host, file]);
    const is = known.get(key) ?? matches(host, file);
    known.set(key, is);
    return is;
  };
}

/** Throws `failed` when anything is not as it should be. */
async function verifyOpened(options: Flags, opened: Opened, signal: AbortSignal): Promise<void> {
  const { wanted, unread } = opened;
  sayErrors(unread);
  if (wanted.length === 0 && options.host.length + options.path.length > 0)
    throw new LogferryError(
      'failed',
      'nothing is committed that --host and --path select',
      'check the globs',
    );
  const summary = emptySummary(unread.length);
  const progress = process.stderr.isTTY ? new ProgressLine(process.stderr) : undefined;
  const total = wanted.reduce((sum, { expected }) => sum + bytesOf(expected), 0);
  let done = 0;
  try {
    const plan: Plan = {
      ...opened,
      onBytes: (bytes) => {
        done += bytes;
        progress?.show(Math.min(done, total), total, performance.now());
      },
      onVerified: (verified) => {
        addTo(summary, verified);
        process.stdout.write(options.json ? `${JSON.stringify(jsonOf(verified))}\n` : linesOf(verified));
      },
    };
    await verifyHosts(plan, signal);
  } finally {
    progress?.end();
    await opened.close();
  }
  if (signal.aborted) throw new LogferryError('failed', 'stopped before all of it was verified');
  process.stdout.write(options.json ? `${JSON.stringify({ summary })}\n` : `${summaryLine(summary)}\n`);
  const failure = failureOf(summary);
  if (failure !== undefined)
    throw new LogferryError('failed', failure, unread.length > 0 ? SEE_ABOVE : SEE_STDOUT);
}
