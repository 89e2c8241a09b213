// `node bench/discovery.ts [--files 2000] [--dead] [--seconds 15]`: how long after its creation a new file is open in the
// shipper, one that lives one second, 20 a second, beside many paths that the shipper knows: of files that are there, or
// with --dead of files that are not there any more, which are written into its state. Linux only: reads its descriptors
// from /proc.

import { mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { findNatsServer } from '../cli/nats-server/nats-server.ts';
import { sleep, until } from '../common/runtime/run.ts';
import { baseOf, fileIdOf } from '../shipper/files/identity.ts';
import type { LogferryProcess } from './logferry-process.ts';
import { usageOf } from './process-usage.ts';
import { World } from './world.ts';

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '2000' },
    dead: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '15' },
  },
});
const KNOWN = Number(values.files);
const SHORT = Number(values.seconds) * 20;
const EVERY_MS = 50;
const LIVES_MS = 1_000;
const TIMEOUT_MS = 900_000;
const SETTLE_MS = 30_000;

const { signal } = new AbortController();
const dir = await mkdtemp(path.join(tmpdir(), 'logferry-discovery-'));
const logs = path.join(dir, 'logs');
mkdirSync(logs);
const known = Array.from({ length: KNOWN }, (_, number) => path.join(logs, `known-${number}-a.log`));
const there = values.dead ? known.slice(0, 1) : known;
for (const [number, file] of there.entries()) writeFileSync(file, `the only line of file ${number}\n`);
const { path: binary } = await findNatsServer({ say: () => {} });
const world = await World.start({ dir: path.join(dir, 'bench'), binary, profile: undefined, signal });
try {
  const state = path.join(dir, 'state');
  const ship = (): LogferryProcess => world.ship(path.join(logs, '*.log'), ['--state', state]);
  const out = path.dirname(world.destination(known[0] ?? world.first));
  const arrived = async (): Promise<number> => (await readdir(out).catch(() => [])).length;
  let shipper = ship();
  await until(async () => (await arrived()) >= there.length, { timeoutMs: TIMEOUT_MS, everyMs: 500 });
  if (values.dead) {
    await shipper.stop();
    await writeDead(path.join(state, 'state.json'));
    shipper = ship();
  }
  await sleep(SETTLE_MS);
  const before = usageOf(shipper.pid)?.cpuMs ?? 0;
  const began = performance.now();
  const times = await watchShortLived(shipper.pid);
  const cpu = ((usageOf(shipper.pid)?.cpuMs ?? 0) - before) / (performance.now() - began);
  await sleep(10_000);
  const all = await arrived();
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): string =>
    (sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN).toFixed(0);
  console.log(
    `${KNOWN} known${values.dead ? ', dead' : ''}: ${times.length} of ${SHORT} opened after p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms, most ${at(1)} ms; ${all - there.length} arrived; shipper ${(cpu * 100).toFixed(0)} % of a core`,
  );
} finally {
  await world.stop();
  await rm(dir, { recursive: true });
}

/** As if all had been shipped to their end and deleted. */
async function writeDead(file: string): Promise<void> {
  const state = JSON.parse(await readFile(file, 'utf8')) as { sources: Record<string, object[]> };
  const [entry] = state.sources[known[0] ?? ''] ?? [];
  for (const [number, name] of known.entries()) {
    const stamp = { ino: String(number + 1), birth: `17${String(number).padStart(17, '0')}`, device: '' };
    const id = fileIdOf(baseOf(stamp) ?? '', 0);
    state.sources[name] = [{ ...entry, ...stamp, file: id, closed: 'deleted', done: true }];
  }
  await writeFile(file, JSON.stringify(state));
  for (const name of there) rmSync(name);
}

/** Milliseconds between the creation of each and the moment in which the shipper was seen to have it open. */
async function watchShortLived(pid: number): Promise<number[]> {
  const created = new Map<string, number>();
  const opened = new Map<string, number>();
  let isDone = false;
  const write = (async (): Promise<void> => {
    const began = performance.now();
    for (let number = 0; number < SHORT; number += 1) {
      await sleep(Math.max(0, began + number * EVERY_MS - performance.now()));
      const file = path.join(logs, `short-${number}-b.log`);
      created.set(file, performance.now());
      writeFileSync(file, `the only line of short-lived file ${number}\n`);
      setTimeout(() => {
        rmSync(file);
      }, LIVES_MS);
    }
    await sleep(LIVES_MS * 2);
    isDone = true;
  })();
  const settled = new Set<string>();
  while (!isDone) {
    const fds = readdirSync(`/proc/${pid}/fd`);
    for (const fd of fds.filter((each) => !settled.has(each))) {
      const file = targetOf(`/proc/${pid}/fd/${fd}`);
      if (file === undefined) continue;
      if (file.startsWith(path.join(logs, 'known-'))) settled.add(fd);
      if (created.has(file) && !opened.has(file)) opened.set(file, performance.now());
    }
    await sleep(2);
  }
  await write;
  return [...opened].map(([file, at]) => at - (created.get(file) ?? at));
}

function targetOf(link: string): string | undefined {
  try {
    return readlinkSync(link).replace(/ \(deleted\)$/, '');
  } catch {
    return undefined;
  }
}
