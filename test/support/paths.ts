// Where things are in the project, for tests of any depth.

import path from 'node:path';

export const ROOT = path.resolve(import.meta.dirname, '../..');

/** The command line as it is written. */
export const SOURCE_ENTRY = path.join(ROOT, 'cli/main.ts');

/** The same with the numbers of tests. */
export const TUNED_ENTRY = path.join(ROOT, 'test/support/entry.ts');

/** What tests start as logferry: the bundle that test/run.ts has built, or the source where a file is run by itself. */
export const ENTRY = process.env['LOGFERRY_TEST_ENTRY'] ?? TUNED_ENTRY;
