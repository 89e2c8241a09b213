// An address to listen on taken apart, and who can reach what listens there. Opens nothing.

import { BlockList, isIP } from 'node:net';

import { wrongValue } from './flag.ts';

export interface Listen {
  /** An address, not a name. */
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Nobody but this machine can reach it. */
  readonly isLoopback: boolean;
}

const EXPECTED = 'an address and a port like 127.0.0.1:9600 or [::1]:9600';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Reads `127.0.0.1:9600`, `localhost:9600`, `[::]:9600`. Throws `usage`. */
export function readListen(value: string, name: string, expected = EXPECTED): Listen {
  const match = /^(?:\[(?<six>[^\]]+)\]|(?<four>[^:[\]]+)):(?<port>\d{1,5})$/.exec(value.trim());
  const { six, four, port } = match?.groups ?? {};
  const host = six ?? (four === 'localhost' ? '127.0.0.1' : four) ?? '';
  const family = isIP(host);
  if (family === 0 || (family === 6) !== (six !== undefined) || Number(port) > 65_535)
    throw wrongValue(name, value, expected);
  return { host, port: Number(port), isLoopback: isLoopbackAddress(host) };
}

function isLoopbackAddress(host: string): boolean {
  return loopback.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4');
}

/**
 * Whether a Host header names this machine. A page from elsewhere whose name was made to point here (DNS rebinding)
 * sends its own name. The port may be another one: of a tunnel.
 */
export function isLoopbackName(header: string | undefined): boolean {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::\d{1,5})?$/.exec(header ?? '');
  const name = (match?.[1] ?? match?.[2] ?? '').toLowerCase();
  return name === 'localhost' || (isIP(name) !== 0 && isLoopbackAddress(name));
}

/** As it stands in a URL. */
export function urlOf(host: string, port: number): string {
  return `http://${isIP(host) === 6 ? `[${host}]` : host}:${port}/`;
}
