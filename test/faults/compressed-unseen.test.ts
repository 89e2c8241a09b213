// Several rotations with compression while nobody looks, without the time of the original in the compressed files, as
// kubelet, lumberjack and small scripts leave them: every byte, in order, none twice; what cannot be told is said.

import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';

import { sleep, until } from '../../common/runtime/run.ts';
import { TEST_MS, WAIT_MS } from '../support/timeouts.ts';
import { messages } from '../support/said.ts';
import { central } from '../support/central-files.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Remembered } from '../support/log-files.ts';

const ERROR = 50;
/** Longer than a compressed file has to be left alone before it is read, and than two looks are apart. */
const SETTLED_MS = 2_500;

/** How a rotator names what it rotates, of the log `app.log` and the number of the rotation. */
type Naming = (number: number) => string;
const two = (number: number): string => String(number).padStart(2, '0');
const kubelet: Naming = (number) => `app.log.20260101-0000${two(number)}`;
const lumberjack: Naming = (number) => `app-2026-01-01T00-00-${two(number)}.000.log`;
const daily: Naming = (number) => `app.log-202601${two(number)}`;

class Rotated {
  readonly file: string;
  readonly #world: World;
  readonly #naming: Naming;
  readonly #remembered = new Remembered('app');
  rotations = 0;

  constructor(world: World, naming: Naming) {
    mkdirSync(path.join(world.source, 'app'), { recursive: true });
    this.#world = world;
    this.#naming = naming;
    this.file = path.join(world.source, 'app/app.log');
  }

  name(number: number): string {
    return path.join(path.dirname(this.file), this.#naming(number));
  }

  /** @param isShipped whether they have to arrive */
  lines(count: number, isShipped = true): void {
    const text = this.#remembered.newLines(count);
    if (isShipped) this.#remembered.wrote(text);
    appendFileSync(this.file, text);
  }

  compress(number: number, remove = true): void {
    const file = this.name(number);
    const { atime, mtime } = statSync(file);
    writeFileSync(`${file}.tmp`, gzipSync(readFileSync(file)));
    if (this.keepsTime) utimesSync(`${file}.tmp`, atime, mtime);
    renameSync(`${file}.tmp`, `${file}.gz`);
    if (remove) rmSync(file);
  }

  keepsTime = false;

  /** All but the newest rotated one are compressed before the next is. */
  rotate(): void {
    if (existsSync(this.name(this.rotations))) this.compress(this.rotations);
    this.rotations += 1;
    renameSync(this.file, this.name(this.rotations));
    writeFileSync(this.file, '');
  }

  ship(): Daemon {
    return this.#world.ship([], this.file);
  }

  get written(): Buffer {
    return this.#remembered.written;
  }

  async arrives(): Promise<void> {
    const got = async (): Promise<Buffer> => await central(this.#world.out, this.#world.host, this.file);
    await until(async () => (await got()).equals(this.written), { timeoutMs: WAIT_MS, everyMs: 50 });
    this.#compare(await got());
  }

  /** And nothing more comes. */
  async stays(shipper: Daemon): Promise<void> {
    await this.arrives();
    await sleep(SETTLED_MS);
    await this.arrives();
    assert.equal(await shipper.stop(), 0, shipper.stderr);
    await this.arrives();
  }

  #compare(got: Buffer): void {
    if (got.equals(this.written)) return;
    const numbers = (text: Buffer): string =>
      [...text.toString().matchAll(/^app line (\d+) /gm)]
        .map(([, number]) => Number(number))
        .reduce<[number, number][]>((ranges, number) => {
          const last = ranges.at(-1);
          if (last?.[1] === number - 1) last[1] = number;
          else ranges.push([number, number]);
          return ranges;
        }, [])
        .map((range) => range.join('-'))
        .join(' ');
    assert.fail(`lines ${numbers(this.written)} were written, ${numbers(got)} have arrived`);
  }
}

async function run(naming: Naming, work: (log: Rotated, world: World) => Promise<void>): Promise<void> {
  await World.run('unseen', async (world) => {
    world.receive();
    await work(new Rotated(world, naming), world);
  });
}

/** Some lines are shipped, then nobody looks any more. */
async function stopped(log: Rotated): Promise<void> {
  log.lines(5);
  const shipper = log.ship();
  await log.arrives();
  assert.equal(await shipper.stop(), 0, shipper.stderr);
}

/** All of it is shipped by this one, and nothing is said of it. */
async function quietlyShipped(log: Rotated, shipper = log.ship()): Promise<void> {
  await log.stays(shipper);
  assert.deepEqual(errors(shipper), []);
}

const errors = (shipper: Daemon): string[] => messages(shipper, ERROR);

describe('compressed while nobody looked', { concurrency: 3, timeout: TEST_MS }, () => {
  for (const [what, naming] of [
    ['kubelet', kubelet],
    ['lumberjack', lumberjack],
    ['a name for each day', daily],
  ] as const)
    for (const rotations of [3, 5])
      test(`${what}: ${rotations} rotations`, async () => {
        await run(naming, async (log) => {
          await stopped(log);
          for (let round = 0; round < rotations; round += 1) {
            log.lines(100);
            log.rotate();
          }
          log.lines(100);
          await quietlyShipped(log);
          // And once more, with what stands beside it now.
          for (let round = 0; round < 3; round += 1) {
            log.lines(10);
            log.rotate();
          }
          log.lines(1);
          await quietlyShipped(log);
        });
      });

  test('the first of them is removed by then, as it was shipped', async () => {
    await run(kubelet, async (log) => {
      await stopped(log);
      for (let round = 0; round < 5; round += 1) {
        log.rotate();
        log.lines(100);
      }
      rmSync(`${log.name(1)}.gz`);
      const shipper = log.ship();
      await log.stays(shipper);
      // Nobody can tell whether it had been written to before it was rotated.
      assert.match(
        errors(shipper).join('\n'),
        /^\S+app\.log: the file that was read up to byte \d+ is nowhere: .*$/,
      );
    });
  });

  test('a compressor that has not removed the plain file yet, or was killed before', async () => {
    await run(kubelet, async (log) => {
      await stopped(log);
      for (let round = 0; round < 4; round += 1) {
        log.lines(100);
        log.rotate();
      }
      log.compress(4, false);
      log.lines(100);
      const shipper = log.ship();
      await log.arrives();
      await sleep(SETTLED_MS);
      rmSync(log.name(4));
      await quietlyShipped(log, shipper);
    });
  });

  test('what was there before the first start is nobody to ship, and nothing is said of it', async () => {
    await run(kubelet, async (log) => {
      for (let round = 0; round < 3; round += 1) {
        log.lines(10, false);
        log.rotate();
      }
      log.lines(5);
      const shipper = log.ship();
      await log.arrives();
      // The plain one of before is compressed now.
      log.rotate();
      log.lines(5);
      await quietlyShipped(log, shipper);
      for (let round = 0; round < 3; round += 1) {
        log.rotate();
        log.lines(10);
      }
      await quietlyShipped(log);
    });
  });

  test('the shipper is killed while it ships them', async () => {
    await run(kubelet, async (log) => {
      await stopped(log);
      for (let round = 0; round < 4; round += 1) {
        log.lines(20_000);
        log.rotate();
      }
      log.lines(5);
      for (const afterMs of [200, 400, 700, 1_000]) {
        const shipper = log.ship();
        await sleep(afterMs);
        await shipper.kill();
      }
      await quietlyShipped(log);
    });
  });

  test('the state was saved when only the first of them was known', async () => {
    await run(kubelet, async (log, world) => {
      const state = path.join(world.state, 'state.json');
      const more = (rotations: number): void => {
        for (let round = 0; round < rotations; round += 1) {
          log.rotate();
          log.lines(100);
        }
      };
      await stopped(log);
      more(3);
      const shipper = log.ship();
      await log.arrives();
      assert.equal(await shipper.stop(), 0);
      const kept = JSON.parse(readFileSync(state, 'utf8')) as { sources: Record<string, object[]> };
      const entries = kept.sources[log.file] ?? [];
      assert.equal(entries.length, 4);
      const [first = {}, second = {}] = entries;
      const latest = { [path.dirname(log.file)]: { 'app.log.00000000-000000': '.20260101-000002' } };
      kept.sources[log.file] = [first, { ...second, beside: { strangers: false, latest } }];
      writeFileSync(state, JSON.stringify(kept));
      more(3);
      await quietlyShipped(log);
    });
  });

  for (const [what, damage] of [
    ['lost', (file: string) => rmSync(file)],
    ['an older one', (file: string, older: Buffer) => writeFileSync(file, older)],
  ] as const)
    test(`nothing twice when the state is ${what}`, async () => {
      await run(kubelet, async (log, world) => {
        const state = path.join(world.state, 'state.json');
        await stopped(log);
        const older = readFileSync(state);
        const shipper = log.ship();
        for (let round = 0; round < 4; round += 1) {
          log.lines(100);
          log.rotate();
          log.lines(10);
          await log.arrives();
        }
        assert.equal(await shipper.stop(), 0);
        damage(state, older);
        await sleep(SETTLED_MS);
        const again = log.ship();
        log.lines(10);
        await quietlyShipped(log, again);
      });
    });

  test('names without a time, and no time of the original: said once', async () => {
    await run(
      (number) => `app.log.${100 - number}`,
      async (log) => {
        await stopped(log);
        log.lines(100);
        log.rotate();
        log.lines(100, false);
        log.rotate();
        log.lines(100);
        log.rotate();
        log.lines(100);
        const shipper = log.ship();
        await log.stays(shipper);
        const said = errors(shipper);
        assert.equal(said.length, 1, said.join('\n'));
        assert.match(
          said[0] ?? '',
          /app\.log\.98\.gz is not shipped: it was rotated and compressed between two looks/,
        );
        const again = log.ship();
        log.lines(1);
        log.rotate();
        log.lines(1);
        await quietlyShipped(log, again);
      },
    );
  });

  for (const [what, keepsTime, naming] of [
    ['with the time of the original, and counts', true, (number: number) => `app.log.${100 - number}`],
    ['with the time of the original, and dates', true, daily],
    ['without it, and counts', false, (number: number) => `app.log.${100 - number}`],
  ] as const)
    test(`nothing is said of rotations that are seen: ${what}`, async () => {
      await run(naming, async (log) => {
        log.keepsTime = keepsTime;
        for (let round = 0; round < 2; round += 1) {
          log.lines(10, false);
          log.rotate();
        }
        log.lines(5);
        const shipper = log.ship();
        await log.arrives();
        for (let round = 0; round < 6; round += 1) {
          log.lines(10);
          log.rotate();
          log.lines(5);
          await log.arrives();
        }
        await quietlyShipped(log, shipper);
      });
    });
});
