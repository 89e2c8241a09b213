// A file of any size is read line by line: all whole lines, each once, as they are, also across the pieces that are read.

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import fc from 'fast-check';

import { wholeLines, writeFileDurably } from '../../../common/runtime/files.ts';
import { inDirectory } from '../../support/temporary.ts';

/** More than is read at once. */
const LONG = 'x'.repeat(70_000);

test('every whole line, and nothing of a torn one', async () => {
  await inDirectory(async (directory) => {
    const file = path.join(directory, 'lines');
    const line = fc.oneof(fc.string({ unit: 'binary' }), fc.constant(LONG), fc.constant(''));
    await fc.assert(
      fc.asyncProperty(fc.array(line), line, async (lines, torn) => {
        const whole = lines.map((each) => each.replaceAll('\n', ' '));
        await writeFile(file, `${whole.map((each) => `${each}\n`).join('')}${torn.replaceAll('\n', ' ')}`);
        const read: string[] = [];
        for await (const each of wholeLines(file)) read.push(each.toString());
        assert.deepEqual(
          read,
          whole.map((each) => Buffer.from(each).toString()),
        );
      }),
    );
  });
});

test('what is written in pieces is read as a whole; what is not there has no line', async () => {
  await inDirectory(async (directory) => {
    const file = path.join(directory, 'pieces');
    for await (const line of wholeLines(file)) assert.fail(line.toString());
    await writeFileDurably(file, ['one', ' line\n', `${LONG}\n`, 'torn'][Symbol.iterator]());
    const read: number[] = [];
    for await (const line of wholeLines(file)) read.push(line.length);
    assert.deepEqual(read, [8, LONG.length]);
  });
});
