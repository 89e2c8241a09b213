// `node bench/dashboard.ts [hosts] [seconds]`: what a dashboard costs, with nobody looking, with one viewer, and with a
// tail of all hosts beside. The shippers are simulated: real services with real answers, on a few connections.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import type { ShipperStatus } from '../common/fleet/daemon-status.ts';
import { silentLogger } from '../common/runtime/log.ts';
import { findNatsServer } from '../cli/nats-server/find.ts';
import { type Link, openLink } from '../common/nats/connection.ts';
import { sleep, stopSignal } from '../common/runtime/run.ts';
import { DEFAULT_STREAM } from '../common/wire/topology.ts';
import { Fleet, PARTITIONS, PREFIX } from './fleet.ts';
import { usageOf } from './process-usage.ts';
import { SimulatedHosts } from './simulated-hosts.ts';
import { NOTHING_WRONG, simulateShippers } from './simulated-shippers.ts';
import { table } from './table.ts';

const ENTRY = fileURLToPath(new URL('../cli/main.ts', import.meta.url));
const CONNECTIONS = 10;
const FILES = 20;
/** Of each host, one a second. */
const CHUNK_BYTES = 4_096;
const SETTLE_MS = 5_000;

const [hosts = 200, seconds = 30] = process.argv.slice(2).map(Number);
const signal = stopSignal();
const dir = await mkdtemp(path.join(tmpdir(), 'logferry-bench-dashboard-'));
const { path: binary } = await findNatsServer();
const fleet = await Fleet.start({ dir, binary, profile: undefined, signal });
const links: Link[] = [];
try {
  fleet.receive('r1');
  fleet.receive('r2');
  await fleet.settle();
  for (let count = 0; count < CONNECTIONS; count += 1)
    links.push(await openLink({ server: fleet.server.url }, { name: 'bench', log: silentLogger() }));
  const topology = { stream: DEFAULT_STREAM, prefix: PREFIX, partitions: PARTITIONS };
  const since = new Date().toISOString();
  await simulateShippers([fleet.link, ...links], fleet.store, topology, hosts, () => statusNow(since));
  await measure();
} finally {
  await Promise.all(links.map(async (link) => await link.close()));
  await fleet.stop();
  await rm(dir, { recursive: true, force: true });
}
process.exit(0);

/** As if a little were behind, another amount each time. */
function statusNow(started: string): ShipperStatus {
  const committedBytes = Math.round(performance.now() * 100);
  const lagBytes = Math.round(Math.random() * 50_000);
  const sizes = { sizeBytes: committedBytes + lagBytes, publishedBytes: committedBytes, committedBytes };
  const worst = Array.from({ length: FILES }, (_, file) => ({
    ...{ path: `/var/log/containers/application-${file}.log`, file: `1jhut-dn0nz030bvbu-${file}` },
    ...{ ...sizes, lagBytes, lagMs: 40, error: null },
  }));
  return { started, files: FILES, ...sizes, lagBytes, lagMs: 40, ...NOTHING_WRONG, worst };
}

async function measure(): Promise<void> {
  const args = [ENTRY, 'dashboard', '--listen', '127.0.0.1:0', '--server', fleet.server.url];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const simulated = new SimulatedHosts(fleet.link, PREFIX, hosts, 1, CHUNK_BYTES);
  const publishing = setInterval(() => void simulated.publishRound(), 1_000);
  try {
    const url = await new Promise<string>((resolve) => {
      child.stdout.once('data', (data: Buffer) => resolve(data.toString().trim()));
    });
    const pid = child.pid ?? 0;
    const page = (await (await fetch(url)).arrayBuffer()).byteLength;
    const nobody = await shareOfCore(pid);
    const events = await open(`${url}events`);
    const viewer = await shareOfCore(pid);
    const sent = events.bytes;
    await open(`${url}tail`);
    const tail = await shareOfCore(pid);
    const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
    const peak = (usageOf(pid)?.peakBytes ?? 0) / 1e6;
    console.log(
      table([
        [`${hosts} hosts, ${FILES} files each, of one core`, ''],
        ['nobody looks', percent(nobody)],
        ['one viewer', percent(viewer)],
        [`and a tail of all, ${hosts} chunks of ${CHUNK_BYTES} bytes a second`, percent(tail)],
        ['sent to the viewer a second', `${(sent / (seconds + SETTLE_MS / 1_000) / 1e3).toFixed(0)} kB`],
        ['the page', `${(page / 1e3).toFixed(1)} kB`],
        ['peak memory', `${peak.toFixed(0)} MB`],
      ]),
    );
  } finally {
    clearInterval(publishing);
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGTERM');
    await ended;
  }
}

async function shareOfCore(pid: number): Promise<number> {
  await sleep(SETTLE_MS, signal);
  const [before, began] = [usageOf(pid)?.cpuMs ?? 0, performance.now()];
  await sleep(seconds * 1_000, signal);
  return ((usageOf(pid)?.cpuMs ?? 0) - before) / (performance.now() - began);
}

/** Reads what comes until the server ends. */
async function open(url: string): Promise<{ bytes: number }> {
  const counted = { bytes: 0 };
  const { body } = await fetch(url);
  const read = async (): Promise<void> => {
    for await (const part of body ?? []) counted.bytes += part.length;
  };
  read().catch(() => undefined);
  return await Promise.resolve(counted);
}
