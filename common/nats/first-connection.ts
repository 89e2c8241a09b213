// The first connection to a cluster. Each of its servers tells of the others before it refuses a login, and the client
// takes up all of them again, without a pause and without an end: here the attempts are counted. Never repeats a
// connection that has failed.

import { type ConnectionOptions, connect, type NatsConnection } from '@nats-io/transport-node';

import { LogferryError } from '../runtime/errors.ts';
import type { ReconnectPace } from './reconnect.ts';

/** Servers that were told of and not named are tried too, when those that were named are full. */
const MOST_TOLD = 16;

/**
 * Throws what the client throws; `unreachable` when the servers that were named let one in after all.
 *
 * @param pace of the tries after a loss; told of the connection
 */
export async function connectFirst(
  settings: ConnectionOptions,
  pace: ReconnectPace,
): Promise<NatsConnection> {
  const tooMany = new LogferryError('unreachable', 'every server of the cluster turned this client away');
  const most = [settings.servers ?? []].flat().length + MOST_TOLD;
  let attempts = 0;
  let isConnected = false;
  const reconnectDelayHandler = (): number => {
    if (!isConnected && (attempts += 1) > most) throw tooMany;
    return pace.sinceLastTryMs(Date.now(), Math.random());
  };
  try {
    const connection = await connect({ ...settings, reconnectDelayHandler });
    isConnected = true;
    pace.connected();
    return connection;
  } catch (error) {
    if (error !== tooMany) throw error;
    // Why, those that were named tell: each is asked once.
    await (await connect({ ...settings, ignoreClusterUpdates: true })).close();
    throw tooMany;
  }
}
