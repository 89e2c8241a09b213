// `npm run bench -- many`: thousands of destinations behind one receiver that may have few descriptors open, from many
// hosts and from a single one, whose partition has all of them.

import { rm } from 'node:fs/promises';

import { partitionOfKey } from '../common/wire/topology.ts';
import { Fleet, partOf, PARTITIONS, PREFIX } from './fleet.ts';
import { descriptorsOf } from './process-usage.ts';
import { SimulatedHosts } from './simulated-hosts.ts';
import { showStatus } from './status-line.ts';
import { verifySimulated } from './verify-simulated.ts';
import type { WorldOptions } from './world.ts';

/** One round: a small chunk of each file. */
export interface Round {
  /** Until the stream has all of it. */
  readonly publishMs: number;
  /** From the first publish until all is committed. */
  readonly ms: number;
  readonly receiverCpuMs: number;
  readonly serverCpuMs: number;
  readonly commits: number;
  readonly bucketBytes: number;
}

export interface Many {
  readonly hosts: number;
  readonly files: number;
  readonly rounds: readonly Round[];
  /** The most that the receiver had open. */
  readonly descriptors: number;
  readonly peakBytes: number;
  readonly record: RecordSizes;
  readonly restart: Restart;
}

export interface RecordSizes {
  /** The largest values that were set. */
  readonly largestRecord: number;
  readonly largestArchive: number;
  /** Of all partitions, with and without their archives. */
  readonly records: number;
  readonly archives: number;
}

export interface Restart {
  readonly stopMs: number;
  /** From the start of the process until it owns all its partitions. */
  readonly takeMs: number;
  /** VmHWM of the process that was started. */
  readonly peakBytes: number;
}

export interface ManyOptions {
  readonly hosts: number;
  /** Of the one host that has them all. */
  readonly files: number;
  readonly rounds: number;
  readonly keep: boolean;
}

const FILES_EACH = 2;
const CHUNK = 512;
const MOST_DESCRIPTORS = 1_024;
const RECEIVER = 'r1';
const ROUND_TIMEOUT_MS = 900_000;
const RESTART_TIMEOUT_MS = 300_000;
const SAMPLE_MS = 100;

/** Throws `failed` when a byte differs, or something does not happen in time. */
export async function many(
  world: WorldOptions,
  options: ManyOptions,
  told: (many: Many) => void,
): Promise<readonly Many[]> {
  const all: Many[] = [];
  for (const [hosts, each] of [
    [options.hosts, FILES_EACH],
    [1, options.files],
  ] as const) {
    const part = partOf(world, `hosts-${hosts}`);
    const result = await manyFiles(part, hosts, each, options.rounds);
    if (!options.keep) await rm(part.dir, { recursive: true });
    told(result);
    all.push(result);
  }
  return all;
}

async function manyFiles(
  world: WorldOptions,
  hosts: number,
  filesEach: number,
  rounds: number,
): Promise<Many> {
  const fleet = await Fleet.start({ ...world, mostDescriptors: MOST_DESCRIPTORS });
  try {
    const { pid } = fleet.receive(RECEIVER);
    let descriptors = 0;
    const sampler = setInterval(() => {
      descriptors = Math.max(descriptors, descriptorsOf(pid));
    }, SAMPLE_MS);
    try {
      await fleet.settle();
      const simulated = new SimulatedHosts(fleet.link, PREFIX, hosts, filesEach, CHUNK);
      const what = `${hosts} x ${filesEach} files`;
      const done: Round[] = [];
      for (let round = 1; round <= rounds; round += 1) {
        showStatus(`${what}: round ${round} of ${rounds}`);
        done.push(await oneRound(fleet, simulated));
      }
      const { peakBytes } = fleet.usage(RECEIVER);
      const record = await recordSizes(fleet);
      showStatus(`${what}: restarting the receiver`);
      const restart = await restartReceiver(fleet);
      showStatus(`${what}: comparing`);
      await fleet.stopReceivers();
      await verifySimulated(fleet.outs, simulated.files, fleet.signal);
      const files = simulated.files.length;
      return { hosts, files, rounds: done, descriptors, peakBytes, record, restart };
    } finally {
      clearInterval(sampler);
    }
  } finally {
    showStatus('');
    await fleet.stop();
  }
}

async function oneRound(fleet: Fleet, simulated: SimulatedHosts): Promise<Round> {
  const costs = () => ({
    at: performance.now(),
    receiverCpuMs: fleet.receiversCpuMs(),
    serverCpuMs: fleet.serverCpuMs(),
    commits: fleet.watch.commits,
    bucketBytes: fleet.watch.bytes,
  });
  const before = costs();
  await simulated.publishRound();
  const publishMs = performance.now() - before.at;
  await fleet.committed(simulated.files, ROUND_TIMEOUT_MS);
  const after = costs();
  const spent = (of: keyof typeof after): number => after[of] - before[of];
  return {
    publishMs,
    ms: spent('at'),
    receiverCpuMs: spent('receiverCpuMs'),
    serverCpuMs: spent('serverCpuMs'),
    commits: spent('commits'),
    bucketBytes: spent('bucketBytes'),
  };
}

/** What is in the bucket now. */
async function recordSizes({ store, watch }: Fleet): Promise<RecordSizes> {
  const keys = await store.bucket.keys('>');
  const sizeOf = (key: string): number => watch.sizes.get(key) ?? 0;
  const sum = (of: readonly string[]): number => of.reduce((total, key) => total + sizeOf(key), 0);
  const records = keys.filter((key) => partitionOfKey(key) !== undefined);
  const archives = keys.filter((key) => partitionOfKey(key) === undefined);
  const { record: largestRecord, archive: largestArchive } = watch.largest;
  return { largestRecord, largestArchive, records: sum(records), archives: sum(archives) };
}

async function restartReceiver(fleet: Fleet): Promise<Restart> {
  const began = performance.now();
  await fleet.stopReceiver(RECEIVER);
  const stopMs = performance.now() - began;
  let takes = 0;
  let takenAt = Number.NaN;
  const stopListening = fleet.watch.listenForTakes(({ at }) => {
    takes += 1;
    takenAt = at;
  });
  const startedAt = performance.now();
  fleet.receive(RECEIVER);
  await fleet.wait(() => takes >= PARTITIONS, RESTART_TIMEOUT_MS, 'the receiver does not own its partitions');
  stopListening();
  return { stopMs, takeMs: takenAt - startedAt, peakBytes: fleet.usage(RECEIVER).peakBytes };
}
