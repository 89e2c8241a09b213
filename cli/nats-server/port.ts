// Ports for a nats-server of one's own. Never holds one: between the look and the use somebody else can take it.

import { createServer } from 'node:net';

import { LogferryError, messageOf, systemCode } from '../../common/runtime/errors.ts';

/**
 * Below the ports that systems give to outgoing connections (Linux from 32768, macOS from 49152): there a client that
 * tries to reconnect while the server is down could take its port, even by connecting to itself.
 */
const LOWEST = 20_000;
const HIGHEST = 31_999;
const COUNT = HIGHEST - LOWEST + 1;
const ATTEMPTS = 100;

let next = Math.floor(Math.random() * COUNT);

/** A port that nothing listens on at this moment, and another one each time: those of a cluster are all different. */
export async function freePort(): Promise<number> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const port = LOWEST + next;
    next = (next + 1) % COUNT;
    if (await isFree(port)) return port;
  }
  throw new LogferryError('failed', `found no free port on 127.0.0.1 between ${LOWEST} and ${HIGHEST}`);
}

/** Whether one could listen on it at this moment. */
export async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  try {
    await new Promise<void>((done, fail) => {
      probe.once('error', fail);
      probe.listen({ port, host: '127.0.0.1', exclusive: true }, done);
    });
    return true;
  } catch (error) {
    if (systemCode(error) === 'EADDRINUSE') return false;
    throw new LogferryError('failed', `cannot listen on 127.0.0.1:${port} (${messageOf(error)})`, undefined, {
      cause: error,
    });
  } finally {
    await new Promise((done) => probe.close(done));
  }
}
