// The modes that run other shippers where they are found: `compare`, `quick`, and `many-files`.

import { contest } from './contest.ts';
import { entryText, standingsOf, standingsText } from './contest-report.ts';
import { manyFiles, WORKLOADS } from './many-files.ts';
import { manyFilesText } from './many-files-report.ts';
import { systemsOf } from './many-files-systems.ts';
import { findPeers, missingText, PEERS } from './peers.ts';
import { sourceText } from './report.ts';
import { type Setting, today } from './setting.ts';
import { makeSource } from './source.ts';

/** Contenders that take no longer than that. */
const QUICK = ['cp, then sync', 'logferry', 'logferry --format zstd', 'rsyslog RELP'];

/** What CI prints: the ratios, in less than a minute, of which nothing fails. */
export async function quickRun(setting: Setting): Promise<object> {
  return await compareRuns({ ...setting, options: { ...setting.options, runs: 1 } }, QUICK);
}

export async function compareRuns(
  { options, machine: on, scratch, worldOf, say, signal }: Setting,
  only?: readonly string[],
): Promise<object> {
  const { source, empty } = await makeSource(options.lines, options.bytes, 1, signal, () => {});
  say(sourceText(source));
  const peers = findPeers(process.env, options.peers);
  say(missingText(peers, PEERS));
  const entries = await contest({
    source,
    empty,
    peers,
    only,
    rounds: options.runs,
    scratch,
    worldOf,
    signal,
    onEntry: (entry, round) => {
      say(entryText(round, entry, source));
    },
  });
  const standings = standingsOf(source, entries);
  say(standingsText(standings));
  return { date: today(), machine: on, source, entries, standings };
}

export async function manyFilesRun({ options, machine: on, worldOf, say }: Setting): Promise<object> {
  const able = PEERS.filter(({ many }) => many !== undefined);
  const peers = findPeers(process.env, options.peers).filter(({ many }) => many !== undefined);
  say(missingText(peers, able));
  const { only: workloads = WORKLOADS, seconds, keep } = options;
  const results = await manyFiles(
    worldOf(1),
    { workloads, systems: systemsOf(peers), seconds, keep },
    (of) => {
      say(manyFilesText(of));
    },
  );
  say('central files: identical\n');
  return { date: today(), machine: on, seconds, results };
}
