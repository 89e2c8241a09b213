// The names that everything derives from the stream's: subjects, buckets, keys, consumers. Pure.

import { decodeKeyToken, encodeToken, keyToken } from './subjects.ts';

/** Which stream, under which subjects, cut into how many partitions. */
export interface Topology {
  readonly stream: string;
  readonly prefix: string;
  readonly partitions: number;
}

export const DEFAULT_STREAM = 'LOGS';

/** The subjects that shippers publish to. */
export function publishedSubjects(prefix: string): string {
  return `${prefix}.*.*`;
}

/** The server-side mapping that gives every host its partition. */
export function subjectTransform(topology: Topology): { src: string; dest: string } {
  const { prefix, partitions } = topology;
  return {
    src: publishedSubjects(prefix),
    dest: `${prefix}.{{partition(${partitions},1)}}.{{wildcard(1)}}.{{wildcard(2)}}`,
  };
}

/** The number of partitions that a stream's transform makes; undefined when it is not one of ours. */
export function partitionsOfTransform(prefix: string, dest: string): number | undefined {
  const match = /\{\{partition\((\d+),1\)\}\}/.exec(dest);
  const partitions = match === null ? 0 : Number(match[1]);
  const ours = subjectTransform({ stream: '', prefix, partitions }).dest === dest;
  return ours && partitions > 0 ? partitions : undefined;
}

/** The stored subjects of one partition. */
export function partitionFilter(topology: Topology, partition: number): string {
  return `${topology.prefix}.${partition}.*.*`;
}

export function partitionsBucket(stream: string): string {
  return `${stream}_partitions`;
}

export function membersBucket(stream: string): string {
  return `${stream}_members`;
}

/** `p07`: the key of a partition's record, and the name of its ledger. */
export function partitionKey(partition: number): string {
  return `p${String(partition).padStart(2, '0')}`;
}

/** Where files of a record are kept that have not changed lately. */
export function archiveKey(partition: number, token: string): string {
  return `${partitionKey(partition)}.archive.${token}`;
}

/** A record as it is to be, when there will be so many partitions. */
export function stagedKey(partition: number, partitions: number): string {
  return `${partitionKey(partition)}.next.${partitions}`;
}

/** Whose staged record a key is; undefined for any other key. */
export function stagedOfKey(key: string): number | undefined {
  const [head, next, count, ...rest] = key.split('.');
  if (head === undefined || next !== 'next' || count === undefined || rest.length > 0) return undefined;
  return partitionOfKey(head);
}

/** Which partition a key is of; undefined for any other key. */
export function partitionOfKey(key: string): number | undefined {
  const digits = /^p(\d{2,5})$/.exec(key)?.[1];
  return digits === undefined || partitionKey(Number(digits)) !== key ? undefined : Number(digits);
}

export function shipperKey(host: string): string {
  return `shipper.${keyToken(host)}`;
}

export function receiverKey(id: string): string {
  return `receiver.${keyToken(id)}`;
}

/** Where a receiver says that it has let go of a partition. */
export function releasedSubject(prefix: string): string {
  return `logferry.released.${prefix}`;
}

/** Where the owner of a host's partition tells the host's shipper how far it has committed. */
export function committedSubject(prefix: string, host: string): string {
  return `logferry.committed.${prefix}.${encodeToken(host)}`;
}

/** Where he tells it how far he has come, committed or not, when a backlog passes; `token` is the host's in subjects. */
export function receivedSubject(prefix: string, token: string): string {
  return `logferry.received.${prefix}.${token}`;
}

/** Where a daemon answers what it is asked: `kind` is whose name follows. */
export function endpointSubject(
  endpoint: string,
  prefix: string,
  kind: 'shipper' | 'receiver',
  name: string,
): string {
  return `logferry.${endpoint}.${prefix}.${kind}.${encodeToken(name)}`;
}

/** Which host's or receiver's key of the members bucket this is; undefined for any other key. */
export function memberOfKey(key: string): { kind: 'shipper' | 'receiver'; name: string } | undefined {
  const [kind, token, ...rest] = key.split('.');
  if ((kind !== 'shipper' && kind !== 'receiver') || token === undefined || rest.length > 0) return undefined;
  const name = decodeKeyToken(token);
  return name === undefined ? undefined : { kind, name };
}

/** What the answers to a shipper's requests begin with: nobody else hears them where permissions are given by this. */
export function shipperInbox(host: string): string {
  return `_INBOX_ship_${encodeToken(host)}`;
}

/** The same for all receivers: what one may read, any may. */
export const RECEIVER_INBOX = '_INBOX_receive';

/** What requests to the JetStream of a domain begin with. */
export function apiOf(domain: string): string {
  return `$JS.${domain}.API`;
}
