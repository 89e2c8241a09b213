// The laws of finished files that still have a name, on real ones: what is written to one is seen, however often it was
// renamed, and nothing else counts; and nothing is listed as long as each is where it was.

import assert from 'node:assert/strict';
import { appendFile, mkdir, open, rename, truncate, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import fc from 'fast-check';

import { look } from '../../../shipper/files/discover.ts';
import { Listings } from '../../../shipper/files/listings.ts';
import { type GenerationState, newGeneration } from '../../../shipper/files/generation-state.ts';
import { Surroundings } from '../../../shipper/files/surroundings.ts';
import { Finished } from '../../../shipper/sources/finished.ts';
import { inDirectory } from '../../support/temporary.ts';

const LINE = 'one line\n';

/** A path with its rotated files, each of which was read to its end. */
class Rotated {
  readonly entries: GenerationState[] = [];
  /** How often the directory was listed. */
  listed = 0;
  readonly #path: string;
  readonly #finished = new Finished();
  readonly #around: Surroundings;

  constructor(directory: string) {
    this.#path = path.join(directory, 'app.log');
    this.#around = new Surroundings(this.#path, new Listings());
  }

  named(suffix: string): string {
    return `${this.#path}${suffix}`;
  }

  /** A file with this name becomes a generation. */
  async add(suffix: string, changes: Partial<GenerationState> = {}): Promise<GenerationState> {
    const found = await look(this.named(suffix));
    assert.ok(found !== undefined);
    const entry = newGeneration(`g-${this.entries.length}`, found.stamp, 0, found.size);
    this.entries.push(Object.assign(entry, { closed: 'rotated', done: true }, changes));
    return entry;
  }

  isLeft(entry: GenerationState): boolean {
    return this.#finished.isLeft(entry);
  }

  /** Its file, which is called so by now, is closed. */
  async close(entry: GenerationState, file: string): Promise<void> {
    const handle = await open(file);
    this.#finished.closing(entry, handle);
    await handle.close();
  }

  async grown(): Promise<[GenerationState, number][]> {
    const current = this.entries.find(({ closed }) => closed === null);
    return await this.#finished.grown(this.entries, current, async () => {
      this.listed += 1;
      return await this.#around.all();
    });
  }
}

const step = fc.record({
  kind: fc.constantFrom('append', 'append', 'rename', 'replace', 'delete', 'shorten', 'nothing', 'current'),
  file: fc.nat(2),
  lines: fc.integer({ min: 1, max: 5 }),
});

/** What became of a finished file. */
interface File {
  readonly entry: GenerationState;
  /** Undefined when it has no name any more. */
  suffix: string | undefined;
  size: number;
}

test('what is written to finished files is seen under whatever rotated name, and nothing else is', async () => {
  let grownCount = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 15 }), fc.boolean(), async (steps, wasTruncated) => {
      await inDirectory(async (directory) => {
        const rotated = new Rotated(directory);
        const files: File[] = [];
        for (const suffix of ['.3', '.2', '.1']) {
          await writeFile(rotated.named(suffix), LINE);
          // What the file held before it was truncated: nothing is ever added to that.
          if (wasTruncated) await rotated.add(suffix, { closed: 'truncated', size: 2 });
          files.push({ entry: await rotated.add(suffix), suffix, size: LINE.length });
        }
        await writeFile(rotated.named(''), LINE);
        await rotated.add('', { closed: null, done: false });
        let count = 3;
        for (const { kind, file: index, lines } of steps) {
          const file = files[index];
          assert.ok(file !== undefined);
          const { entry, suffix } = file;
          const more = LINE.repeat(lines);
          if (kind === 'current') await appendFile(rotated.named(''), more);
          else if (suffix !== undefined) {
            const name = rotated.named(suffix);
            if (kind === 'append') await appendFile(name, more);
            if (kind === 'append') file.size += more.length;
            if (kind === 'shorten') await truncate(name, (file.size = Math.floor(file.size / 2)));
            if (kind === 'rename') {
              await rename(name, rotated.named((file.suffix = `.${(count += 1)}`)));
              // Another one takes its name, and has as many bytes.
              if (lines > 2) await writeFile(name, 'x'.repeat(entry.size));
            }
            if (kind === 'delete') await unlink(name);
            if (kind === 'replace') {
              // Another file has its name, and more bytes.
              await writeFile(rotated.named('.new'), LINE.repeat(99));
              await rename(rotated.named('.new'), name);
            }
            if (kind === 'delete' || kind === 'replace') file.suffix = undefined;
          }
          const expected = files.filter((each) => each.suffix !== undefined && each.size > each.entry.size);
          const grown = await rotated.grown();
          assert.deepEqual(
            new Map(grown.map(([{ file: id }, size]) => [id, size])),
            new Map(expected.map((each) => [each.entry.file, each.size])),
          );
          grownCount += grown.length;
          // It is read to its end once more.
          for (const [each, size] of grown) each.size = size;
          for (const each of files)
            assert.equal(
              rotated.isLeft(each.entry),
              each.suffix === undefined || each.size === each.entry.size,
            );
          for (const each of rotated.entries)
            if (each.closed === 'truncated') assert.ok(rotated.isLeft(each));
          if (files.some((each) => !rotated.isLeft(each.entry))) continue;
          const before = rotated.listed;
          assert.deepEqual(await rotated.grown(), []);
          assert.equal(rotated.listed, before, `listed after ${kind} of ${entry.file}`);
        }
      });
    }),
    { numRuns: 150 },
  );
  assert.ok(grownCount > 50, `only ${grownCount} have grown`);
});

test('what is not done, or is being read, is not asked for here', async () => {
  await inDirectory(async (directory) => {
    const rotated = new Rotated(directory);
    await writeFile(rotated.named('.1'), LINE);
    const entry = await rotated.add('.1', { done: false });
    await appendFile(rotated.named('.1'), LINE);
    assert.equal(rotated.isLeft(entry), false);
    assert.deepEqual(await rotated.grown(), []);
    assert.equal(rotated.listed, 0);
    entry.done = true;
    assert.deepEqual(await rotated.grown(), [[entry, 2 * LINE.length]]);
    entry.size = 2 * LINE.length;
    assert.equal(rotated.isLeft(entry), true);
    entry.done = false;
    assert.equal(rotated.isLeft(entry), false);
    Object.assign(entry, { done: true, closed: null, size: 1 });
    assert.deepEqual(await rotated.grown(), [], 'it is the one that is read');
  });
});

test('a finished file without a birth is nobody’s after a restart', async () => {
  await inDirectory(async (directory) => {
    const rotated = new Rotated(directory);
    await writeFile(rotated.named('.1'), LINE);
    const entry = await rotated.add('.1', { birth: '0', device: '' });
    await appendFile(rotated.named('.1'), LINE);
    assert.deepEqual(await rotated.grown(), []);
    assert.equal(rotated.isLeft(entry), true);
  });
});

for (const [where, name] of [
  ['a name that no rotation gives', '.old'],
  ['a directory beside it', '/../archive/app.log.1'],
] as const)
  test(`a finished file is asked for under ${where}, if it was there when it was closed`, async () => {
    await inDirectory(async (directory) => {
      const rotated = new Rotated(directory);
      await mkdir(path.join(directory, 'archive'));
      await writeFile(rotated.named('.1'), LINE);
      const entry = await rotated.add('.1');
      const to = path.normalize(rotated.named(name));
      await rename(rotated.named('.1'), to);
      await rotated.close(entry, to);
      assert.deepEqual(await rotated.grown(), []);
      await appendFile(to, LINE);
      assert.deepEqual(await rotated.grown(), [[entry, 2 * LINE.length]]);
    });
  });
