// What happens in a history, told line by line to somebody who looks for a fault.

import { clock } from './clock.ts';

let isOn = false;

export function traceAll(): void {
  isOn = true;
}

export function trace(what: string): void {
  if (isOn) console.log(`${(clock.now % 1_000_000).toFixed(1)} ${what}`);
}
