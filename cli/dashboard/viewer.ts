// One open page or tail: server-sent events to somebody who may read slowly or not at all. Holds at most one event that
// was not taken; who takes nothing for a while is dropped.

import type { ServerResponse } from 'node:http';

/** Something is sent at least this often, so that both sides notice a dead connection. */
const HEARTBEAT_MS = 5_000;
/** Who has taken nothing for so long does not look any more. */
const DROP_MS = 15_000;

export class Viewer {
  readonly #response: ServerResponse;
  readonly #heartbeat: NodeJS.Timeout;
  readonly #gone = new AbortController();
  readonly #dropMs: number;
  #blockedAt: number | undefined;

  constructor(response: ServerResponse, headers: Readonly<Record<string, string>>, dropMs = DROP_MS) {
    this.#response = response;
    this.#dropMs = dropMs;
    response.writeHead(200, { ...headers, 'Content-Type': 'text/event-stream; charset=utf-8' });
    response.on('drain', () => (this.#blockedAt = undefined));
    response.on('close', () => {
      this.close();
    });
    // A comment at once: the other side knows that it is connected.
    this.#write(':\n\n');
    this.#heartbeat = setInterval(() => this.#write(':\n\n'), Math.min(HEARTBEAT_MS, dropMs / 2));
  }

  /** Fires when the viewer has left or was dropped. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Whether all that was written is taken. */
  get isReading(): boolean {
    return this.#blockedAt === undefined && !this.gone.aborted;
  }

  /** Whether it was written; not while what was written before is not taken. `json` is one line. */
  send(event: string, json: string): boolean {
    return this.#write(`event: ${event}\ndata: ${json}\n\n`);
  }

  /** The same bytes for several viewers, made once with `eventBytes`. */
  sendBytes(bytes: Buffer): boolean {
    return this.#write(bytes);
  }

  close(): void {
    clearInterval(this.#heartbeat);
    this.#gone.abort();
    this.#response.end();
  }

  #write(data: string | Buffer): boolean {
    if (this.gone.aborted) return false;
    if (this.#blockedAt === undefined) {
      if (!this.#response.write(data)) this.#blockedAt = performance.now();
      return true;
    }
    if (performance.now() - this.#blockedAt >= this.#dropMs) this.#response.destroy();
    return false;
  }
}

export function eventBytes(event: string, value: unknown): Buffer {
  return Buffer.from(`event: ${event}\ndata: ${JSON.stringify(value)}\n\n`);
}
