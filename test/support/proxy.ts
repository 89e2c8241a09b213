// A TCP proxy in front of a server that cuts, stalls and delays connections, on loopback only.

import { connect, createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { World } from './world.ts';

const PORTION = 256 * 1024;

export class Proxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #target: number;
  #refusing = false;
  /** Bytes that the server may still say, to all clients together. */
  #budget = Number.POSITIVE_INFINITY;
  readonly #paused = new Set<Socket>();
  /** Every piece of data is held back this long. */
  delayMs = 0;
  /** What it says yes to is thrown away: `up` is towards the server. */
  drop: (data: Buffer, way: 'up' | 'down') => boolean = () => false;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => {
      this.#accept(client);
    });
  }

  static async start(target: number): Promise<Proxy> {
    const proxy = new Proxy(target);
    await new Promise<void>((resolve) => {
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  /** Before the server of a world, with which it ends. */
  static async before(world: World): Promise<Proxy> {
    const proxy = await Proxy.start(world.server.port);
    world.atEnd(async () => {
      proxy.end();
      await Promise.resolve();
    });
    return proxy;
  }

  get url(): string {
    return `nats://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.destroy();
      return;
    }
    const upstream = connect(this.#target, '127.0.0.1');
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.on('data', (data: Buffer) => {
        if (from === upstream && (this.#budget -= data.length) <= 0) {
          this.#paused.add(from);
          from.pause();
        }
        if (this.drop(data, from === client ? 'up' : 'down')) return;
        if (this.delayMs === 0) to.write(data);
        else
          setTimeout(() => {
            if (!to.destroyed) to.write(data);
          }, this.delayMs);
      });
    }
  }

  /** From now on the server is read no further than some bytes; whatever it says then waits, and is not lost. */
  allow(bytes: number): void {
    this.#budget = bytes;
    for (const socket of this.#paused) socket.resume();
    this.#paused.clear();
  }

  /** So many bytes more in small portions, one each time that it is called: whoever reads commits in between. */
  trickle(bytes: number): () => void {
    let left = bytes;
    return () => {
      const portion = Math.min(PORTION, left);
      left -= portion;
      this.allow(portion);
    };
  }

  /** Ends every connection, in the middle of whatever is on its way. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Cuts, and lets nobody in until it is opened again. */
  close(): void {
    this.#refusing = true;
    this.cut();
  }

  open(): void {
    this.#refusing = false;
  }

  end(): void {
    this.cut();
    this.#server.close();
  }
}
