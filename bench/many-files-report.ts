// The figures of `many-files` as text. Pure.

import type { ManyFiles } from './many-files.ts';
import { table, whole } from './table.ts';

/** One workload: a row for each system, and what only a system with nats-server has. */
export function manyFilesText(results: readonly ManyFiles[]): string {
  const [first] = results;
  if (first === undefined) return '';
  const title = `${whole(first.files)} files × ${whole(first.linesPerSecond)} lines/s`;
  const head = [title, 'CPU', 'of which', 'p50 ms', 'p99 ms', 'longest', 'resident MB', 'wire per hop'];
  return `\n${table([head, ...results.map(rowOf)])}${results.map(storedText).join('')}${meanwhileText(results)}`;
}

function rowOf({ system, roles, latency, wireShare }: ManyFiles): string[] {
  return [
    system,
    percent(roles.reduce((sum, { cpu }) => sum + cpu, 0)),
    roles.map(({ role, cpu }) => `${role} ${percent(cpu)}`).join(' + '),
    latency.p50Ms.toFixed(1),
    latency.p99Ms.toFixed(1),
    latency.maxMs.toFixed(1),
    roles.map(({ residentBytes }) => whole(residentBytes / 1e6)).join(' + '),
    wireShare.toFixed(2),
  ];
}

function storedText({ system, stored }: ManyFiles): string {
  if (stored === undefined) return '';
  const { stream, buckets, sourceBytes } = stored;
  const share = (stream.bytes / sourceBytes).toFixed(3);
  const parts = [
    `${system}: the stream keeps ${share} of ${whole(sourceBytes / 1e3)} kB in ${whole(stream.messages)} messages`,
    `buckets: ${whole(buckets.sets)} sets, ${whole(buckets.bytes / 1e3)} kB at the end`,
  ];
  return `${parts.join('; ')}\n`;
}

/** What tells whether the figures can be believed. */
function meanwhileText(results: readonly ManyFiles[]): string {
  const of = (figure: (one: ManyFiles) => string): string => results.map(figure).join(', ');
  return (
    `meanwhile the writer appended ${of((one) => whole(one.reachedPerSecond))} lines/s with ` +
    `${of((one) => percent(one.writerCpu))}; everything else but the bench used ` +
    `${of((one) => one.othersCores.toFixed(2))} cores\n`
  );
}

/** Of one core. */
function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
