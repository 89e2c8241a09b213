// The JetStream of another domain, over the connection that there is: that of the hub, for who is connected to a leaf
// node. Never waits long for it: the link between the two may be down for days.

import { jetstream, jetstreamManager, type StreamSource } from '@nats-io/jetstream';

import { LogferryError } from '../runtime/errors.ts';
import type { Link } from './connection.ts';
import { apiOf } from '../wire/topology.ts';

/** How long a request into another domain waits for its answer. */
const TIMEOUT_MS = 3_000;

/** What a domain's name may be: a token of a subject. */
export const DOMAIN_NAME = /^[A-Za-z0-9_-]{1,100}$/;

/** The same connection, with the JetStream of this domain on it. Asks nothing. */
export async function inDomain(link: Link, domain: string): Promise<Link> {
  const options = { domain, timeout: TIMEOUT_MS };
  const jsm = await jetstreamManager(link.nc, { ...options, checkAPI: false });
  return { ...link, js: jetstream(link.nc, options), jsm };
}

/**
 * The domain of the JetStream that a connection has without naming one. Throws `conflict` when it has none, or is the
 * hub's: then there is nothing in between that could keep anything.
 */
export async function edgeDomain(link: Link, hub: string): Promise<string> {
  const { domain } = await link.ask(async () => await link.jsm.getAccountInfo());
  if (domain !== undefined && domain !== '' && domain !== hub) return domain;
  const what =
    domain === hub
      ? `the server has the JetStream domain ${hub} itself`
      : 'the JetStream of this server has no domain';
  throw new LogferryError(
    'conflict',
    `${what}, and --hub-domain ${hub} is for a leaf node of it`,
    'connect to the leaf node, whose jetstream { domain: … } is another one, or leave --hub-domain out (docs/edge.md)',
  );
}

/** How a stream has the one of the same name in another domain as a source. */
export function sourceIn(domain: string, stream: string): StreamSource {
  return { name: stream, external: { api: apiOf(domain), deliver: '' } };
}

/** Whether a stream's source, or what is said of one, is this domain's. */
export function isSourceIn(
  domain: string,
  source: { readonly external?: { readonly api: string } },
): boolean {
  return source.external?.api === apiOf(domain);
}
