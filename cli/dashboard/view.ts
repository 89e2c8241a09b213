// What of a status is sent to the page: the worst hosts first and not more than a page can show, long texts cut. Pure.

import type { FileRow, HostRow, State, Status } from '../status/types.ts';

/** A status as the page gets it. */
export interface View extends Status {
  /** When it was looked at, milliseconds since 1970. */
  readonly at: number;
  /** How many hosts there are by state; not all of them are among `hosts`. */
  readonly hostsBy: Readonly<Record<State, number>>;
  /** Over all hosts that answer. */
  readonly totals: { readonly lagBytes: number; readonly bytesPerSecond: number };
  /** Risks that are not among those of the rows here. */
  readonly moreRisks: number;
}

const MOST_HOSTS = 500;
const MOST_FILES = 3;
const MOST_RISKS = 5;
const MOST_TEXT = 500;

/** Seconds behind from which on a host counts as worse than those before. */
const LAG_STEPS = [5, 15, 60, 300, 3_600, 86_400];

export function viewOf(status: Status, at: number): View {
  const hostsBy = { answers: 0, silent: 0, stopped: 0 };
  let [lagBytes, bytesPerSecond] = [0, 0];
  for (const host of status.hosts) {
    hostsBy[host.state] += 1;
    lagBytes += host.lagBytes ?? 0;
    bytesPerSecond += host.bytesPerSecond ?? 0;
  }
  const ordered = status.hosts
    .map((host) => ({ host, badness: badnessOf(host) }))
    .toSorted((a, b) => b.badness - a.badness || (a.host.host < b.host.host ? -1 : 1));
  const shown = ordered.slice(0, MOST_HOSTS).map(({ host }) => hostView(host));
  const receivers = status.receivers.map((one) => ({ ...one, risks: cutRisks(one.risks) }));
  const stream = { ...status.stream, risks: cutRisks(status.stream.risks) };
  const all = risksIn(status.hosts) + risksIn(status.receivers) + status.stream.risks.length;
  const moreRisks = all - risksIn(shown) - risksIn(receivers) - stream.risks.length;
  return {
    ...{ at, hosts: shown, receivers, stream, hostsBy },
    ...{ totals: { lagBytes, bytesPerSecond }, moreRisks },
  };
}

/**
 * Higher is worse. In steps, so that hosts that all are well keep their places: what is lost or at risk, then who is
 * silent, then errors, then how far behind.
 */
export function badnessOf(host: HostRow): number {
  const { risks, state, errors, lagSeconds } = host;
  const lag = LAG_STEPS.filter((step) => (lagSeconds ?? 0) >= step).length;
  return (
    (risks.length > 0 ? 1_000 : 0) +
    (state === 'silent' ? 500 : 0) +
    ((errors ?? 0) > 0 ? 100 : 0) +
    lag * 10 -
    (state === 'stopped' ? 5 : 0)
  );
}

function hostView(host: HostRow): HostRow {
  const worst = host.worst.filter(({ error, lagBytes }) => error !== null || lagBytes > 0);
  return { ...host, worst: worst.slice(0, MOST_FILES).map(fileView), risks: cutRisks(host.risks) };
}

function fileView(file: FileRow): FileRow {
  return { ...file, path: cut(file.path), error: file.error === null ? null : cut(file.error) };
}

function cutRisks(risks: readonly string[]): string[] {
  return risks.slice(0, MOST_RISKS).map(cut);
}

function cut(text: string): string {
  return text.length <= MOST_TEXT ? text : `${text.slice(0, MOST_TEXT)}…`;
}

function risksIn(rows: readonly { readonly risks: readonly string[] }[]): number {
  return rows.reduce((sum, { risks }) => sum + risks.length, 0);
}
