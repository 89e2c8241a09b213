// A shipper as a NATS service: it answers how far its files are, under the host's name. Never decides anything.

import { hostname } from 'node:os';

import { SHIPPER_SERVICE, type ShipperStatus, STATUS_ENDPOINT } from '../../common/fleet/daemon-status.ts';
import { type Endpoint, serve } from '../../common/nats/service.ts';
import { endpointSubject } from '../../common/wire/topology.ts';
import { packageVersion } from '../../common/runtime/version.ts';
import type { Host } from '../host/host.ts';

/** Asked by several at once, it is computed once. */
const FRESH_MS = 200;

/** Answers for this host until the function that it returns is called, which may be called again. */
export function serveShipper(
  host: Host,
  status: () => ShipperStatus,
  further: readonly Endpoint[] = [],
): () => void {
  const { stream, prefix } = host.topology;
  let last: ShipperStatus | undefined;
  let lastAt = 0;
  const current = (): ShipperStatus => {
    const now = performance.now();
    if (last === undefined || now - lastAt > FRESH_MS) {
      last = status();
      lastAt = now;
    }
    return last;
  };
  return serve(host.link.nc, {
    name: SHIPPER_SERVICE,
    version: packageVersion(),
    description: 'ships the log files of one host',
    metadata: { host: host.name, stream, prefix, machine: hostname() },
    endpoints: [
      {
        name: STATUS_ENDPOINT,
        subject: endpointSubject(STATUS_ENDPOINT, prefix, 'shipper', host.name),
        handle: async () => await Promise.resolve(JSON.stringify(current())),
        data: current,
      },
      ...further,
    ],
  });
}
