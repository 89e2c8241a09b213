// The figures of `scale` and `many` as text. Pure.

import type { Many } from './many.ts';
import type { HandOvers, TakeOvers } from './scale-changes.ts';
import type { ScaleDrain } from './scale-drain.ts';
import { quantile, table, whole } from './table.ts';

/** A dead receiver is replaced within its lease and this much. */
const BEYOND_LEASE_MS = 1_000;
const MOST_HAND_OVER_MS = 500;

export function scaleDrainText(hosts: number, of: ScaleDrain): string {
  const gib = of.bytes / 1024 ** 3;
  const { steady } = of;
  return `\n${table([
    [`${hosts} hosts, receivers: ${of.receivers}`, ''],
    [`drain of ${whole(of.bytes / 1e6)} MB`, `${whole(of.bytes / 1e3 / of.ms)} MB/s`],
    ['CPU of the receivers', `${(of.receiversCpuMs / 1_000 / gib).toFixed(2)} s per GiB`],
    ['CPU of nats-server', `${(of.serverCpuMs / 1_000 / gib).toFixed(2)} s per GiB`],
    ['peak memory of each', `${of.peakBytes.map((bytes) => whole(bytes / 1e6)).join(', ')} MB`],
    ['steady load', `${whole(steady.messages)} chunks/s`],
    ['commits', `${whole(steady.commits)}/s`],
    ['sets of the bucket', `${whole(steady.sets)}/s`],
    ['bytes to the bucket', `${whole(steady.bucketBytes / 1e3)} kB/s`],
    ['CPU of the receivers', percent(steady.receiversCpu)],
    ['CPU of nats-server', percent(steady.serverCpu)],
  ])}`;
}

/** A share of one core. */
function percent(share: number): string {
  return `${(share * 100).toFixed(1)} % of a core`;
}

export function takeOverText({ leaseMs, kills, ms }: TakeOvers): string {
  const most = leaseMs + BEYOND_LEASE_MS;
  return `\n${table([
    [`killed, lease ${leaseMs / 1_000} s`, ''],
    ['kills, partitions', `${kills}, ${ms.length}`],
    ['until another commits, p50', seconds(quantile(ms, 0.5))],
    ['p99', `${seconds(quantile(ms, 0.99))} ${verdict(quantile(ms, 0.99), most)}`],
    ['longest', seconds(quantile(ms, 1))],
  ])}`;
}

export function handOverText({ quiet, started, stopped, stayed }: HandOvers): string {
  const row = (title: string, ms: readonly number[], most?: number): string[] => {
    const p99 = quantile(ms, 0.99);
    const judged = most === undefined ? '' : ` ${verdict(p99, most)}`;
    return [
      title,
      whole(ms.length),
      `${whole(quantile(ms, 0.5))} ms`,
      `${whole(p99)} ms${judged}`,
      `${whole(quantile(ms, 1))} ms`,
    ];
  };
  return `\n${table([
    ['hand-over: time between commits', 'partitions', 'p50', 'p99', 'longest'],
    row('moved to one that starts: old to new term', started.pauses, MOST_HAND_OVER_MS),
    row('longest of any two commits then', started.longest),
    row('moved from one that stops: old to new term', stopped.pauses, MOST_HAND_OVER_MS),
    row('longest of any two commits then', stopped.longest),
    row('longest of a partition that stayed', stayed),
    row('longest while nothing changes', quiet),
  ])}`;
}

function verdict(ms: number, most: number): string {
  return `(under ${whole(most)} ms: ${ms < most ? 'pass' : 'miss'})`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`;
}

export function manyText(of: Many): string {
  const { record, restart } = of;
  const rounds = table([
    [
      `${whole(of.hosts)} hosts, ${whole(of.files)} files`,
      'seconds',
      'of it publishing',
      'CPU s receiver',
      'CPU s server',
      'commits',
      'kB per commit',
    ],
    ...of.rounds.map((round, index) => [
      `round ${index + 1}`,
      (round.ms / 1_000).toFixed(1),
      (round.publishMs / 1_000).toFixed(1),
      (round.receiverCpuMs / 1_000).toFixed(1),
      (round.serverCpuMs / 1_000).toFixed(1),
      whole(round.commits),
      (round.bucketBytes / round.commits / 1e3).toFixed(1),
    ]),
  ]);
  const state = table([
    ['most descriptors', whole(of.descriptors)],
    ['peak memory', `${whole(of.peakBytes / 1e6)} MB`],
    ['largest record', `${(record.largestRecord / 1e3).toFixed(1)} kB`],
    ['largest archive', `${(record.largestArchive / 1e3).toFixed(1)} kB`],
    ['all records', `${(record.records / 1e3).toFixed(1)} kB`],
    ['their archives', `${(record.archives / 1e3).toFixed(1)} kB`],
    ['stop', seconds(restart.stopMs)],
    ['start until all is taken', seconds(restart.takeMs)],
    ['peak memory after the start', `${whole(restart.peakBytes / 1e6)} MB`],
  ]);
  return `\n${rounds}\n${state}`;
}
