// The figures of `idle` and `rotations` as text. Pure.

import type { Idle } from './idle.ts';
import type { Rotations } from './rotations.ts';
import { table, whole } from './table.ts';

/** Targets, for 2,000 files. */
const FILES = 2_000;
const MOST_CPU = 0.01;
const MOST_MB = 120;

export function idleText(of: Idle): string {
  const judged = (isGood: boolean, target: string): string =>
    of.files === FILES ? ` (under ${target}: ${isGood ? 'pass' : 'miss'})` : '';
  const percent = (share: number): string => `${(share * 100).toFixed(2)} % of a core`;
  const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
  const mb = (bytes: number): string => `${whole(bytes / 1e6)} MB`;
  const { cpu, first, again, residentBytes } = of;
  return `\n${table([
    [`${whole(of.files)} files that nobody writes to`, ''],
    ['shipper, idle', `${percent(cpu.shipper)}${judged(cpu.shipper < MOST_CPU, '1 %')}`],
    ['resident', `${mb(residentBytes)}${judged(residentBytes / 1e6 < MOST_MB, `${MOST_MB} MB`)}`],
    ['peak, first start and start with a state', of.peakBytes.map(mb).join(', ')],
    ['descriptors', whole(of.descriptors)],
    ['receiver, idle', percent(cpu.receiver)],
    ['nats-server, idle', percent(cpu.server)],
    ['first start until all has arrived', `${seconds(first.ms)}, CPU ${seconds(first.cpuMs)}`],
    [
      'start with a state until a line of the last file has',
      `${seconds(again.ms)}, CPU ${seconds(again.cpuMs)}`,
    ],
  ])}\nmeanwhile everything else used ${of.othersCores.toFixed(2)} cores; central files: identical\n`;
}

export function rotationsText(of: Rotations): string {
  const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
  const gib = of.bytes / 1024 ** 3;
  return `\n${table([
    [`rotations in ${of.seconds} s`, whole(of.rotations)],
    ['generations', whole(of.rotations + 1)],
    ['written', `${whole(of.bytes / 1e6)} MB, ${whole(of.bytes / 1e3 / of.writeMs)} MB/s`],
    ['from the last byte until all has arrived', seconds(of.restMs)],
    ['arrived', `${whole(of.bytes / 1e3 / (of.writeMs + of.restMs))} MB/s`],
    [
      'shipper',
      `${(of.shipper.cpuMs / 1e3 / gib).toFixed(2)} s per GiB, peak ${whole(of.shipper.peakBytes / 1e6)} MB`,
    ],
    [
      'receiver',
      `${(of.receiver.cpuMs / 1e3 / gib).toFixed(2)} s per GiB, peak ${whole(of.receiver.peakBytes / 1e6)} MB`,
    ],
  ])}\nmeanwhile everything else, the writer included, used ${of.othersCores.toFixed(2)} cores; central files: identical\n`;
}
