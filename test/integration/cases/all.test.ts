// Every case of tailing has its test: none is missing, there twice for no reason, or passed over.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../../support/paths.ts';

const CASES = 45;
/** Cases of several tests, and how many: moved while the shipper runs or is down; compressed in several ways. */
const TESTS = new Map([
  [16, 3],
  [20, 4],
]);
/** Tests that are still to come. */
const PENDING: readonly number[] = [];

/** A call of test() with a case's title, whatever stands between the two. */
const CASE = /\btest(?<how>\.\w+)?\(\s*(?<quote>['"`])case (?<number>\d\d): \S/g;
/** What would let a test pass without running. */
const PASSED_OVER = /\.(?:skip|todo|only|runOnly)\b|\b(?:skip|todo|only)\s*:/;

function isSource(file: string): boolean {
  return file.endsWith('.test.ts') && path.basename(file) !== 'all.test.ts';
}

test('each case has its test', () => {
  const found: number[] = [];
  for (const file of globSync('test/**/*.test.ts', { cwd: ROOT }).filter(isSource)) {
    const text = readFileSync(path.join(ROOT, file), 'utf8');
    const cases = [...text.matchAll(CASE)];
    if (cases.length === 0) continue;
    assert.doesNotMatch(text, PASSED_OVER, `${file}: every case runs`);
    assert.deepEqual(
      cases.filter(({ groups }) => groups?.['how'] !== undefined).map(([call]) => call),
      [],
      `${file}: every case runs`,
    );
    // A title that is put together from pieces is not seen above.
    assert.equal(text.split(/['"`]case \d\d: /).length - 1, cases.length, `${file}: cases are plain tests`);
    found.push(...cases.map(({ groups }) => Number(groups?.['number'])));
  }
  const wanted = Array.from({ length: CASES }, (_, index) => index + 1)
    .filter((number) => !PENDING.includes(number))
    .flatMap((number) => Array.from({ length: TESTS.get(number) ?? 1 }, () => number));
  assert.deepEqual(
    found.toSorted((a, b) => a - b),
    wanted,
  );
});
