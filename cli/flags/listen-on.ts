// Makes a server listen, and says in one line why it cannot.

import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { LogferryError, messageOf, systemCode } from '../../common/runtime/errors.ts';
import type { Listen } from './listen.ts';

/** Returns the port. Throws `failed` when it cannot listen, naming the flag that said where. */
export async function listenOn(server: Server, { host, port }: Listen, flag: string): Promise<number> {
  const where = `${host}:${port}`;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const [why, hint] = reasonOf(error, flag);
      reject(new LogferryError('failed', `cannot listen on ${where}: ${why}`, hint, { cause: error }));
    });
    server.listen(port, host, resolve);
  });
  // What comes later concerns one connection.
  server.on('error', () => undefined);
  const address = server.address();
  return isAddress(address) ? address.port : port;
}

function isAddress(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === 'object' && address !== null;
}

function reasonOf(error: Error, flag: string): [string, string] {
  const other = `give another ${flag}`;
  const code = systemCode(error);
  if (code === 'EADDRINUSE') return ['something else listens there', `${other}, or end what does`];
  if (code === 'EADDRNOTAVAIL') return ['this machine has no such address', other];
  if (code === 'EACCES') return ['not permitted', 'give a port from 1024 on'];
  return [messageOf(error), other];
}
