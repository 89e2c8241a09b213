// What makes several nats-servers on this machine one cluster: the configuration that each has beside its own. Starts
// nothing.

import { freePort } from '../cli/nats-server/port.ts';

/** Elections take up to nine seconds each, and more where the machine is busy. */
export const CLUSTER_READY_MS = 90_000;

/** The configurations of as many servers (`n0`, `n1`, …) that know each other; to be started together. */
export async function clusterConfigs(count: number): Promise<string[]> {
  const ports = await Promise.all(Array.from({ length: count }, freePort));
  const routes = JSON.stringify(ports.map((port) => `nats://127.0.0.1:${port}`));
  return ports.map(
    (port, index) =>
      `server_name: n${index}\ncluster { name: logferry, listen: "127.0.0.1:${port}", routes: ${routes} }`,
  );
}
