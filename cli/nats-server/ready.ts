// Whether a nats-server that was started with a ports file can be used. Never speaks NATS, so that it works with
// whatever authentication or TLS the server asks of its clients.

import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { systemCode } from '../../common/runtime/errors.ts';

/** Where nats-server writes its ports (its option `ports_file_dir`). */
export function portsFile(directory: string, binary: string, pid: number): string {
  return join(directory, `${basename(binary)}_${pid}.ports`);
}

/** The ports file appears when clients can connect; the health check says whether JetStream has its streams back. */
export async function isReady(ports: string): Promise<boolean> {
  const monitoring = await monitoringUrl(ports);
  if (monitoring === undefined) return false;
  try {
    const response = await fetch(`${monitoring}/healthz`, { signal: AbortSignal.timeout(1_000) });
    await response.body?.cancel();
    return response.ok;
  } catch (error) {
    if (error instanceof TypeError || error instanceof DOMException) return false; // refused, or too slow
    throw error;
  }
}

async function monitoringUrl(file: string): Promise<string | undefined> {
  try {
    const ports: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (
      typeof ports === 'object' &&
      ports !== null &&
      'monitoring' in ports &&
      Array.isArray(ports.monitoring)
    )
      return ports.monitoring.map(String)[0];
    return undefined;
  } catch (error) {
    // Not there yet, or seen half written.
    if (systemCode(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
