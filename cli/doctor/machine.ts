// What `logferry doctor` checks of the process: Node, memory, the configuration file.

import { readFile } from 'node:fs/promises';

import { type Finding, warning, failure, ok } from './finding.ts';
import type { Look } from './look.ts';
import { formatBytes } from '../../common/text/units.ts';

/** Whether this Node is new enough. */
export async function node(): Promise<Finding> {
  return await Promise.resolve(judgeNode(process.versions.node));
}

const LEAST_NODE = [22, 22] as const;

export function judgeNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > LEAST_NODE[0] || (major === LEAST_NODE[0] && minor >= LEAST_NODE[1])
    ? ok(`Node ${version}`)
    : failure(`Node ${version}`, `logferry needs ${LEAST_NODE.join('.')} or newer`);
}

/** What is free of it, and what the control group leaves. */
export async function memory(): Promise<Finding> {
  const limit = process.constrainedMemory();
  const isLimited = limit > 0 && limit < Number.MAX_SAFE_INTEGER;
  return judgeMemory(await availableMemory(), isLimited ? limit : undefined);
}

/** A busy shipper peaks below 200 MB, a receiver below 250 MB (docs/performance.md). */
const NEEDED_BYTES = 300 * 1024 * 1024;

/** @param limit of the control group; undefined for none */
export function judgeMemory(available: number, limit: number | undefined): Finding {
  const says = `${formatBytes(available)} of memory available${limit === undefined ? '' : `, limited to ${formatBytes(limit)}`}`;
  return Math.min(available, limit ?? available) < NEEDED_BYTES
    ? warning(
        says,
        `a busy daemon takes up to ${formatBytes(NEEDED_BYTES)}: give it more, or it may be killed`,
      )
    : ok(says);
}

/** Bytes that a process may still take before the system pages. */
export async function availableMemory(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8');
  return Number(/^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
}

/** What works in the file, and should be otherwise. */
export async function configuration({ plan }: Look): Promise<Finding | undefined> {
  const [first, ...more] = plan.warnings;
  if (first === undefined) return await Promise.resolve(undefined);
  return warning(
    `${first}${more.length === 0 ? '' : ` (and ${more.length} more)`}`,
    'logferry check-config shows all',
  );
}
