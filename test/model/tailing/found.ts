// What histories in memory have found (found.txt), each with as few steps as still failed: title, kind of disk, seed, how the
// files are rotated, and the steps, each with its file, its share and the milliseconds after it.

import { readFileSync } from 'node:fs';
import path from 'node:path';

import type { History } from '../../faults/tailing/history.ts';
import type { Step, Style } from '../../faults/tailing/plan.ts';
import { ROOT } from '../../support/paths.ts';

export function foundHistories(): [title: string, History][] {
  const lines = readFileSync(path.join(ROOT, 'test/model/tailing/found.txt'), 'utf8').trim().split('\n');
  return lines.map((line) => {
    const [title = '', host = '', steps = ''] = line.split(': ');
    const [fileSystem = '', seed = '', styles = ''] = host.split(', ');
    const plan = steps.split('; ').map(stepOf);
    return [title, { fileSystem, seed: Number(seed), styles: styles.split(' ') as Style[], plan }];
  });
}

function stepOf(text: string): Step {
  const [, action = '', ...numbers] = /^(.+) (\d+) ([\d.]+) (\d+)$/.exec(text) ?? [];
  const [file = 0, share = 0, pauseMs = 0] = numbers.map(Number);
  return { action: action as Step['action'], file, share, pauseMs };
}
