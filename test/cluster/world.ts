// A world upon a cluster: stream and buckets with three replicas, a shipper and a receiver that know all three
// servers, and a writer that rotates all the while. At the end every byte is compared.

import assert from 'node:assert/strict';

import { isUnanswered } from '../../common/nats/bucket.ts';
import { until, untilAnswered } from '../../common/runtime/run.ts';
import { partitionOf } from '../../common/wire/subjects.ts';
import { Cluster } from './servers.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { assertClear, messages } from '../support/said.ts';
import { assertIdentical } from '../support/compare.ts';
import { baseSeed, random } from '../support/seed.ts';
import type { Daemon } from '../support/daemon.ts';
import { runIn, World } from '../support/world.ts';
import { Writer, Written } from '../support/log-files.ts';

const ERROR = 50;
const ROTATE = ['--rotate-size', '200KiB'];

/** Asks until there is a leader that answers: what is asked while there is none may get lost. */
export async function answered<T>(ask: () => Promise<T>, isTransient = isUnanswered): Promise<T> {
  const answer = await untilAnswered(ask, isTransient, AbortSignal.timeout(WAIT_MS));
  assert.ok(answer !== undefined, 'nobody answers');
  return answer;
}

/** What a world begins with. */
export interface ClusterOptions {
  /** This test's number, for a seed of its own. */
  readonly number: number;
  /** 3 unless said. */
  readonly replicas?: number;
  /** Flags of `setup` beside the replicas. */
  readonly setup?: readonly string[];
  /** nats-server configuration of each beside the usual, for the store that it is told. */
  readonly config?: (store: string) => string;
  /** Before the servers are started. */
  readonly prepare?: (dir: string) => void;
  /** When the servers are gone. */
  readonly cleanUp?: () => Promise<void>;
}

export class ClusterWorld extends World {
  readonly cluster: Cluster;
  readonly rand: () => number;
  readonly files: Written[];
  #receiver: Daemon | undefined;
  #shipper: Daemon | undefined;
  readonly #daemons: Daemon[] = [];

  readonly #cleanUp: (() => Promise<void>) | undefined;

  private constructor(dir: string, cluster: Cluster, { number, cleanUp }: ClusterOptions) {
    super(dir, cluster.first);
    this.cluster = cluster;
    this.rand = random(baseSeed() * 100 + number);
    this.#cleanUp = cleanUp;
    this.files = ['a.log', 'b.log', 'c.log'].map((name) => new Written(this, name));
  }

  /** Runs the test while a writer writes; then all that was written is there, and nobody has ended or lost anything. */
  static async within(
    name: string,
    options: ClusterOptions,
    test: (world: ClusterWorld) => Promise<void>,
  ): Promise<void> {
    const dir = await World.makeDirectory(name);
    options.prepare?.(dir);
    const cluster = await Cluster.start(dir, options.config);
    await runIn(new ClusterWorld(dir, cluster, options), async (world) => {
      await world.#begin(options);
      const writer = new Writer(world.files, world.rand, { rotate: 'rename', perTick: 10 });
      await test(world);
      await writer.stop();
      await assertIdentical(world, world.files);
      world.#assertCalm();
    });
  }

  async #begin({ replicas = 3, setup = [] }: ClusterOptions): Promise<void> {
    const flags = ['--replicas', String(replicas), '--json', '--server', this.url, ...setup];
    const daemon = this.start('setup', ['setup', ...flags]);
    assert.equal(await daemon.exited, 0, daemon.stderr);
    ({ partitions: this.partitions } = JSON.parse(daemon.stdout) as { partitions: number });
    for (const file of this.files) file.line();
    this.startReceiver();
    this.startShipper();
    await assertIdentical(this, this.files);
  }

  get receiver(): Daemon {
    assert.ok(this.#receiver !== undefined);
    return this.#receiver;
  }

  get shipper(): Daemon {
    assert.ok(this.#shipper !== undefined);
    return this.#shipper;
  }

  startReceiver(): void {
    this.#receiver = this.receive(ROTATE);
    this.#daemons.push(this.#receiver);
  }

  startShipper(): void {
    this.#shipper = this.ship();
    this.#daemons.push(this.#shipper);
  }

  /** Waits until something that is written from now on is committed, and was acknowledged by the servers. */
  async goesOn(): Promise<void> {
    const began = await this.committed();
    const isFurther = async (): Promise<boolean> => (await this.committed()) > began;
    assert.ok(
      await until(isFurther, { timeoutMs: WAIT_MS, everyMs: 100 }),
      `nothing more is committed\n${this.receiver.stderr}\n${this.shipper.stderr}`,
    );
  }

  /** The bytes of all files that the record knows; waits until it can be read. */
  async committed(): Promise<number> {
    const partition = partitionOf(this.host, this.partitions);
    let bytes = -1;
    const isRead = async (): Promise<boolean> => {
      try {
        const { record } = await (await this.records()).read(partition);
        bytes = [...(record?.files.values() ?? [])].reduce((sum, { offset }) => sum + offset, 0);
        return true;
      } catch {
        return false;
      }
    };
    assert.ok(await until(isRead, { timeoutMs: WAIT_MS, everyMs: 100 }), 'the record cannot be read');
    return bytes;
  }

  /** Every server that is up has as much of the stream as its leader. */
  async assertCopied(): Promise<void> {
    const copies = async (): Promise<boolean> => {
      const seen = await Promise.all(
        this.cluster.up.map(async (number) => await this.cluster.copy(number, 'LOGS')),
      );
      return seen.every((copy) => copy !== undefined && copy.last_seq === seen[0]?.last_seq);
    };
    assert.ok(await until(copies, { timeoutMs: WAIT_MS, everyMs: 50 }), 'the copies differ');
  }

  /** Whatever the servers do ends no process, and nothing is said to be lost. */
  #assertCalm(): void {
    for (const daemon of [this.receiver, this.shipper])
      assert.equal(daemon.child.exitCode ?? daemon.child.signalCode, null, daemon.stderr);
    for (const daemon of this.#daemons) {
      assertClear(daemon);
      assert.deepEqual(messages(daemon, ERROR), []);
    }
  }

  override get url(): string {
    return this.cluster.urls;
  }

  protected override async endServers(): Promise<void> {
    await this.cluster.end();
    await this.#cleanUp?.();
  }
}
