// Whose backlog passes here: hosts are told how far a receiver has come when much of theirs came, and not with every
// line. Pure.

import { HEADER, MAX_CHUNK_BYTES } from '../../common/wire/chunk.ts';
import type { Delivery } from '../../common/stream/pull.ts';

/** Source bytes after which a host is told: less than a shipper lets a backlog run ahead (shipper/lane/backlog.ts). */
const TOLD_BYTES = 512 * 1024;
/** Anybody may publish as a host. */
const MOST_HOSTS = 10_000;

export class Passing {
  /** Where the host stands in a stored subject, behind the prefix and the partition. */
  readonly #index: number;
  /** Source bytes since it was told, by the host's token. */
  readonly #bytes = new Map<string, number>();

  constructor(prefix: string) {
    this.#index = prefix.split('.').length + 1;
  }

  /** The token of the host of a message that was processed, when it is to be told. */
  add({ subject, header }: Pick<Delivery, 'subject' | 'header'>): string | undefined {
    const host = subject.split('.', this.#index + 1)[this.#index] ?? '';
    const bytes = (this.#bytes.get(host) ?? 0) + rangeBytes(header(HEADER.range));
    if (bytes >= TOLD_BYTES) {
      this.#bytes.delete(host);
      return host;
    }
    if (this.#bytes.size >= MOST_HOSTS) this.#bytes.clear();
    this.#bytes.set(host, bytes);
    return undefined;
  }
}

/** 0 for what is no range: nothing depends on it but when somebody is told. */
function rangeBytes(range: string): number {
  const [start, end] = range.split('-', 2).map(Number);
  const bytes = (end ?? 0) - (start ?? 0);
  return bytes > 0 && Number.isFinite(bytes) ? Math.min(bytes, MAX_CHUNK_BYTES) : 0;
}
