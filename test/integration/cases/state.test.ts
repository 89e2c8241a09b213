// Cases 40 to 45: the shipper's state, crashes at named steps, clocks and devices that change, two of one name.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  watch,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

import { until } from '../../../common/runtime/run.ts';
import { TEST_MS, WAIT_MS } from '../../support/timeouts.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { Cases, type CaseHost, type Log } from './tailing.ts';
import type { Daemon } from '../../support/daemon.ts';

const cases = Cases.share('state');

const PUBLISH = 'HPUB logs.';
const HOUR_S = 3_600;

/** Shifts the clock of a process by an hour with each SIGUSR2: forward, back, and back once more. */
const JUMPING_CLOCK = `
  const now = Date.now;
  const steps = [1, 0, -1].map((hours) => hours * ${HOUR_S} * 1000);
  let shift = 0;
  Date.now = () => now() + shift;
  process.on('SIGUSR2', () => {
    shift = steps.shift() ?? 0;
    process.stderr.write('the clock jumped\\n');
  });
`;

function stateFile(host: CaseHost): string {
  return path.join(host.state, 'state.json');
}

/** What is in the way of a state that is to be saved: a full disk where one can be mounted. */
class Obstacle {
  readonly #host: CaseHost;
  readonly #disk: SmallDisk | undefined;

  constructor(host: CaseHost) {
    this.#host = host;
    this.#disk = SmallDisk.canMount() ? SmallDisk.mount(host.state) : undefined;
  }

  get what(): string {
    return this.#disk === undefined ? 'EISDIR' : 'ENOSPC';
  }

  async put(): Promise<void> {
    if (this.#disk === undefined) mkdirSync(`${stateFile(this.#host)}.tmp`);
    else await this.#disk.leave(0);
  }

  async remove(): Promise<void> {
    if (this.#disk === undefined) rmSync(`${stateFile(this.#host)}.tmp`, { recursive: true });
    else await this.#disk.empty();
  }

  async end(): Promise<void> {
    await this.#disk?.unmount();
  }
}

/** What happens to the file in which a shipper dies. */
const CHANGES: readonly ((log: Log) => void)[] = [
  (log) => {
    log.lines(3);
  },
  (log) => {
    log.lines(3);
    log.rotate();
    log.lines(3);
  },
  (log) => {
    log.lines(3);
    log.copyTruncate();
    log.lines(1);
  },
];

describe('state, crashes and clocks', { concurrency: 6, timeout: TEST_MS }, () => {
  test('case 40: the state truncated, empty, older, deleted, from another host', async (t) => {
    await cases.run(t, async (host) => {
      const [log, other] = [host.log('app.log'), host.log('copied.log')];
      const more = async (): Promise<void> => {
        for (const each of [log, other]) each.lines(3);
        await host.arrives();
      };
      host.ship();
      await more();
      const file = stateFile(host);
      const older = readFileSync(file);
      const damages: readonly (() => void)[] = [
        () => {
          writeFileSync(file, readFileSync(file).subarray(0, 100));
        },
        () => {
          writeFileSync(file, '');
        },
        () => {
          writeFileSync(file, older);
        },
        () => {
          rmSync(file);
        },
        () => {
          rmSync(host.state, { recursive: true });
        },
        () => {
          const text = readFileSync(file, 'utf8');
          assert.ok(text.includes(`"host":"${host.name}"`));
          writeFileSync(file, text.replace(`"host":"${host.name}"`, '"host":"another"'));
        },
      ];
      for (const damage of damages) {
        // With generations that were rotated, or truncated, and shipped.
        log.rotate();
        other.copyTruncate();
        await host.arrives();
        await more();
        await host.stop();
        damage();
        for (const each of [log, other]) each.lines(3);
        host.ship();
        await host.arrives();
      }
      // An older state, and rotations since, also while it is down.
      log.rotate();
      await more();
      await host.stop();
      writeFileSync(file, older);
      for (const each of [log, other]) each.lines(3);
      log.rotate();
      for (const each of [log, other]) each.lines(3);
      host.ship();
    });
  });

  test('case 41: the disk is full while the state is saved', async (t) => {
    await cases.run(t, async (host) => {
      const obstacle = new Obstacle(host);
      t.diagnostic(`in the way: ${obstacle.what}`);
      try {
        const log = host.log('app.log');
        log.lines(5);
        const shipper = host.shipProcess();
        await host.arrives();
        await obstacle.put();
        // What is known goes on; a new generation waits until it is written down which one it is.
        log.lines(5);
        await host.arrives();
        log.rotate();
        log.lines(5);
        await host.says(new RegExp(`${obstacle.what}.*trying again`));
        await obstacle.remove();
        await host.arrives();
        // Killed while it could not save.
        await obstacle.put();
        log.lines(5);
        log.rotate();
        log.lines(5);
        await host.says(new RegExp(`${obstacle.what}.*trying again`), 2);
        await shipper.kill();
        await obstacle.remove();
        log.lines(5);
        host.shipProcess();
        await host.arrives();
        await host.stop();
      } finally {
        await host.end();
        await obstacle.end();
      }
    });
  });

  test('case 42: SIGKILL at every step between reading, publishing and saving', async (t) => {
    await cases.run(t, async (host) => {
      const log = host.log('app.log');
      const proxy = await host.proxy();
      log.lines(5);
      let shipper = host.shipProcess();
      await host.arrives();
      const killed = async (): Promise<void> => {
        await shipper.kill();
        proxy.drop = () => false;
        shipper = host.shipProcess();
        await host.arrives();
      };
      for (const change of CHANGES) {
        // Read, and the message has not left.
        let left = false;
        const before = await host.lastSeq();
        proxy.drop = (data, way) => (left ||= way === 'up' && data.includes(PUBLISH));
        change(log);
        assert.ok(await until(() => left, { timeoutMs: WAIT_MS }), 'nothing was published');
        assert.equal(await host.lastSeq(), before);
        await killed();
        // Published, and the answer is lost.
        let isPublishing = false;
        proxy.drop = (data, way) => {
          isPublishing ||= way === 'up' && data.includes(PUBLISH);
          return isPublishing && way === 'down';
        };
        const then = await host.lastSeq();
        change(log);
        const isThere = async (): Promise<boolean> => (await host.lastSeq()) > then;
        assert.ok(await until(isThere, { timeoutMs: WAIT_MS }), 'nothing was published');
        await killed();
        // Answered and committed, and the state is from before: it is saved within a second.
        change(log);
        await host.arrives();
        await shipper.kill();
        await killed();
        // While the state is being saved.
        const saving = duringASave(host, shipper);
        change(log);
        await saving;
        await killed();
      }
    });
  });

  test('case 43: clocks that jump an hour forward and back, and times of files that do', async (t) => {
    await cases.run(t, async (host) => {
      const log = host.log('app.log');
      log.lines(5);
      const preload = `data:text/javascript,${encodeURIComponent(JUMPING_CLOCK)}`;
      const through = ['env', `NODE_OPTIONS=--import=${preload}`];
      let shipper = host.shipProcess('*.log', through);
      await host.arrives();
      for (const [round, hours] of [0, 1, 0, -1].entries()) {
        if (round > 0) shipper.child.kill('SIGUSR2');
        await host.says(/the clock jumped/, round);
        // Twice between two looks: what came and went is found by its times. Not while a clock is ahead of the one that
        // the file system has, which no real one is; set back, it is.
        if (hours <= 0) {
          for (let rotation = 0; rotation < 2; rotation += 1) {
            log.lines(3);
            log.rotate();
          }
          log.lines(3);
          await host.arrives();
        }
        for (const change of CHANGES) {
          change(log);
          await host.arrives();
        }
      }
      for (const seconds of [HOUR_S, -HOUR_S]) {
        const time = Date.now() / 1_000 + seconds;
        utimesSync(log.path, time, time);
        log.lines(3);
        utimesSync(log.path, time, time);
        await host.arrives();
        log.rotate();
        utimesSync(`${log.path}.1`, time, time);
        log.lines(3);
        await shipper.kill();
        shipper = host.shipProcess('*.log', through);
        log.lines(3);
        await host.arrives();
      }
    });
  });

  test('case 44: the device number of the file system changes', async (t) => {
    await cases.run(t, async (host) => {
      const layers = Layers.mount(host);
      t.diagnostic(layers === undefined ? 'nothing can be mounted: the state is looked at' : 'by overlayfs');
      try {
        const log = host.log('mounted/app.log');
        log.lines(5);
        host.ship('mounted/*.log');
        await host.arrives();
        log.rotate();
        log.lines(5);
        await host.arrives();
        await host.stop();
        const before = statSync(log.path, { bigint: true });
        log.lines(5);
        if (layers === undefined) assert.doesNotMatch(readFileSync(stateFile(host), 'utf8'), /"dev/);
        else layers.again();
        const now = statSync(log.path, { bigint: true });
        assert.equal(now.ino, before.ino);
        if (layers !== undefined) assert.notEqual(now.dev, before.dev);
        host.ship('mounted/*.log');
        await host.arrives();
        log.rotate();
        log.lines(5);
        await host.arrives();
        await host.stop();
      } finally {
        await host.end();
        layers?.end();
      }
    });
  });

  test('case 45: two shippers with the same host name take turns', async (t) => {
    await cases.run(t, async (host) => {
      const [one, other] = [host.log('one.log'), host.log('other.log')];
      for (const log of [one, other]) log.lines(5);
      const first = host.ship('one.log');
      await until(async () => (await host.centralNames()).length > 0, { timeoutMs: WAIT_MS });
      const second = host.ship('other.log', { state: `${host.state}-2` });
      await host.says(/the host name .* is held by a process/);
      one.lines(5);
      const central = path.join(host.world.out, host.name, one.path);
      const isThere = (): boolean => existsSync(central) && statSync(central).size === one.written.length;
      assert.ok(await until(isThere, { timeoutMs: WAIT_MS }));
      assert.deepEqual(await host.centralNames(), [central], 'the second waits');
      await first.stop();
      await host.arrives();
      // The other way round, both with something to ship, and one of the same files.
      const third = host.ship('*.log');
      await host.says(/the host name .* is held by a process/, 2);
      for (const log of [one, other]) log.lines(5);
      await second.stop();
      await host.arrives();
      await third.stop();
    });
  });
});

/** Kills the shipper when the next state is there and not in place yet, or a moment later. */
async function duringASave(host: CaseHost, shipper: Daemon): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const watcher = watch(host.state, (_event, name) => {
    if (name !== 'state.json.tmp') return;
    shipper.child.kill('SIGKILL');
    resolve();
  });
  await promise;
  watcher.close();
}

/** A file system that has another device number each time it is mounted, and the same inodes. */
class Layers {
  readonly #root: string;
  readonly #target: string;

  private constructor(root: string, target: string) {
    this.#root = root;
    this.#target = target;
  }

  /** Undefined where this process may not mount anything. */
  static mount(host: CaseHost): Layers | undefined {
    const layers = new Layers(path.join(host.world.dir, `layers-${host.name}`), host.file('mounted'));
    for (const name of ['lower', 'upper', 'work'])
      mkdirSync(path.join(layers.#root, name), { recursive: true });
    mkdirSync(layers.#target);
    return layers.#mount() ? layers : undefined;
  }

  #mount(): boolean {
    const at = (name: string): string => path.join(this.#root, name);
    const options = `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`;
    return spawnSync('mount', ['-t', 'overlay', 'logferry-test', '-o', options, this.#target]).status === 0;
  }

  again(): void {
    assert.equal(spawnSync('umount', [this.#target]).status, 0);
    // Whoever is mounted meanwhile takes the number.
    const other = path.join(this.#root, 'other');
    mkdirSync(other);
    assert.equal(spawnSync('mount', ['-t', 'tmpfs', 'logferry-test', other]).status, 0);
    const isMounted = this.#mount();
    spawnSync('umount', [other]);
    assert.ok(isMounted);
  }

  end(): void {
    spawnSync('umount', ['-l', this.#target]);
  }
}
