// Whose backlog passes here: hosts are told how far a receiver has come when much of theirs came, and not with every
// line. Pure.

/** Source bytes after which a host is told: less than a shipper lets a backlog run ahead (shipper/lane/backlog.ts). */
const TOLD_BYTES = 512 * 1024;
/** Anybody may publish as a host. */
const MOST_HOSTS = 10_000;

export class Passing {
  /** Source bytes since it was told, by host. */
  readonly #bytes = new Map<string, number>();

  /** Source bytes of a message that was processed: whether its host is to be told. */
  add(host: string, more: number): boolean {
    const bytes = (this.#bytes.get(host) ?? 0) + more;
    if (bytes >= TOLD_BYTES) {
      this.#bytes.delete(host);
      return true;
    }
    if (this.#bytes.size >= MOST_HOSTS) this.#bytes.clear();
    this.#bytes.set(host, bytes);
    return false;
  }
}
