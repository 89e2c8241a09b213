// File descriptors of this process: how many are open, and how many may be.

import { readdirSync, readFileSync, statSync } from 'node:fs';

import { systemCode } from './errors.ts';

const DIRECTORY = '/proc/self/fd';

/**
 * How many are open, without listing them: 15,000 take 15 ms of CPU, and hold up everything else. Undefined where the system does not say. Since Linux 6.2 the directory's size is their number; before that it is 0.
 */
export function openDescriptors(): number | undefined {
  try {
    // One is the listing's own.
    return statSync(DIRECTORY).size || readdirSync(DIRECTORY).length - 1;
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
}

/** How many descriptors this process may have; Infinity where the system does not say. */
export function descriptorLimit(limits = readLimits()): number {
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return '';
  }
}
