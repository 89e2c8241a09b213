// What a logferry command takes, from the start of its process to its end.

import type { LogferryProcess } from './logferry-process.ts';
import { endedChildrenCpuMs, type Usage, usageOf } from './process-usage.ts';

export interface Measured {
  readonly ms: number;
  readonly usage: Usage;
}

const SAMPLE_MS = 50;

/** Throws as LogferryProcess.done does. No other child of this process may end meanwhile. */
export async function measured(start: () => LogferryProcess, signal: AbortSignal): Promise<Measured> {
  const cpuBefore = endedChildrenCpuMs();
  const began = performance.now();
  const running = start();
  let peakBytes = 0;
  // The peak only grows: the last look before the end is the one that counts.
  const sampler = setInterval(() => {
    peakBytes = usageOf(running.pid)?.peakBytes ?? peakBytes;
  }, SAMPLE_MS);
  try {
    await running.done(signal);
    return {
      ms: performance.now() - began,
      usage: { cpuMs: endedChildrenCpuMs() - cpuBefore, peakBytes },
    };
  } finally {
    clearInterval(sampler);
  }
}
