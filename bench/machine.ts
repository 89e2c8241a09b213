// What a figure was taken on.

import { cpus, release, totalmem } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  readonly natsServer: string;
}

export function machine(natsServer: string): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model ?? 'unknown',
    cores: all.length,
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.versions.node,
    natsServer,
  };
}

export function machineText(of: Machine): string {
  const memory = `${(of.memoryBytes / 1024 ** 3).toFixed(1)} GiB`;
  return `${of.cpu}, ${of.cores} cores, ${memory}, Linux ${of.kernel}, Node ${of.node}, nats-server ${of.natsServer}`;
}
