// Many hosts and one, two or more receivers: how fast they drain a backlog together, and what a steady load costs.

import { sleep } from '../common/runtime/run.ts';
import { Fleet, PREFIX } from './fleet.ts';
import { type SimulatedFile, SimulatedHosts } from './simulated-hosts.ts';
import { showStatus } from './status-line.ts';
import { SteadyLoad } from './steady-load.ts';
import { verifySimulated } from './verify-simulated.ts';
import type { WorldOptions } from './world.ts';

export interface ScaleDrain {
  readonly receivers: number;
  readonly bytes: number;
  /** From the first commit to the last. */
  readonly ms: number;
  /** Of all receivers, without what as many use to start on an empty stream. */
  readonly receiversCpuMs: number;
  readonly serverCpuMs: number;
  readonly peakBytes: readonly number[];
  readonly steady: Steady;
}

/** Per second, while every host publishes one small chunk a second. */
export interface Steady {
  readonly messages: number;
  readonly commits: number;
  /** Sets that the bucket took, by its sequence numbers: commits, takes, archives. */
  readonly sets: number;
  readonly bucketBytes: number;
  /** Shares of one core. */
  readonly receiversCpu: number;
  readonly serverCpu: number;
}

const BACKLOG_CHUNK = 256 * 1024;
const STEADY_CHUNK = 4 * 1024;
const STEADY_EVERY_MS = 1_000;
const WARM_UP_MS = 3_000;
const STEADY_MS = 10_000;
const DRAIN_TIMEOUT_MS = 900_000;

/** Throws `failed` when a byte differs. */
export async function scaleDrain(
  options: WorldOptions,
  receivers: number,
  hosts: number,
  bytes: number,
): Promise<ScaleDrain> {
  const fleet = await Fleet.start(options);
  try {
    const ids = Array.from({ length: receivers }, (_, index) => `r${index + 1}`);
    const idle = await idleStart(fleet, ids);
    const simulated = new SimulatedHosts(fleet.link, PREFIX, hosts, 1, BACKLOG_CHUNK);
    const published = await publishBacklog(simulated, bytes, fleet.signal);
    const drained = await drainBacklog(fleet, ids, simulated.files, published);
    const peakBytes = ids.map((id) => fleet.usage(id).peakBytes);
    await fleet.settle();
    simulated.chunkBytes = STEADY_CHUNK;
    const steady = await steadyLoad(fleet, simulated, receivers);
    showStatus(`${receivers} receivers: comparing`);
    await fleet.stopReceivers();
    await verifySimulated(fleet.outs, simulated.files, fleet.signal);
    const { ms, receiversCpuMs, serverCpuMs } = drained;
    return {
      receivers,
      bytes: published,
      ms,
      receiversCpuMs: Math.max(0, receiversCpuMs - idle),
      serverCpuMs,
      peakBytes,
      steady,
    };
  } finally {
    showStatus('');
    await fleet.stop();
  }
}

/** CPU time that the receivers use until they share an empty stream; they are stopped again. */
async function idleStart(fleet: Fleet, ids: readonly string[]): Promise<number> {
  showStatus(`${ids.length} receivers: starting`);
  for (const id of ids) fleet.receive(id);
  await fleet.settle();
  const cpuMs = fleet.receiversCpuMs();
  await fleet.stopReceivers();
  return cpuMs;
}

/** Whole chunks, of all hosts in turn; returns how many bytes they are. */
async function publishBacklog(hosts: SimulatedHosts, bytes: number, signal: AbortSignal): Promise<number> {
  const chunks = Math.ceil(bytes / BACKLOG_CHUNK);
  for (let done = 0; done < chunks; done += hosts.files.length) {
    signal.throwIfAborted();
    showStatus(`publishing: ${Math.floor((100 * done) / chunks)} %`);
    await hosts.publishRound(hosts.files.slice(0, chunks - done));
  }
  return chunks * BACKLOG_CHUNK;
}

async function drainBacklog(
  fleet: Fleet,
  ids: readonly string[],
  files: readonly SimulatedFile[],
  bytes: number,
): Promise<{ ms: number; receiversCpuMs: number; serverCpuMs: number }> {
  showStatus(`${ids.length} receivers: draining ${Math.round(bytes / 1e6)} MB`);
  let first = Number.NaN;
  const stopListening = fleet.watch.listen(({ at }) => {
    if (Number.isNaN(first)) first = at;
  });
  const serverBefore = fleet.serverCpuMs();
  for (const id of ids) fleet.receive(id);
  await fleet.committed(files, DRAIN_TIMEOUT_MS);
  const ms = performance.now() - first;
  stopListening();
  const receiversCpuMs = fleet.receiversCpuMs();
  return { ms, receiversCpuMs, serverCpuMs: fleet.serverCpuMs() - serverBefore };
}

async function steadyLoad(fleet: Fleet, hosts: SimulatedHosts, receivers: number): Promise<Steady> {
  showStatus(`${receivers} receivers: a steady load`);
  const load = new SteadyLoad(hosts, [{ files: hosts.files, everyMs: STEADY_EVERY_MS }]);
  try {
    await sleep(WARM_UP_MS, fleet.signal);
    const before = await costs(fleet, hosts);
    await sleep(STEADY_MS, fleet.signal);
    const after = await costs(fleet, hosts);
    fleet.signal.throwIfAborted();
    const ms = after.at - before.at;
    const rate = (of: keyof typeof after): number => (after[of] - before[of]) / ms;
    return {
      messages: rate('bytes') * (1_000 / STEADY_CHUNK),
      commits: rate('commits') * 1_000,
      sets: rate('sets') * 1_000,
      bucketBytes: rate('bucketBytes') * 1_000,
      receiversCpu: rate('receiversCpuMs'),
      serverCpu: rate('serverCpuMs'),
    };
  } finally {
    await load.stop();
    await fleet.committed(hosts.files, 30_000);
  }
}

async function costs(fleet: Fleet, hosts: SimulatedHosts) {
  const bucket = await fleet.store.info();
  return {
    at: performance.now(),
    bytes: hosts.files.reduce((sum, file) => sum + file.bytes, 0),
    commits: fleet.watch.commits,
    sets: bucket?.lastSeq ?? 0,
    bucketBytes: fleet.watch.bytes,
    receiversCpuMs: fleet.receiversCpuMs(),
    serverCpuMs: fleet.serverCpuMs(),
  };
}
