// `logferry setup`: the stream and the buckets, created where missing, altered only when asked to.

import type { Command } from 'commander';
import { z } from 'zod';

import { sourceIn } from '../../common/nats/domain.ts';
import { openLink } from '../../common/nats/connection.ts';
import { ensureStream, type SetupReport } from '../../common/stream/stream.ts';
import { inReplicas } from '../../common/stream/memory.ts';
import { formatBytes, formatDuration } from '../../common/text/units.ts';
import { buildCommand, runUntilStopped } from '../flags/command.ts';
import { duration, flag, integer, parsed, repeated, size, toggle } from '../flags/flag.ts';
import { inClearWords } from '../../common/nats/failures.ts';
import { commonFlags, openLog, readDomain, serverOptions, streamNames } from '../flags/options.ts';
import { tuning } from '../../common/runtime/tuning.ts';
import { publishedSubjects } from '../../common/wire/topology.ts';

/** A stream that holds less than a few chunks cannot carry anything. */
const LEAST_BYTES = 16 * 1024 ** 2;

/** As long as `--once` waits for a server. */
const GIVE_UP_MS = 30_000;

const flags = z.strictObject({
  partitions: flag(
    '--partitions <n>',
    {
      help: 'shares that the hosts are divided into; logferry repartition changes it',
      otherwise: `${tuning.partitions} when created`,
    },
    integer(1, 4_096),
  ),
  replicas: flag(
    '--replicas <n>',
    { help: 'copies of the stream in the cluster', otherwise: '1 when created' },
    integer(1, 5),
  ),
  maxAge: flag(
    '--max-age <duration>',
    { help: 'the stream forgets messages after this', otherwise: '7d when created' },
    duration('1m'),
  ),
  maxBytes: flag(
    '--max-bytes <size>',
    {
      help: 'the stream forgets its oldest messages beyond this',
      otherwise: '80 % of what the account has left when created, at most 50GiB',
    },
    size(LEAST_BYTES),
  ),
  source: repeated(
    '--source <domain>',
    'have the stream of the same name in this JetStream domain, that of a leaf node, as a source; may be repeated',
    parsed(readDomain),
  ),
  edge: toggle(
    '--edge',
    'the server is a leaf node: its stream is to be the source of another, and has no records beside it',
  ),
  alter: toggle('--alter', 'change what exists to what is asked for here'),
  json: toggle('--json', 'print one JSON object'),
  ...commonFlags,
});

export function setupCommand(): Command {
  return buildCommand({
    name: 'setup',
    usage: '[options]',
    description:
      'Creates the stream and its buckets where they are missing, and says what it did. What exists is left as it ' +
      'is: it exits 1 when that differs from what is asked for, unless --alter is given. ship and receive do the ' +
      'same with the defaults.',
    examples: [
      { does: 'on one server, with the defaults', line: 'logferry setup' },
      {
        does: 'in a cluster, kept for three days',
        line: 'logferry setup --server nats://n1,nats://n2,nats://n3 --replicas 3 --max-age 3d',
      },
      {
        does: 'at a leaf node, whose JetStream domain is edge1',
        line: 'logferry setup --edge --server nats://leaf',
      },
      {
        does: 'and at the hub, which is to bring that in',
        line: 'logferry setup --source edge1 --server nats://hub',
      },
      { does: 'give an existing stream more room', line: 'logferry setup --max-bytes 200GiB --alter' },
    ],
    flags,
    run,
  });
}

async function run(options: z.output<typeof flags>): Promise<void> {
  const server = serverOptions(options);
  const names = streamNames(options);
  const log = openLog(options);
  await runUntilStopped(log, 'all was there', async (signal) => {
    const link = await openLink(server, { name: 'logferry setup', log, signal, giveUpMs: GIVE_UP_MS });
    try {
      const { partitions, replicas, maxAge: maxAgeMs, maxBytes } = options;
      const sources = options.source.map((domain) => sourceIn(domain, names.stream));
      const limits = { partitions, replicas, maxAgeMs, maxBytes, defaultPartitions: tuning.partitions };
      const wishes = { ...limits, edge: options.edge, ...(sources.length > 0 ? { sources } : {}) };
      const report = await inClearWords(server, ensureStream(link, names, wishes, options.alter));
      process.stdout.write(options.json ? `${JSON.stringify(asJson(report))}\n` : inLines(report));
    } finally {
      await link.close();
    }
  });
}

function asJson(report: SetupReport): object {
  const { topology, created, altered, likeness } = report;
  const sources = likeness.sources.map(({ name, external }) => `${external?.api ?? '$JS.API'}:${name}`);
  return { ...topology, ...likeness, sources, created, altered };
}

function inLines(report: SetupReport): string {
  const { topology, created, altered, likeness } = report;
  const lines = [
    ...created.map((thing) => `created ${thing}`),
    ...altered.map((change) => `altered ${change}`),
  ];
  if (lines.length === 0) lines.push('nothing to do');
  const { maxBytes, maxAgeMs, replicas } = likeness;
  const room = maxBytes < 0 ? 'no limit' : formatBytes(maxBytes);
  const age = maxAgeMs === 0 ? 'for ever' : formatDuration(maxAgeMs);
  lines.push(
    `stream ${topology.stream}: subjects ${publishedSubjects(topology.prefix)}, ${topology.partitions} partitions, ` +
      `${inReplicas(replicas)}, kept ${age}, at most ${room}`,
  );
  return `${lines.join('\n')}\n`;
}
