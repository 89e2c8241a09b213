// The status as a person reads it: what is at risk first, the worst on top, cut to the terminal. Pure.

import { styleText } from 'node:util';

import { formatBytes, formatDuration } from '../../common/text/units.ts';
import { printable } from '../terminal/printable.ts';
import { risksOf } from './risks.ts';
import type { HostRow, ReceiverRow, State, Status, StreamRow } from './types.ts';
import { type Column, shortened, table } from '../terminal/table.ts';

export interface ScreenOptions {
  /** Columns and lines; infinite where there is no terminal. */
  readonly width: number;
  readonly height: number;
  readonly isColoured: boolean;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** A table of a few lines is worth showing. */
const LEAST_ROWS = 2;
/** Narrower, there is no room for the time beside how long ago it was. */
const WIDE = 110;
const SECOND_MS = 1_000;

const RECEIVER_COLUMNS: readonly Column[] = [
  { heading: 'RECEIVER', isLong: true },
  { heading: 'MACHINE', isLong: true },
  { heading: 'PARTITIONS', isNumber: true },
  { heading: 'WAITING', isNumber: true },
  { heading: 'WRITES', isNumber: true },
  { heading: 'DISK FREE', isNumber: true },
  { heading: 'SEEN' },
];

const HOST_COLUMNS: readonly Column[] = [
  { heading: 'HOST', isLong: true },
  { heading: 'FILES', isNumber: true },
  { heading: 'BEHIND', isNumber: true },
  { heading: 'FOR', isNumber: true },
  { heading: 'COMMITS', isNumber: true },
  { heading: 'ERRORS', isNumber: true },
  { heading: 'LOST', isNumber: true },
  { heading: 'SEEN' },
];

/** The lines of the screen, without line ends. */
export function screenOf(status: Status, options: ScreenOptions): string[] {
  const { width, height, isColoured, now } = options;
  const paint = (style: 'red' | 'green' | 'bold', text: string): string =>
    isColoured ? styleText(style, text, { validateStream: false }) : text;
  const risks = risksOf(status).map(printable);
  const mostRisks = Math.max(LEAST_ROWS, Math.floor(height / 3));
  const lines: string[] =
    risks.length === 0
      ? [paint('green', 'no data is at risk')]
      : [
          `${count(risks.length, 'risk')}: data may be lost`,
          ...cut(risks, mostRisks, (more) => `… and ${more} more`),
        ].map((line, index) => paint('red', shortened(index === 0 ? line : `  ${line}`, width)));
  lines.push(...streamLines(status.stream, now).map((line) => shortened(line, width)), '');
  const { receivers, hosts } = status;
  const room = height - lines.length;
  lines.push(paint('bold', shortened(heading('receiver', receivers), width)));
  if (receivers.length > 0) {
    const most = Math.max(LEAST_ROWS, Math.floor(room / 3));
    const shown = cutRows(worstReceivers(receivers), most);
    lines.push(
      ...table(
        RECEIVER_COLUMNS,
        shown.rows.map((row) => receiverCells(row, now, width)),
        width,
      ),
    );
    if (shown.rest.length > 0)
      lines.push(shortened(`… and ${count(shown.rest.length, 'more receiver')}`, width));
  }
  lines.push('', paint('bold', shortened(heading('host', hosts), width)));
  if (hosts.length > 0) {
    const most = Math.max(LEAST_ROWS, height - lines.length - 1);
    const shown = cutRows(worstHosts(hosts), most);
    lines.push(
      ...table(
        HOST_COLUMNS,
        shown.rows.map((row) => hostCells(row, now, width)),
        width,
      ),
    );
    if (shown.rest.length > 0) lines.push(shortened(restOfHosts(shown.rest), width));
  }
  return lines;
}

/** With a risk first, then the silent, then those furthest behind; the stopped at the end. */
export function worstHosts(hosts: readonly HostRow[]): HostRow[] {
  return hosts.toSorted(
    (a, b) =>
      Number(b.risks.length > 0) - Number(a.risks.length > 0) ||
      STATE_ORDER[a.state] - STATE_ORDER[b.state] ||
      (b.lagBytes ?? 0) - (a.lagBytes ?? 0) ||
      (b.lagSeconds ?? 0) - (a.lagSeconds ?? 0),
  );
}

const STATE_ORDER: Readonly<Record<State, number>> = { silent: 0, answers: 1, stopped: 2 };

function worstReceivers(receivers: readonly ReceiverRow[]): ReceiverRow[] {
  return receivers.toSorted(
    (a, b) =>
      b.risks.length - a.risks.length ||
      STATE_ORDER[a.state] - STATE_ORDER[b.state] ||
      (b.uncommittedMessages ?? 0) - (a.uncommittedMessages ?? 0),
  );
}

/** One line of those that do not fit says how many they are. */
function cutRows<T>(rows: readonly T[], most: number): { rows: readonly T[]; rest: readonly T[] } {
  if (rows.length <= most) return { rows, rest: [] };
  const shown = Math.max(1, most - 1);
  return { rows: rows.slice(0, shown), rest: rows.slice(shown) };
}

function cut(lines: readonly string[], most: number, rest: (more: string) => string): string[] {
  const shown = cutRows(lines, most);
  return shown.rest.length === 0 ? [...lines] : [...shown.rows, rest(number(shown.rest.length))];
}

function heading(what: string, rows: readonly { readonly state: State }[]): string {
  if (rows.length === 0) return `no ${what} is registered`;
  const states = (['answers', 'silent', 'stopped'] as const)
    .map((state) => ({ state, many: rows.filter((row) => row.state === state).length }))
    .filter(({ many }) => many > 0)
    .map(
      ({ state, many }) =>
        `${number(many)} ${state === 'answers' ? (many === 1 ? 'answers' : 'answer') : state}`,
    );
  return `${count(rows.length, what)}: ${states.join(', ')}`;
}

function restOfHosts(rest: readonly HostRow[]): string {
  const answering = rest.filter(({ state }) => state === 'answers');
  const silent = rest.filter(({ state }) => state === 'silent').length;
  const stopped = rest.length - answering.length - silent;
  const lag = answering.reduce((most, { lagSeconds }) => Math.max(most, lagSeconds ?? 0), 0);
  const parts = [`… and ${count(rest.length, 'more host')}`];
  if (silent > 0) parts.push(`${number(silent)} silent`);
  if (stopped > 0) parts.push(`${number(stopped)} stopped`);
  if (answering.length > 0)
    parts.push(
      `${answering.length === rest.length ? 'all' : 'the others'} ${lag === 0 ? 'up to date' : `within ${seconds(lag)}`}`,
    );
  return parts.join(', ');
}

function streamLines(stream: StreamRow, now: number): string[] {
  const { name, bytes, maxBytes, messages, oldest, bytesPerSecond, uncommitted } = stream;
  const room =
    maxBytes === null ? '' : ` of ${formatBytes(maxBytes)} (${Math.round((bytes / maxBytes) * 100)} %)`;
  const limit = stream.maxAgeSeconds === null ? '' : `, kept ${seconds(stream.maxAgeSeconds)}`;
  const parts = [
    `stream ${printable(name)}: ${formatBytes(bytes)}${room}${limit}, ${count(messages, 'message')}`,
  ];
  if (oldest !== null) parts.push(`oldest ${ago(oldest, now)}`);
  if (bytesPerSecond !== null) parts.push(`${rate(bytesPerSecond)} come in`);
  return [parts.join(', '), `uncommitted: ${waiting(uncommitted, now)}`];
}

function waiting({ messages, oldest, dropsInSeconds }: StreamRow['uncommitted'], now: number): string {
  if (messages === 0 || oldest === null) return 'nothing';
  const drops = dropsInSeconds === null ? '' : `, dropped in ${seconds(dropsInSeconds)}`;
  return `${count(messages, 'message')}, oldest ${ago(oldest, now)}${drops}`;
}

function receiverCells(row: ReceiverRow, now: number, width: number): string[] {
  const { id, machine, partitions, uncommittedMessages, bytesPerSecond, disk } = row;
  const free =
    disk === null || disk.total === 0 ? '-' : `${formatBytes(disk.free)} (${percent(disk.free, disk.total)})`;
  return [
    printable(id),
    printable(machine ?? '-'),
    number(partitions.length),
    uncommittedMessages === null ? '-' : number(uncommittedMessages),
    bytesPerSecond === null ? '-' : rate(bytesPerSecond),
    row.hasRoom === false ? `no room: ${free}` : free,
    seen(row, now, width),
  ];
}

function hostCells(row: HostRow, now: number, width: number): string[] {
  const { host, files, lagBytes, lagSeconds, bytesPerSecond, errors, lostBytes } = row;
  const behind = lagBytes === null || lagBytes === 0;
  return [
    printable(host),
    files === null ? '-' : number(files),
    lagBytes === null ? '-' : formatBytes(lagBytes),
    behind || lagSeconds === null ? '-' : seconds(lagSeconds),
    bytesPerSecond === null ? '-' : rate(bytesPerSecond),
    errors === null ? '-' : number(errors),
    lostBytes === null ? '-' : formatBytes(lostBytes),
    seen(row, now, width),
  ];
}

function seen({ state, lastSeen }: Pick<HostRow, 'state' | 'lastSeen'>, now: number, width: number): string {
  if (state === 'answers') return 'now';
  if (width < WIDE && lastSeen !== null) return `${state} ${ago(lastSeen, now)}`;
  const what = state === 'silent' ? 'silent since' : 'stopped';
  if (lastSeen === null) return what;
  return `${what} ${lastSeen.slice(0, 19)}Z (${ago(lastSeen, now)})`;
}

function ago(iso: string, now: number): string {
  return formatDuration(Math.max(0, now - Date.parse(iso)));
}

function seconds(value: number): string {
  return formatDuration(value * SECOND_MS);
}

function rate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

function percent(part: number, whole: number): string {
  return `${Math.round((part / whole) * 100)} %`;
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}

function count(value: number, what: string): string {
  return `${number(value)} ${what}${value === 1 ? '' : 's'}`;
}
