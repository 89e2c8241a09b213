// Why a server that asks for TLS does not go on: with TLS 1.3 it may refuse the client's certificate after the
// handshake, which the client library takes for silence. Sends nothing but a handshake, never a login.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as dial, type Socket } from 'node:net';
import { connect as secure, type ConnectionOptions as SecureOptions } from 'node:tls';

import type { ConnectionOptions } from '@nats-io/transport-node';

import { systemCode } from '../runtime/errors.ts';

/** A server that refuses says so at once; one that is content waits for the login. */
const WAIT_MS = 2_000;

/** The code of the error that ends the connection to any of the servers after its handshake; undefined for none. */
export async function probeTls(settings: ConnectionOptions): Promise<string | undefined> {
  const { servers = [], tls } = settings;
  for (const server of [servers].flat()) {
    const { hostname, port } = new URL(server.includes('://') ? server : `nats://${server}`);
    const code = await probe(hostname.replaceAll(/[[\]]/g, ''), Number(port), tls ?? {});
    if (code !== undefined) return code;
  }
  return undefined;
}

async function probe(
  host: string,
  port: number,
  tls: NonNullable<ConnectionOptions['tls']>,
): Promise<string | undefined> {
  const signal = AbortSignal.timeout(WAIT_MS);
  const socket = dial({ host, port });
  let encrypted: Socket | undefined;
  try {
    if (tls.handshakeFirst !== true && !(await asksForTls(socket, signal))) return undefined;
    encrypted = secure({ ...secureOptions(tls), socket });
    await once(encrypted, 'close', { signal });
    return undefined;
  } catch (error) {
    return systemCode(error) === 'ABORT_ERR' ? undefined : systemCode(error);
  } finally {
    encrypted?.destroy();
    socket.destroy();
  }
}

/** What the server says first. */
async function asksForTls(socket: Socket, signal: AbortSignal): Promise<boolean> {
  const [data] = (await once(socket, 'data', { signal })) as [Buffer];
  return /"tls_(required|available)":true/.test(data.toString('latin1'));
}

function secureOptions({
  caFile,
  certFile,
  keyFile,
  ...more
}: NonNullable<ConnectionOptions['tls']>): SecureOptions {
  return {
    ...more,
    // Whom it speaks to is a matter of the connection that counts.
    rejectUnauthorized: false,
    ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }),
    ...(certFile === undefined ? {} : { cert: readFileSync(certFile) }),
    ...(keyFile === undefined ? {} : { key: readFileSync(keyFile) }),
  };
}
