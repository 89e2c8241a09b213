// Three real nats-servers that are one cluster, each with its store, to be killed, stopped and wiped one by one. What
// each of them holds, and whom it takes for the leader, is asked of its monitoring port.

import assert from 'node:assert/strict';
import { cp, rename, rm } from 'node:fs/promises';
import path from 'node:path';

import { z } from 'zod';

import { CLUSTER_READY_MS, clusterConfigs } from '../../bench/nats-cluster.ts';
import { freePort, isFree } from '../../cli/nats-server/port.ts';
import { type NatsServer, startNatsServer } from '../../cli/nats-server/nats-server.ts';
import { until } from '../../common/runtime/run.ts';
import { ANSWER_MS, WAIT_MS } from '../support/timeouts.ts';

const SERVERS = [0, 1, 2] as const;

/** Where nats-server has its streams, below the directory that it is told. */
const STORE = 'jetstream';
const KEPT = 'jetstream-kept';

/** The shortest that a server takes; it ends when its clients are gone. */
const LAME_DUCK = 'lame_duck_duration: "30s"\nlame_duck_grace_period: "1s"';

const jszSchema = z.object({
  meta_cluster: z.object({ leader: z.string().optional() }).optional(),
  account_details: z
    .array(
      z.object({
        stream_detail: z
          .array(
            z.object({
              name: z.string(),
              cluster: z.object({ leader: z.string().optional() }).optional(),
              state: z.object({ messages: z.int(), last_seq: z.int() }),
            }),
          )
          .optional(),
      }),
    )
    .optional(),
});

type Jsz = z.output<typeof jszSchema>;

/** What one server holds of a stream. */
export interface Copy {
  readonly messages: number;
  readonly last_seq: number;
}

interface Member {
  readonly dir: string;
  readonly config: string;
  readonly monitoring: number;
  server: NatsServer;
  isUp: boolean;
}

/** Its servers are called 0, 1 and 2. */
export class Cluster {
  readonly #members: readonly Member[];

  private constructor(members: readonly Member[]) {
    this.#members = members;
  }

  /** @param config nats-server configuration of each beside the usual, for the store that it is told */
  static async start(dir: string, config: (store: string) => string = () => ''): Promise<Cluster> {
    const configs = await clusterConfigs(SERVERS.length);
    const members = configs.map(async (clustered, index) => {
      const monitoring = await freePort();
      const own = memberDirectory(dir, index);
      const member = {
        dir: own,
        config: `${clustered}\n${LAME_DUCK}\nhttp: "127.0.0.1:${monitoring}"\n${config(own)}`,
        monitoring,
      };
      return { ...member, server: await launch(member), isUp: true };
    });
    return new Cluster(await Promise.all(members));
  }

  /** All addresses, as --server takes them. */
  get urls(): string {
    return this.#members.map(({ server }) => server.url).join(',');
  }

  get up(): number[] {
    return SERVERS.filter((number) => this.#members[number]?.isUp === true);
  }

  get first(): NatsServer {
    return this.#member(0).server;
  }

  url(number: number): string {
    return this.#member(number).server.url;
  }

  /** SIGKILL of these, at once. */
  async kill(...numbers: number[]): Promise<void> {
    await Promise.all(
      numbers.map(async (number) => {
        const member = this.#member(number);
        member.isUp = false;
        await member.server.kill();
      }),
    );
  }

  /** Ends one in order: SIGTERM, or SIGUSR2, with which it sends its clients to the others first. */
  async stop(number: number, signal: 'SIGTERM' | 'SIGUSR2' = 'SIGTERM'): Promise<void> {
    const member = this.#member(number);
    member.isUp = false;
    process.kill(member.server.pid, signal);
    await member.server.exited;
    await member.server.kill();
  }

  /** SIGSTOP, or SIGCONT: one that is paused knows nothing of what the others do, and is not up. */
  pause(number: number): void {
    this.#signal(number, 'SIGSTOP', false);
  }

  resume(number: number): void {
    this.#signal(number, 'SIGCONT', true);
  }

  #signal(number: number, signal: 'SIGSTOP' | 'SIGCONT', isUp: boolean): void {
    const member = this.#member(number);
    process.kill(member.server.pid, signal);
    member.isUp = isUp;
  }

  /** Starts these on their ports again, at once; resolves when each says that it has caught up. */
  async start(...numbers: number[]): Promise<void> {
    await Promise.all(
      numbers.map(async (number) => {
        const member = this.#member(number);
        const { port } = member.server;
        await until(async () => await isFree(port), { timeoutMs: WAIT_MS });
        member.server = await launch(member, port);
        member.isUp = true;
      }),
    );
  }

  /** Copies the stores of servers that are down. */
  async keepStores(): Promise<void> {
    for (const { dir } of this.#members)
      await cp(path.join(dir, STORE), path.join(dir, KEPT), { recursive: true });
  }

  /** Puts the copies in the place of what servers that are down have. */
  async putBackStores(): Promise<void> {
    await this.wipe(...SERVERS);
    for (const { dir } of this.#members) await rename(path.join(dir, KEPT), path.join(dir, STORE));
  }

  /** Deletes the stores of servers that are down. */
  async wipe(...numbers: number[]): Promise<void> {
    for (const number of numbers) await rm(path.join(this.#member(number).dir, STORE), { recursive: true });
  }

  /** What a server holds of a stream itself; undefined when that is nothing, or it does not answer. */
  async copy(number: number, stream: string): Promise<Copy | undefined> {
    return streamIn(await this.#jsz(number), stream)?.state;
  }

  /** The number of the meta leader. */
  async metaLeader(): Promise<number> {
    return await this.#agreed('the cluster', (jsz) => jsz.meta_cluster?.leader);
  }

  /** The number of a stream's leader. */
  async leader(stream: string): Promise<number> {
    return await this.#agreed(stream, (jsz) => streamIn(jsz, stream)?.cluster?.leader);
  }

  /** Whom all that are up call their leader, which is up as well. */
  async #agreed(what: string, leaderOf: (jsz: Jsz) => string | undefined): Promise<number> {
    let leader = -1;
    const isKnown = async (): Promise<boolean> => {
      const seen = await Promise.all(this.up.map(async (number) => await this.#jsz(number)));
      const names = new Set(seen.map((jsz) => jsz && leaderOf(jsz)));
      const [name] = names;
      leader = names.size === 1 ? numberOf(name) : -1;
      return this.up.includes(leader);
    };
    assert.ok(await until(isKnown, { timeoutMs: WAIT_MS, everyMs: 100 }), `${what} has no leader`);
    return leader;
  }

  async end(): Promise<void> {
    await this.kill(...SERVERS);
  }

  #member(number: number): Member {
    const member = this.#members[number];
    assert.ok(member !== undefined, `there is no server ${number}`);
    return member;
  }

  async #jsz(number: number): Promise<Jsz | undefined> {
    const url = `http://127.0.0.1:${this.#member(number).monitoring}/jsz?accounts=true&streams=true`;
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) });
      return response.ok ? jszSchema.parse(await response.json()) : undefined;
    } catch (error) {
      if (error instanceof TypeError || error instanceof DOMException) return undefined; // refused, or too slow
      throw error;
    }
  }
}

function memberDirectory(dir: string, number: number): string {
  return path.join(dir, `nats-${number}`);
}

/** Where a server of a cluster in this directory has its streams, and nothing else. */
export function storeOf(dir: string, number: number): string {
  return path.join(memberDirectory(dir, number), STORE);
}

async function launch({ dir, config }: Pick<Member, 'dir' | 'config'>, port = 0): Promise<NatsServer> {
  return await startNatsServer({ dir, port, config, readyMs: CLUSTER_READY_MS, say: () => {} });
}

function streamIn(jsz: Jsz | undefined, stream: string) {
  const streams = jsz?.account_details?.flatMap(({ stream_detail }) => stream_detail ?? []);
  return streams?.find(({ name }) => name === stream);
}

/** -1 for a name that none of them has. */
function numberOf(name: string | undefined): number {
  return SERVERS.find((number) => name === `n${number}`) ?? -1;
}
