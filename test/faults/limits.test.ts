// Cases of tailing in which the system has less than is wanted: watches, descriptors, and time for very many files.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { inParallel, until } from '../../common/runtime/run.ts';
import { WAIT_MS } from '../support/timeouts.ts';
import { assertIdentical } from '../support/compare.ts';
import type { Daemon } from '../support/daemon.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

const DIRECTORIES = 6;
/** Fewer than directories: chokidar watches each of them. */
const WATCHES = 3;
const MANY = 1_000;
const DESCRIPTORS = 192;
const FILES = 600;
const AT_ONCE = 32;

/** Runs a shell command in a user namespace, whose limits anybody may lower, and then becomes the program. */
function within(limit: string): string[] {
  return ['unshare', '-U', '-r', '/bin/sh', '-c', `${limit} && exec "$0" "$@"`];
}

function ship(world: World, glob: string, through: readonly string[]): Daemon {
  const where = ['--host', world.host, '--state', world.state, '--server', world.server.url];
  return world.start('ship', ['ship', path.join(world.source, glob), ...where, '--lease', '2s'], through);
}

function countOf(text: string, part: string): number {
  return text.split(part).length - 1;
}

for (const [what, limit] of [
  ['max_user_watches', `echo ${WATCHES} > /proc/sys/user/max_inotify_watches`],
  ['max_user_instances', 'echo 0 > /proc/sys/user/max_inotify_instances'],
] as const)
  void test(`case 37: watch limit reached (${what}): said once, and the sweep finds everything`, async () => {
    await World.run('watches', async (world) => {
      const files: Written[] = [];
      for (let number = 0; number < DIRECTORIES; number += 1) {
        mkdirSync(path.join(world.source, String(number)));
        files.push(new Written(world, `${number}/app.log`));
      }
      for (const file of files) file.line();
      world.receive();
      const shipper = ship(world, '*/*.log', within(limit));
      await assertIdentical(world, files);
      for (const file of files) {
        file.line();
        file.rotate();
        file.line();
      }
      await assertIdentical(world, files);
      assert.equal(
        countOf(shipper.stderr, `raise it with sysctl fs.inotify.${what} (now `),
        1,
        shipper.stderr,
      );
      assert.equal(await shipper.stop(), 0);
    });
  });

void test('case 38: 50,000 files, here 1,000, every other one the same as its neighbour', async () => {
  await World.run('many', async (world) => {
    const contents = (number: number): string => `the only line of file ${number - (number % 2)}\n`;
    const names = Array.from({ length: MANY }, (_, number) => path.join(world.source, `f${number}x.log`));
    for (const [number, name] of names.entries()) writeFileSync(name, contents(number));
    world.receive();
    const shipper = ship(world, '*.log', []);
    const out = path.join(world.out, world.host, world.source);
    const count = (): number => {
      try {
        return readdirSync(out).length;
      } catch {
        return 0;
      }
    };
    await until(() => count() >= MANY, { timeoutMs: WAIT_MS, everyMs: 100 });
    assert.equal(count(), MANY);
    assert.equal(await shipper.stop(), 0);
    await inParallel(names.entries(), AT_ONCE, async ([number, name]) => {
      assert.equal((await readFile(path.join(world.out, world.host, name))).toString(), contents(number));
    });
  });
});

void test('case 39: descriptor limit reached: closed, opened again, rotated meanwhile', async () => {
  await World.run('descriptors', async (world) => {
    const files = Array.from({ length: FILES }, (_, number) => new Written(world, `f${number}x.log`));
    for (const file of files) file.line();
    world.receive();
    const limit = ['/bin/sh', '-c', `ulimit -n ${DESCRIPTORS} && exec "$0" "$@"`];
    const shipper = ship(world, '*.log', limit);
    // What is rotated away before its very first look is not shipped.
    await assertIdentical(world, files);
    // In turns: most have been closed by the time that it is theirs again.
    for (const file of files) file.line();
    for (const [number, file] of files.entries())
      if (number % 3 === 0) {
        file.line();
        file.rotate();
        if (number % 2 === 0) file.line();
      }
    await assertIdentical(world, files);
    assert.equal(countOf(shipper.stderr, 'raise it with ulimit -n'), 1, shipper.stderr);
    assert.equal(await shipper.stop(), 0);
  });
});
