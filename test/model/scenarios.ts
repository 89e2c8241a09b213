// What can go wrong together in one run of the model.

import type { Format } from '../../receiver/ledger/names.ts';

export type Fault =
  | 'crashReceiver'
  | 'stopReceiver'
  | 'pauseReceiver'
  | 'fillReceiver'
  | 'crashShipper'
  | 'rollBackStream'
  | 'wipeStream'
  | 'loseMessage'
  | 'dropOldest'
  | 'rollBackBucket'
  | 'wipeBucket'
  | 'rollBackBoth'
  | 'wipeBoth'
  | 'loseLedgerEnd'
  | 'loseSource'
  | 'cutLink'
  | 'rollBackLeaf'
  | 'wipeLeaf'
  | 'loseAtLeaf'
  | 'dropOldestAtLeaf';

export interface Scenario {
  readonly hosts: number;
  /** Log files of each host. */
  readonly files: number;
  readonly lanes: number;
  /** So many of them ship to the stream of a leaf, which is forwarded into the central one. */
  readonly edgeHosts: number;
  readonly partitions: number;
  readonly receivers: number;
  readonly faults: readonly Fault[];
  /** How often a request arrives long after its sender has given up. */
  readonly lateRequests: number;
  readonly lostAnswers: number;
  /** How often a read of the bucket, other than from its leader, is old. */
  readonly oldReads: number;
  /** How a receiver writes: in its first life, its second, and so on again. */
  readonly formats: readonly Format[];
  /** How often a destination is rotated before a write. */
  readonly rotations: number;
  /** How often a commit waits for one more pull. */
  readonly longGroups: number;
  /** How often a source file is rotated when it grows, and how often the next generation stays empty. */
  readonly sourceRotations: number;
  readonly emptyGenerations: number;
  /** How often a rotated generation is written to again when the file grows. */
  readonly lateWrites: number;
  /** A shipper saves its positions once within so many ticks. */
  readonly savesWithin: number;
  /** How often a crash leaves nothing of what was saved, and how often otherwise something older. */
  readonly lostStates: number;
  readonly olderStates: number;
  /** Where the first generation's shipping begins, at most. */
  readonly begin: number;
  /** Two directories may list the same bytes: the bucket was rolled back or lost. The joins drop them. */
  readonly mayOverlap: boolean;
}

const basic: Scenario = {
  hosts: 2,
  files: 1,
  lanes: 2,
  edgeHosts: 0,
  partitions: 1,
  receivers: 2,
  faults: ['crashReceiver', 'pauseReceiver', 'crashShipper'],
  lateRequests: 0,
  lostAnswers: 0.03,
  oldReads: 0,
  formats: ['plain'],
  rotations: 0,
  longGroups: 0,
  sourceRotations: 0.06,
  emptyGenerations: 0,
  lateWrites: 0,
  savesWithin: 60,
  lostStates: 0.4,
  olderStates: 0.2,
  begin: 0,
  mayOverlap: false,
};

const crashes: readonly Fault[] = ['crashReceiver', 'crashShipper'];
const stream: readonly Fault[] = ['rollBackStream', 'wipeStream', 'loseMessage', 'dropOldest'];
const bucket: readonly Fault[] = ['rollBackBucket', 'wipeBucket'];
const both: readonly Fault[] = ['rollBackBoth', 'wipeBoth'];
const leaf: readonly Fault[] = ['cutLink', 'rollBackLeaf', 'wipeLeaf', 'loseAtLeaf', 'dropOldestAtLeaf'];
const atEdge = { hosts: 3, edgeHosts: 2 };
const saving = { files: 2, savesWithin: 250, lostStates: 0.15, olderStates: 0.4 };
const late = { lateRequests: 0.03, sourceRotations: 0.25, emptyGenerations: 0.1, lateWrites: 0.2 };
const large = { hosts: 4, partitions: 2, receivers: 3 };

const all: Scenario = {
  ...basic,
  ...large,
  lateRequests: 0.03,
  oldReads: 0.15,
  rotations: 0.05,
  longGroups: 0.4,
  faults: [...basic.faults, 'crashReceiver', 'pauseReceiver', 'fillReceiver', ...stream, ...bucket, ...both],
  mayOverlap: true,
};

export const SCENARIOS = {
  basic,
  late: { ...basic, lateRequests: 0.03 },
  old: { ...basic, oldReads: 0.15 },
  rotate: { ...basic, rotations: 0.1 },
  group: { ...basic, longGroups: 0.5, rotations: 0.05 },
  handOver: { ...basic, ...large, faults: [...basic.faults, 'fillReceiver', 'fillReceiver'] },
  pauses: {
    ...basic,
    hosts: 1,
    receivers: 3,
    rotations: 0.1,
    longGroups: 0.6,
    sourceRotations: 0.4,
    faults: ['pauseReceiver', 'pauseReceiver', 'crashReceiver'],
  },
  stream: { ...basic, faults: [...basic.faults, ...stream] },
  streamAndCrash: { ...basic, faults: [...crashes, 'crashShipper', ...stream] },
  lostMessage: { ...basic, faults: [...crashes, 'loseMessage'] },
  bucket: { ...basic, faults: [...basic.faults, ...bucket], mayOverlap: true },
  bucketRollBack: { ...basic, faults: [...crashes, 'rollBackBucket'], mayOverlap: true },
  both: {
    ...basic,
    faults: [...basic.faults, ...both, ...bucket, 'rollBackStream', 'wipeStream'],
    mayOverlap: true,
  },
  generations: {
    ...basic,
    sourceRotations: 0.3,
    emptyGenerations: 0.2,
    faults: [...basic.faults, ...stream, ...bucket],
    mayOverlap: true,
  },
  outage: {
    ...basic,
    hosts: 1,
    receivers: 4,
    sourceRotations: 0.6,
    longGroups: 0.1,
    faults: ['crashReceiver', 'stopReceiver', 'pauseReceiver', 'pauseReceiver', 'fillReceiver', 'wipeBucket'],
    mayOverlap: true,
  },
  begin: {
    ...basic,
    begin: 40,
    sourceRotations: 0.2,
    emptyGenerations: 0.2,
    faults: [...crashes, ...stream, 'rollBackBucket'],
    mayOverlap: true,
  },
  gone: {
    ...basic,
    sourceRotations: 0.2,
    faults: [...crashes, ...stream, 'loseSource', 'loseSource'],
  },
  ledger: {
    ...basic,
    receivers: 1,
    rotations: 0.05,
    sourceRotations: 0.2,
    faults: [...crashes, 'loseLedgerEnd', 'loseLedgerEnd'],
  },
  ledgerFrames: {
    ...basic,
    receivers: 1,
    formats: ['zstd', 'plain'],
    rotations: 0.05,
    sourceRotations: 0.2,
    faults: [...crashes, 'loseLedgerEnd', 'loseLedgerEnd'],
  },
  frames: { ...basic, ...large, formats: ['zstd'], longGroups: 0.4, rotations: 0.05 },
  framesAndPauses: {
    ...basic,
    formats: ['zstd'],
    hosts: 1,
    receivers: 3,
    rotations: 0.1,
    longGroups: 0.6,
    sourceRotations: 0.4,
    faults: ['pauseReceiver', 'pauseReceiver', 'crashReceiver'],
  },
  framesAndStream: { ...basic, formats: ['zstd'], longGroups: 0.4, faults: [...basic.faults, ...stream] },
  framesOrNot: {
    ...basic,
    ...large,
    formats: ['zstd', 'plain', 'plain', 'zstd'],
    rotations: 0.05,
    longGroups: 0.4,
    faults: [...basic.faults, 'fillReceiver', ...stream],
  },
  edge: { ...basic, ...atEdge, faults: [...basic.faults, 'cutLink', 'cutLink'] },
  edgeLeaf: { ...basic, ...atEdge, faults: [...basic.faults, ...leaf] },
  edgeStream: { ...basic, ...atEdge, faults: [...basic.faults, 'cutLink', ...stream] },
  edgeOld: {
    ...basic,
    ...atEdge,
    lateRequests: 0.03,
    oldReads: 0.15,
    faults: [...crashes, 'cutLink', 'cutLink', 'wipeLeaf', 'loseMessage'],
  },
  edgeAll: {
    ...all,
    hosts: 4,
    edgeHosts: 3,
    sourceRotations: 0.2,
    faults: [...all.faults, ...leaf, 'cutLink'],
  },
  bundles: {
    ...all,
    hosts: 2,
    partitions: 1,
    receivers: 2,
    files: 4,
    lanes: 3,
    sourceRotations: 0.1,
    emptyGenerations: 0.05,
  },
  bundlesAtEdge: {
    ...basic,
    hosts: 2,
    edgeHosts: 1,
    files: 3,
    lanes: 3,
    lateRequests: 0.03,
    sourceRotations: 0.1,
    faults: [...basic.faults, ...stream, ...leaf, 'cutLink'],
  },
  savedPositions: {
    ...basic,
    ...saving,
    lateRequests: 0.03,
    sourceRotations: 0.1,
    faults: ['crashShipper', 'crashShipper', 'crashShipper', 'rollBackStream', 'rollBackStream', ...stream],
  },
  savedPositionsAtEdge: {
    ...basic,
    ...atEdge,
    ...saving,
    lateRequests: 0.03,
    sourceRotations: 0.1,
    faults: ['crashShipper', 'crashShipper', 'crashShipper', 'rollBackLeaf', 'rollBackStream', ...leaf],
  },
  latewriter: { ...basic, ...late, faults: [...basic.faults, 'crashShipper'] },
  latewriterAndAll: { ...all, ...late, files: 2 },
  latewriterAtEdge: { ...basic, ...atEdge, ...late, faults: [...basic.faults, ...leaf, ...stream] },
  all,
  allFrames: { ...all, formats: ['zstd', 'zstd', 'plain'] },
  allGone: { ...all, faults: [...all.faults, 'loseSource'], sourceRotations: 0.2, emptyGenerations: 0.1 },
} satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;

export function isScenario(name: string): name is ScenarioName {
  return Object.hasOwn(SCENARIOS, name);
}
