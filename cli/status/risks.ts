// When data is at risk, in short sentences. Pure: the time is an argument. Sentences may hold foreign names: whoever
// prints them makes them printable.

import { formatBytes, formatDuration } from '../../common/text/units.ts';
import type { FileRow, HostRow, PartitionRow, ReceiverRow, Status, StreamRow } from './types.ts';
import { tuning } from '../../common/runtime/tuning.ts';

/** Uncommitted data that would be dropped within this. */
const SOON_S = 3_600;
/** Less than that has been waiting no longer than it always does, unless it is dropped within this too. */
const WAITING_MS = 60_000;
/** A partition that is handed over belongs to nobody for a moment. */
const HANDED_OVER_MS = 3_000;
const LEAST_FREE = 0.05;
/** Names in one sentence. */
const NAMED = 5;

/** All of them, the stream's first. */
export function risksOf({ stream, receivers, hosts }: Status): string[] {
  return [
    ...stream.risks,
    ...receivers.flatMap(({ risks }) => risks),
    ...hosts.flatMap(({ risks }) => risks),
  ];
}

/** @param details what is known of it beside the row; `now` in milliseconds since 1970 */
export function hostRisks(
  row: Omit<HostRow, 'risks'>,
  details: {
    readonly held: boolean;
    readonly errorLagBytes: number;
    readonly unreadable: number;
    /** What its shipper said last of what it cannot tell. */
    readonly lastUntold: string | undefined;
    readonly now: number;
  },
): string[] {
  const { host, state, lastSeen, errors, lostBytes, worst } = row;
  const risks: string[] = [];
  const silentMs = lastSeen === null ? 0 : details.now - Date.parse(lastSeen);
  if (state === 'silent' && silentMs > tuning.silentHostMs)
    risks.push(`host ${host} is silent since ${lastSeen ?? '?'} (${formatDuration(silentMs)})`);
  if (details.held)
    risks.push(`host ${host} holds back: the stream is nearly full of what no receiver has committed`);
  const failing = (errors ?? 0) - details.unreadable;
  if (failing > 0 && details.errorLagBytes > 0) {
    const what = firstError(worst.filter(({ file }) => file !== ''));
    const behind = `${formatBytes(details.errorLagBytes)} behind`;
    risks.push(
      `host ${host}: ${failing === 1 ? 'a file has' : `${failing} files have`} errors and ${behind}${what}`,
    );
  }
  if (details.unreadable > 0) {
    const what = firstError(worst.filter(({ file }) => file === ''));
    const many = details.unreadable === 1 ? 'a file' : `${details.unreadable} files`;
    risks.push(`host ${host}: ${many} cannot be shipped${what}`);
  }
  if (lostBytes !== null && lostBytes > 0) risks.push(`host ${host}: ${lostBytes} bytes are reported lost`);
  if (details.lastUntold !== undefined) {
    const many = row.untold === 1 ? 'once' : `${row.untold ?? 0} times`;
    risks.push(`host ${host} could not tell ${many} what became of a file (${details.lastUntold})`);
  }
  return risks;
}

/** In brackets; empty where none of them has one. */
function firstError(files: readonly FileRow[]): string {
  const first = files.find(({ error }) => error !== null);
  return first === undefined ? '' : ` (${first.path}: ${first.error ?? ''})`;
}

/** @param unlisted bytes that it has recorded as lost, of hosts that are not listed */
export function receiverRisks(
  row: Omit<ReceiverRow, 'risks'>,
  unlisted: readonly { readonly host: string; readonly bytes: number }[],
): string[] {
  const { id, hasRoom, disk, waitingFiles } = row;
  const risks: string[] = [];
  if (hasRoom === false) risks.push(`receiver ${id} has no room: its disk takes nothing`);
  else if (disk !== null && disk.total > 0 && disk.free / disk.total < LEAST_FREE)
    risks.push(
      `receiver ${id} has ${formatBytes(disk.free)} of ${formatBytes(disk.total)} free, less than 5 %`,
    );
  if (waitingFiles !== null && waitingFiles > 0)
    risks.push(
      `receiver ${id}: ${waitingFiles === 1 ? 'a file waits' : `${waitingFiles} files wait`} for bytes that are missing`,
    );
  for (const { host, bytes } of unlisted.slice(0, NAMED))
    risks.push(`receiver ${id}: ${bytes} bytes of host ${host} are reported lost`);
  return risks;
}

/** A partition, and since when its oldest uncommitted message waits. */
export interface Waiting extends Pick<PartitionRow, 'partition' | 'owner'> {
  readonly oldest: { readonly storedAt: number } | undefined;
}

/** @param now milliseconds since 1970 */
export function streamRisks(
  row: Pick<StreamRow, 'name' | 'uncommitted'>,
  partitions: readonly Waiting[],
  receivers: readonly Pick<ReceiverRow, 'id' | 'state' | 'lastSeen'>[],
  now: number,
): string[] {
  const risks: string[] = [];
  const { messages, oldest, dropsInSeconds } = row.uncommitted;
  const waitingMs = oldest === null ? 0 : now - Date.parse(oldest);
  const soonMs = (dropsInSeconds ?? Number.POSITIVE_INFINITY) * 1_000;
  if (soonMs < SOON_S * 1_000 && (waitingMs >= WAITING_MS || soonMs < WAITING_MS))
    risks.push(
      `stream ${row.name} would drop data that is not committed in ${formatDuration(soonMs)} (${messages} messages wait)`,
    );
  const living = new Set(receivers.filter((one) => isLiving(one, now)).map(({ id }) => id));
  const orphans = partitions.filter(
    ({ owner, oldest: first }) =>
      first !== undefined && now - first.storedAt > HANDED_OVER_MS && (owner === null || !living.has(owner)),
  );
  if (orphans.length > 0) {
    const names = orphans.slice(0, NAMED).map(({ partition }) => partition);
    const more = orphans.length > NAMED ? ', …' : '';
    const many =
      orphans.length === 1
        ? `partition ${names[0] ?? ''} has`
        : `${orphans.length} partitions (${names.join(', ')}${more}) have`;
    risks.push(`${many} uncommitted data and no living receiver`);
  }
  return risks;
}

function isLiving({ state, lastSeen }: Pick<ReceiverRow, 'state' | 'lastSeen'>, now: number): boolean {
  if (state !== 'silent') return state === 'answers';
  return lastSeen !== null && now - Date.parse(lastSeen) <= tuning.silentReceiverMs;
}
