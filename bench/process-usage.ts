// CPU time and peak memory of processes, as the kernel counts them (proc(5)). Linux only.

import { readdirSync, readFileSync } from 'node:fs';

import { systemCode } from '../common/runtime/errors.ts';

export interface Usage {
  /** User and system time of all its threads. */
  readonly cpuMs: number;
  /** The most memory that was ever resident (VmHWM). */
  readonly peakBytes: number;
}

/** USER_HZ, in which the kernel counts for user space on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;
const MS_PER_TICK = 1_000 / TICKS_PER_SECOND;

/** Undefined when the process is gone. */
export function usageOf(pid: number): Usage | undefined {
  try {
    const [user, system] = timesOf(String(pid));
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    // A process that has ended and was not waited for yet has no memory lines.
    if (peak === null) return undefined;
    return { cpuMs: (user + system) * MS_PER_TICK, peakBytes: Number(peak[1]) * 1_024 };
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}

/** What is resident of a process now (VmRSS); 0 when it is gone. */
export function residentBytesOf(pid: number): number {
  try {
    const resident = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Number(resident?.[1] ?? 0) * 1_024;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ESRCH') return 0;
    throw error;
  }
}

/** How many descriptors a process has open; 0 when it is gone. */
export function descriptorsOf(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ESRCH') return 0;
    throw error;
  }
}

/** CPU time of all children of this process that have ended: what one used is the difference over its end. */
export function endedChildrenCpuMs(): number {
  const [, , user, system] = timesOf('self');
  return (user + system) * MS_PER_TICK;
}

/** utime, stime, cutime and cstime. */
function timesOf(pid: string): [number, number, number, number] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in parentheses may hold anything; the fields after it start with the third.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const at = (field: number): number => Number(fields[field - 3]);
  return [at(14), at(15), at(16), at(17)];
}

/** CPU time that the whole machine has used, without waiting for disks. */
export function machineCpuMs(): number {
  const [first = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = first.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) * MS_PER_TICK;
}

/** What the loopback device has carried since the machine started. */
export function loopbackBytes(): number {
  const counters = /^\s*lo:\s*(\d+)/m.exec(readFileSync('/proc/net/dev', 'utf8'));
  return Number(counters?.[1] ?? 0);
}
