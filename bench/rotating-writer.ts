// The writer of `npm run bench -- rotations`, a process of its own: appends lines at full speed and renames the file
// away, as a rotator does that deletes nothing: `app.log` becomes `app.log.<number>`, and a new one is created.

import { closeSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import path from 'node:path';

import { sleep } from '../common/runtime/run.ts';

const [file = '', seconds = '0', perMinute = '1', mostBytes = '0'] = process.argv.slice(2);
const LINE = 200;
const LINES_AT_ONCE = 320;

/** Lines that all differ, `number` being the first one's. */
function lines(number: number): string {
  let text = '';
  for (let line = number; line < number + LINES_AT_ONCE; line += 1)
    text +=
      `${String(line).padStart(12, '0')} ${'a line of a log that is rotated while it is written '.repeat(4)}`
        .slice(0, LINE - 1)
        .concat('\n');
  return text;
}

mkdirSync(path.dirname(file), { recursive: true });
const everyMs = 60_000 / Number(perMinute);
const began = performance.now();
let fd = openSync(file, 'a');
let count = 0;
let rotations = 0;
for (let ms = 0; ms < Number(seconds) * 1_000; ms = performance.now() - began) {
  if (ms >= (rotations + 1) * everyMs) {
    rotations += 1;
    renameSync(file, `${file}.${rotations}`);
    closeSync(fd);
    fd = openSync(file, 'a');
  }
  if (count * LINE < (ms / 1_000) * Number(mostBytes)) {
    writeSync(fd, lines(count));
    count += LINES_AT_ONCE;
  } else await sleep(1);
}
closeSync(fd);
