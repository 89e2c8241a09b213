// `npm run bench -- status`: how long `logferry status` takes, the start of its process included, with many hosts.
// The shippers are simulated: real services with real answers, on a few connections of this process.

import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import type { Status } from '../cli/status/types.ts';
import type { ShipperStatus } from '../common/fleet/daemon-status.ts';
import { LogferryError } from '../common/runtime/errors.ts';
import { silentLogger } from '../common/runtime/log.ts';
import { type Link, openLink } from '../common/nats/connection.ts';
import { DEFAULT_STREAM } from '../common/wire/topology.ts';
import { Fleet, PARTITIONS, PREFIX } from './fleet.ts';
import { NOTHING_WRONG, simulateShippers } from './simulated-shippers.ts';
import { quantile, table, whole } from './table.ts';
import type { WorldOptions } from './world.ts';

export interface StatusResult {
  readonly hosts: number;
  /** Files that each host names in its answer. */
  readonly files: number;
  /** Of each run: from the start of the process to its end. */
  readonly ms: readonly number[];
  /** Bytes that it printed. */
  readonly printed: number;
}

const ENTRY = fileURLToPath(new URL('../cli/main.ts', import.meta.url));
const CONNECTIONS = 10;

/** Throws `failed` when a host is missing from what it prints. */
export async function statusOf(
  world: WorldOptions,
  options: { readonly hosts: number; readonly files: number; readonly runs: number },
): Promise<StatusResult> {
  const { hosts, files, runs } = options;
  await mkdir(world.dir, { recursive: true });
  const fleet = await Fleet.start(world);
  const links: Link[] = [];
  try {
    fleet.receive('r1');
    await fleet.settle();
    for (let count = 0; count < CONNECTIONS; count += 1)
      links.push(await openLink({ server: fleet.server.url }, { name: 'bench', log: silentLogger() }));
    const topology = { stream: DEFAULT_STREAM, prefix: PREFIX, partitions: PARTITIONS };
    const status = statusWith(files, new Date().toISOString());
    await simulateShippers([fleet.link, ...links], fleet.store, topology, hosts, () => status);
    const ms: number[] = [];
    let printed = 0;
    for (let run = 0; run < runs; run += 1) {
      const began = performance.now();
      const text = await printedBy(['status', '--json', '--server', fleet.server.url]);
      ms.push(performance.now() - began);
      printed = text.length;
      refuseMissing(JSON.parse(text) as Status, hosts);
    }
    return { hosts, files, ms, printed };
  } finally {
    await Promise.all(links.map(async (link) => await link.close()));
    await fleet.stop();
  }
}

export function statusText({ hosts, files, ms, printed }: StatusResult): string {
  return `\n${table([
    [`${hosts} hosts with ${files} files each, ${PARTITIONS} partitions`, ''],
    [`median of ${ms.length}`, `${whole(quantile(ms, 0.5))} ms`],
    ['fastest, slowest', `${whole(quantile(ms, 0))}, ${whole(quantile(ms, 1))} ms`],
    ['printed', `${whole(printed / 1e3)} kB`],
  ])}`;
}

function statusWith(files: number, started: string): ShipperStatus {
  const bytes = { sizeBytes: 1_000_000, publishedBytes: 999_000, committedBytes: 998_000, lagBytes: 2_000 };
  return {
    ...{ started, files, ...bytes, lagMs: 40, ...NOTHING_WRONG },
    worst: Array.from({ length: files }, (_, file) => ({
      ...{ path: `/var/log/containers/application-${file}.log`, file: `1jhut-dn0nz030bvbu-${file}` },
      ...{ ...bytes, lagMs: 40, error: null },
    })),
  };
}

/** What a logferry command prints. */
async function printedBy(args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [ENTRY, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const parts: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => parts.push(part));
  await new Promise((resolve) => child.once('close', resolve));
  return Buffer.concat(parts).toString();
}

function refuseMissing(status: Status, hosts: number): void {
  const answered = status.hosts.filter(({ state }) => state === 'answers').length;
  if (answered !== hosts)
    throw new LogferryError(
      'failed',
      `${answered} of ${hosts} hosts are in the status`,
      'run again with --keep',
    );
}
