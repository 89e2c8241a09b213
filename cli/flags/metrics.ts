// The flag --metrics of both daemons. Never listens.

import { flag, orOff, parsed, wrongValue } from './flag.ts';
import { type Listen, readListen } from './listen.ts';

const EXPECTED = 'a port like 9601, an address and a port like 0.0.0.0:9601 or [::1]:9601, or off';

export const metricsFlag = flag(
  '--metrics <address>',
  {
    help:
      'serve /metrics for Prometheus, /healthz and /readyz here; a port alone is one of 127.0.0.1, and port 0 any ' +
      'that is free, which the log names',
    default: 'off',
  },
  orOff(parsed(readMetrics)),
);

function readMetrics(value: string, name: string): Listen {
  if (!/^\s*\d+\s*$/.test(value)) return readListen(value, name, EXPECTED);
  const port = Number(value);
  if (port > 65_535) throw wrongValue(name, value, EXPECTED);
  return readListen(`127.0.0.1:${port}`, name);
}
