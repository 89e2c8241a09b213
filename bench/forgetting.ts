// `node bench/forgetting.ts [--files 20000] [--minutes 10] [--after 5]`: files that are created, shipped and deleted two
// seconds later, as those of pods and jobs: what the shipper's memory and state are before, right after, and minutes later,
// and whether every byte has arrived. Linux only.

import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { findNatsServer } from '../cli/nats-server/nats-server.ts';
import { sleep, until } from '../common/runtime/run.ts';
import { residentBytesOf, usageOf } from './process-usage.ts';
import { World } from './world.ts';

const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '20000' },
    minutes: { type: 'string', default: '10' },
    after: { type: 'string', default: '5' },
  },
});
const FILES = Number(values.files);
const EVERY_MS = (Number(values.minutes) * 60_000) / FILES;
const LIVES_MS = 2_000;
const RESIDENT = 10;
const SETTLE_MS = 30_000;
const ARRIVE_MS = 120_000;

const { signal } = new AbortController();
const dir = await mkdtemp(path.join(tmpdir(), 'logferry-forgetting-'));
const logs = path.join(dir, 'logs');
mkdirSync(logs);
const contentOf = (number: number): string => `file ${number} begins\nfile ${number} ends\n`;
for (let number = 0; number < RESIDENT; number += 1)
  writeFileSync(path.join(logs, `resident-${number}-a.log`), contentOf(number));
const { path: binary } = await findNatsServer({ say: () => {} });
const world = await World.start({ dir: path.join(dir, 'bench'), binary, profile: undefined, signal });
try {
  const state = path.join(dir, 'state');
  const shipper = world.ship(path.join(logs, '*.log'), ['--state', state]);
  const said = (when: string): void => {
    const usage = usageOf(shipper.pid);
    const { size } = statSync(path.join(state, 'state.json'));
    const mib = (residentBytesOf(shipper.pid) / 1_048_576).toFixed(0);
    console.log(
      `${when}: shipper ${mib} MiB, state ${size} bytes, ${(usage?.cpuMs ?? 0).toFixed(0)} ms of CPU so far`,
    );
  };
  await sleep(SETTLE_MS);
  said('before');
  const began = performance.now();
  for (let number = 0; number < FILES; number += 1) {
    await sleep(Math.max(0, began + number * EVERY_MS - performance.now()));
    const file = path.join(logs, `short-${number}-b.log`);
    writeFileSync(file, contentOf(number));
    setTimeout(() => {
      rmSync(file);
    }, LIVES_MS);
  }
  await sleep(LIVES_MS * 2);
  said(`after ${FILES} files`);
  for (let minute = 1; minute <= Number(values.after); minute += 1) {
    await sleep(60_000);
    said(`${minute} min later`);
  }
  const wrong = async (): Promise<number> => {
    let count = 0;
    for (let number = 0; number < FILES; number += 1) {
      const file = world.destination(path.join(logs, `short-${number}-b.log`));
      if ((await readFile(file, 'utf8').catch(() => '')) !== contentOf(number)) count += 1;
    }
    return count;
  };
  await until(async () => (await wrong()) === 0, { timeoutMs: ARRIVE_MS, everyMs: 5_000 });
  console.log(`${FILES - (await wrong())} of ${FILES} files are identical`);
} finally {
  await world.stop();
  await rm(dir, { recursive: true });
}
