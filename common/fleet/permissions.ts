// The least that a shipper or a receiver must be allowed to do on a nats-server, as subjects. Pure.

import { STATUS_ENDPOINT } from './daemon-status.ts';
import { encodeToken, hostFilter, partitionOf } from '../wire/subjects.ts';
import {
  committedSubject,
  endpointSubject,
  membersBucket,
  partitionKey,
  partitionsBucket,
  RECEIVER_INBOX,
  receivedSubject,
  releasedSubject,
  shipperInbox,
  shipperKey,
  type Topology,
  apiOf,
} from '../wire/topology.ts';
import { VERIFY_ENDPOINT } from './verify.ts';

export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** What a user in an account of its own has of the account with the stream. */
export interface Imports {
  /** What it may ask there, and get its answer. */
  readonly services: readonly string[];
  /** What it hears from there. */
  readonly streams: readonly string[];
}

const API = '$JS.API';

/** The streams behind the stream's name and its buckets. */
function streamsOf(stream: string): readonly [logs: string, partitions: string, members: string] {
  return [stream, `KV_${partitionsBucket(stream)}`, `KV_${membersBucket(stream)}`];
}

/** What anybody says to the stream and to its own key. */
function shipperWrites(
  { stream, prefix }: Topology,
  host: string,
  streams: readonly string[] = streamsOf(stream),
): string[] {
  return [
    `${prefix}.${encodeToken(host)}.*`,
    `$KV.${membersBucket(stream)}.${shipperKey(host)}`,
    `${API}.INFO`,
    ...streams.map((name) => `${API}.STREAM.INFO.${name}`),
  ];
}

/** What a shipper is told: how far it is committed, and how far a receiver has come. */
function shipperHears({ prefix }: Topology, host: string): string[] {
  return [committedSubject(prefix, host), receivedSubject(prefix, encodeToken(host))];
}

/** Where daemons of a kind are asked how they are: the discovery of NATS services, and endpoints of their own. */
function asked(prefix: string, kind: string, name: string): string[] {
  return ['$SRV.>', `logferry.*.${prefix}.${kind}.${name}`];
}

/**
 * A shipper beside all others in one account. It may read any message of the stream and the buckets: asking the leader
 * cannot be bounded to subjects, and asking by subject (`DIRECT.GET`) would let it have the answer, which is what it
 * published itself, sent to any subject, `$JS.API.STREAM.DELETE` for one.
 */
export function shipperPermissions(topology: Topology, host: string): Permissions {
  return {
    publish: [
      ...shipperWrites(topology, host),
      ...streamsOf(topology.stream).map((name) => `${API}.STREAM.MSG.GET.${name}`),
    ],
    subscribe: [
      `${shipperInbox(host)}.>`,
      ...shipperHears(topology, host),
      ...asked(topology.prefix, 'shipper', encodeToken(host)),
    ],
  };
}

/** The same at a leaf node: there are no records, and those of the hub's domain are read, with its stream. */
export function shipperAtEdge(topology: Topology, host: string, hub: string): Permissions {
  const [logs, records, members] = streamsOf(topology.stream);
  const api = apiOf(hub);
  return {
    publish: [
      ...shipperWrites(topology, host, [logs, members]),
      ...[logs, members].map((name) => `${API}.STREAM.MSG.GET.${name}`),
      `${api}.STREAM.INFO.${logs}`,
      ...[logs, records].map((name) => `${api}.STREAM.MSG.GET.${name}`),
    ],
    subscribe: shipperPermissions(topology, host).subscribe,
  };
}

/**
 * What a shipper in an account of its own has of the stream's account: nothing of other hosts but what is in its
 * partition's record and the names of subjects. Answers only come to its own account.
 */
export function shipperImports(topology: Topology, host: string): Imports {
  const { stream, prefix, partitions } = topology;
  const [logs, records, members] = streamsOf(stream);
  const key = partitionKey(partitionOf(host, partitions));
  const bucket = `$KV.${partitionsBucket(stream)}`;
  const read = [
    `${logs}.${hostFilter(prefix, host)}`,
    `${records}.${bucket}.${key}`,
    `${records}.${bucket}.${key}.archive.*`,
    `${members}.$KV.${membersBucket(stream)}.${shipperKey(host)}`,
  ];
  return {
    services: [...shipperWrites(topology, host), ...read.map((what) => `${API}.DIRECT.GET.${what}`)],
    streams: shipperHears(topology, host),
  };
}

/**
 * What the stream's account may ask in that account: each subject in full, so that no other host's account is asked in
 * its place.
 */
export function shipperExports({ prefix }: Topology, host: string): string[] {
  return [STATUS_ENDPOINT, VERIFY_ENDPOINT].map((what) => endpointSubject(what, prefix, 'shipper', host));
}

/** What its user may do within that account. */
export function shipperInItsAccount(topology: Topology, host: string): Permissions {
  const { services, streams } = shipperImports(topology, host);
  return {
    publish: services,
    subscribe: [
      `${shipperInbox(host)}.>`,
      ...streams,
      ...asked(topology.prefix, 'shipper', encodeToken(host)),
    ],
  };
}

/** A receiver: it reads everything, keeps the records, and creates what has vanished; it deletes and alters no stream. */
export function receiverPermissions({ stream, prefix }: Topology): Permissions {
  const streams = streamsOf(stream);
  const [logs, records] = streams;
  const buckets = [partitionsBucket(stream), membersBucket(stream)];
  return {
    publish: [
      `${API}.INFO`,
      ...streams.flatMap((name) =>
        ['INFO', 'CREATE', 'MSG.GET'].map((what) => `${API}.STREAM.${what}.${name}`),
      ),
      // Archives that no record names any more.
      `${API}.STREAM.PURGE.${records}`,
      `${API}.CONSUMER.CREATE.${logs}.>`,
      `${API}.CONSUMER.INFO.${logs}.*`,
      `${API}.CONSUMER.DELETE.${logs}.*`,
      `${API}.CONSUMER.MSG.NEXT.${logs}.*`,
      `$JS.ACK.${logs}.>`,
      ...buckets.map((bucket) => `$KV.${bucket}.>`),
      ...[committedSubject(prefix, 'x'), receivedSubject(prefix, 'x')].map((subject) =>
        subject.replace(/x$/, '*'),
      ),
      releasedSubject(prefix),
    ],
    subscribe: [
      `${RECEIVER_INBOX}.>`,
      `$KV.${membersBucket(stream)}.receiver.*`,
      releasedSubject(prefix),
      ...asked(prefix, 'receiver', '*'),
    ],
  };
}
