// What a mode of the bench runs with.

import type { Options } from './arguments.ts';
import type { Machine } from './machine.ts';
import type { WorldOptions } from './world.ts';

export interface Setting {
  readonly options: Options;
  readonly machine: Machine;
  readonly signal: AbortSignal;
  readonly scratch: string;
  readonly worldOf: (run: number) => WorldOptions;
  /** Prints, unless there is JSON to come. */
  readonly say: (text: string) => void;
}

/** `2026-11-21`. */
export function today(): string {
  return new Date().toISOString().slice(0, 10);
}
