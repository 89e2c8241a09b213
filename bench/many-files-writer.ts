// The writer of `npm run bench -- many-files`, a process of its own: access lines at a steady rate to all files in turn,
// each by one write. The lines are made before the first one is written, of which it says `begun` on stdout. At the end
// it leaves the moments of the appends, as doubles in their order: the n-th went to file n modulo the number of files.

import { closeSync, globSync, openSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';

import { sleep } from '../common/runtime/run.ts';
import { monotonicMs } from './arrivals.ts';
import { accessLines } from './generate.ts';

const [directory = '', linesPerSecond = '1', seconds = '0', momentsFile = ''] = process.argv.slice(2);
/** Another one than that of the drain's source. */
const SEED = 7;

const count = Math.floor(Number(linesPerSecond) * Number(seconds));
const next = accessLines(SEED);
const parts: Buffer[] = [];
const ends = new Float64Array(count + 1);
for (let line = 0; line < count; line += 1) {
  const part = Buffer.from(next(), 'latin1');
  parts.push(part);
  ends[line + 1] = (ends[line] ?? 0) + part.length;
}
const lines = Buffer.concat(parts);
parts.length = 0;
const files = globSync(path.join(directory, '*.log')).toSorted();
const descriptors = files.map((file) => openSync(file, 'a'));
const moments = new Float64Array(count);

process.stdout.write('begun\n');
const began = performance.now();
for (let line = 0; line < count;) {
  const due = Math.min(count, ((performance.now() - began) / 1_000) * Number(linesPerSecond));
  for (; line < due; line += 1) {
    const [from = 0, to = 0] = [ends[line], ends[line + 1]];
    moments[line] = monotonicMs();
    writeSync(descriptors[line % files.length] ?? 0, lines, from, to - from);
  }
  await sleep(1);
}
for (const descriptor of descriptors) closeSync(descriptor);
writeFileSync(momentsFile, moments);
