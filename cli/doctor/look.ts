// What the checks of `logferry doctor` look at: each thing once, when the first check asks for it, and never for longer
// than its deadline. Never changes anything.

import { lookup } from 'node:dns/promises';
import { connect as dial } from 'node:net';

import type { StreamInfo } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';

import { type AccountStorage, accountStorage } from '../../common/nats/account.ts';
import { connectionOptions } from '../../common/nats/connection-options.ts';
import { LogferryError, messageOf, systemCode } from '../../common/runtime/errors.ts';
import { silentLogger } from '../../common/runtime/log.ts';
import { explain, type Link, openLink } from '../../common/nats/connection.ts';
import { DEFAULT_REPLICAS, streamInfo, topologyOf } from '../../common/stream/stream.ts';
import { RECEIVER_INBOX, shipperInbox, type Topology } from '../../common/wire/topology.ts';
import type { Plan } from './plan.ts';

/** What a check needs is not there: said by the check that is about that. */
export class Missing extends Error {}

const REACH_MS = 2_000;

export class Look {
  readonly plan: Plan;
  readonly signal: AbortSignal;
  readonly #kept = new Map<string, Promise<unknown>>();
  readonly #close: (() => Promise<void>)[] = [];

  constructor(plan: Plan, signal: AbortSignal) {
    this.plan = plan;
    this.signal = signal;
  }

  /** What the subjects of answers begin with: a user of least permissions may hear no other. */
  get inboxPrefix(): string {
    const { server, shipper, receiver } = this.plan;
    const own = shipper !== undefined ? shipperInbox(shipper.host) : receiver && RECEIVER_INBOX;
    return server.inboxPrefix ?? own ?? '_INBOX';
  }

  /** Servers that take a connection, and what is wrong with each of the others. */
  async reach(): Promise<{ readonly reached: readonly string[]; readonly failed: readonly string[] }> {
    return await this.once('reach', async () => {
      const reached: string[] = [];
      const failed: string[] = [];
      await Promise.all(
        this.plan.server.server.split(',').map(async (url) => {
          const why = await unreachable(new URL(url));
          if (why === undefined) reached.push(url);
          else failed.push(`${url} (${why})`);
        }),
      );
      return { reached, failed };
    });
  }

  /** Throws Missing where nothing is reached, the error in clear words where nobody is let in. */
  async connection(): Promise<NatsConnection> {
    return await this.once('connection', async () => {
      const { reached } = await this.reach();
      if (reached.length === 0) throw new Missing('no server is reached');
      const { server } = this.plan;
      const named = { ...server, server: reached.join(','), inboxPrefix: this.inboxPrefix };
      try {
        const settings = connectionOptions(named, 'logferry doctor');
        const nc = await connect({ ...settings, reconnect: false });
        this.#close.push(async () => {
          await nc.close();
        });
        return nc;
      } catch (error) {
        // The long way tells what TLS minds.
        const link = openLink(named, { name: 'logferry doctor', log: silentLogger(), giveUpMs: 0 });
        await link.then(async (opened) => await opened.close());
        throw explain(error, server.server);
      }
    });
  }

  /** Throws Missing where there is none. */
  async needConnection(): Promise<NatsConnection> {
    return await this.#need(this.connection(), 'no connection');
  }

  /** Throws as openLink does. */
  async link(): Promise<Link> {
    return await this.once('link', async () => {
      await this.needConnection();
      const { reached } = await this.reach();
      const server = { ...this.plan.server, server: reached.join(','), inboxPrefix: this.inboxPrefix };
      const options = { name: 'logferry doctor', log: silentLogger(), signal: this.signal, giveUpMs: 0 };
      const link = await openLink(server, options);
      this.#close.push(async () => {
        await link.close();
      });
      return link;
    });
  }

  /** For as many copies as the stream has, or would be made with. */
  async account(): Promise<AccountStorage> {
    return await this.once('account', async () => {
      const link = await this.link();
      const found = await this.stream();
      return await accountStorage(link, found?.info.config.num_replicas ?? DEFAULT_REPLICAS);
    });
  }

  /** Undefined where there is none; `askedMs` is when it was asked for and how long that took. */
  async stream(): Promise<{ info: StreamInfo; at: number; tookMs: number } | undefined> {
    return await this.once('stream', async () => {
      const link = await this.#need(this.link(), 'no JetStream');
      // The first request of a connection takes longer, and its answer says less of the clock.
      await streamInfo(link, this.plan.names.stream);
      const [at, began] = [Date.now(), performance.now()];
      const info = await streamInfo(link, this.plan.names.stream);
      return info === undefined ? undefined : { info, at, tookMs: performance.now() - began };
    });
  }

  /** Throws Missing where there is none, or none of logferry's. */
  async needStream(): Promise<{ info: StreamInfo; at: number; tookMs: number; topology: Topology }> {
    const found = await this.#need(this.stream(), 'no stream');
    if (found === undefined) throw new Missing('no stream');
    const { names } = this.plan;
    return await this.#need(
      Promise.resolve().then(() => ({ ...found, topology: topologyOf(names, found.info.config) })),
      "the stream is not logferry's",
    );
  }

  async needAccount(): Promise<AccountStorage> {
    return await this.#need(this.account(), 'no JetStream');
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#close.map(async (close) => await close()));
  }

  /** Looks when it is asked for the first time; the same again after that. */
  async once<T>(name: string, look: () => Promise<T>): Promise<T> {
    const kept = this.#kept.get(name) ?? look();
    this.#kept.set(name, kept);
    return (await kept) as T;
  }

  /** What went wrong there, the check of that says. */
  async #need<T>(look: Promise<T>, without: string): Promise<T> {
    try {
      return await look;
    } catch (error) {
      if (error instanceof Missing) throw error;
      if (error instanceof LogferryError) throw new Missing(without);
      throw error;
    }
  }
}

/** Undefined when somebody listens there. */
async function unreachable({ hostname, port }: URL): Promise<string | undefined> {
  const host = hostname.replaceAll(/[[\]]/g, '');
  const signal = AbortSignal.timeout(REACH_MS);
  try {
    await Promise.race([lookup(host), rejectedBy(signal)]);
  } catch (error) {
    return signal.aborted ? 'no answer from DNS' : `DNS: ${systemCode(error) ?? messageOf(error)}`;
  }
  return await new Promise((resolve) => {
    const socket = dial({ host, port: Number(port), signal });
    socket.once('connect', () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once('error', (error) => {
      resolve(signal.aborted ? 'no answer' : (systemCode(error) ?? messageOf(error)));
    });
  });
}

async function rejectedBy(signal: AbortSignal): Promise<never> {
  return await new Promise((_, reject) => {
    signal.addEventListener('abort', () => {
      reject(new Error('too late'));
    });
  });
}
