// The contest as a table. Pure.

import type { Entry } from './contest.ts';
import { outcomeText } from './outcome.ts';
import type { Source } from './report.ts';
import { median, table, whole } from './table.ts';

/** What the rounds of one contender come to. MB is 10^6 bytes, GiB 2^30. */
export interface Standing {
  readonly contender: string;
  readonly promise: Entry['promise'];
  readonly mbPerSecond: { readonly median: number; readonly least: number; readonly most: number };
  readonly linesPerSecond: number;
  readonly cpuSecondsPerGib: { agent: number; broker: number; collector: number; together: number };
  readonly peakMb: { agent: number; collector: number };
  /** Bytes on the wire for each hop, and on the central disk, as shares of the source. */
  readonly wireShare: number;
  readonly diskShare: number;
  /** Of each round that was not identical, and once for those that were. */
  readonly outcomes: readonly string[];
}

export function standingsOf(source: Source, entries: readonly Entry[]): Standing[] {
  const byContender = Map.groupBy(entries, ({ contender }) => contender);
  return [...byContender].map(([contender, runs]) => {
    const rates = runs.map(({ ms }) => source.bytes / 1e3 / ms);
    const of = (figure: (entry: Entry) => number): number => median(runs.map(figure));
    const perGib = (cpuMs: number): number => cpuMs / 1_000 / (source.bytes / 1024 ** 3);
    const together = ({ cpuMs }: Entry): number => cpuMs.agent + cpuMs.broker + cpuMs.collector;
    return {
      contender,
      promise: runs[0]?.promise ?? 'none',
      mbPerSecond: { median: median(rates), least: Math.min(...rates), most: Math.max(...rates) },
      linesPerSecond: (median(rates) * 1e6) / (source.bytes / source.lines),
      cpuSecondsPerGib: {
        agent: of(({ cpuMs }) => perGib(cpuMs.agent)),
        broker: of(({ cpuMs }) => perGib(cpuMs.broker)),
        collector: of(({ cpuMs }) => perGib(cpuMs.collector)),
        together: of((entry) => perGib(together(entry))),
      },
      peakMb: {
        agent: of(({ peakBytes }) => peakBytes.agent / 1e6),
        collector: of(({ peakBytes }) => peakBytes.collector / 1e6),
      },
      wireShare: of(({ wireBytes, hops }) => (hops === 0 ? 0 : wireBytes / hops / source.bytes)),
      diskShare: of(({ diskBytes }) => diskBytes / source.bytes),
      outcomes: [...new Set(runs.map(({ outcome }) => outcomeText(outcome)))],
    };
  });
}

export function entryText(round: number, { contender, ms, outcome }: Entry, source: Source): string {
  return `round ${round}: ${contender}: ${whole(source.bytes / 1e3 / ms)} MB/s, ${outcomeText(outcome)}\n`;
}

/** The table, and how many times as fast the first of logferry's is as each acknowledged peer. */
export function standingsText(standings: readonly Standing[]): string {
  const share = (value: number): string => (value === 0 ? '' : value.toFixed(2));
  const rows = standings.map((of) => {
    const { cpuSecondsPerGib: cpu, peakMb: peak, mbPerSecond: rate } = of;
    const isOne = cpu.together === 0;
    return [
      of.contender,
      of.promise,
      `${whole(rate.median)} (${whole(rate.least)}–${whole(rate.most)})`,
      whole(of.linesPerSecond),
      isOne ? '' : [cpu.agent, cpu.broker, cpu.collector].map((each) => each.toFixed(1)).join(' + '),
      isOne ? '' : cpu.together.toFixed(1),
      isOne ? '' : `${whole(peak.agent)} / ${whole(peak.collector)}`,
      share(of.wireShare),
      share(of.diskShare),
      of.outcomes.join('; '),
    ];
  });
  const head = [
    'contender',
    'arrival is',
    'MB/s, median (range)',
    'lines/s',
    'CPU s per GiB: agent + broker + collector',
    'together',
    'peak MB agent / collector',
    'wire per hop',
    'disk',
    'result',
  ];
  return `\n${table([head, ...rows])}\n${ratios(standings)}`;
}

function ratios(standings: readonly Standing[]): string {
  const mine = standings.find(({ contender }) => contender === 'logferry');
  if (mine === undefined) return '';
  return standings
    .filter((of) => of !== mine)
    .map(
      ({ contender, mbPerSecond }) =>
        `logferry is ${(mine.mbPerSecond.median / mbPerSecond.median).toFixed(2)} of ${contender}\n`,
    )
    .join('');
}
